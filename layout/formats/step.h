/* SPDX-License-Identifier: Apache-2.0 */
/*
 * File names of a rank folder and the steps that they belong to. Rules: mindspore/parallel/transform_safetensors.py
 * (`_get_file_name...`, file_suffix) and mindformers' CheckpointMonitor: PREFIX_rank_N[_TASK]-EPOCH_STEP.safetensors (or .ckpt).
 *
 * A step is one moment of a training: (epoch, step), then the task suffix that a restart in the same folder adds. A step
 * that no number tells (a name without counters) is the lowest of all.
 *
 * Counters are the EPOCH_STEP that a name ends in. MindSpore takes the last two numbers of any name instead, so that it reads the rank
 * of qwen2_rank_3.safetensors as a step; here such a file has no counters.
 */
#ifndef LAYOUT_STEP_H
#define LAYOUT_STEP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct step {
	bool counted;         /* the name ends in EPOCH_STEP; else the fields below are 0 */
	uint64_t epoch, step; /* the second-last and the last number of the name */
	uint64_t task;        /* of rank_N_TASK-, 0 without */
};

/* The number N of a rank folder: `rank_` and a digit in front, only digits behind the last "rank_"; false for any other name. */
bool step_rank_of_dir(const char *name, uint64_t *rank);

/* True for a finished weights file: ends in ".safetensors" or ".ckpt", and is none of the temporary names that MindSpore writes. */
bool step_is_weights(const char *name);

/* True for a weights file that ends in ".ckpt". */
bool step_is_ckpt(const char *name);

/* The step of a weights file's name. */
struct step step_parse(const char *name);

/*
 * The length of what stands before the rank or the counters of a weights file's name: 4 for "tiny_rank_0_1-1_2.safetensors" and for
 * "tiny-1_2.safetensors"; 0 when nothing does.
 */
size_t step_prefix(const char *name);

/* <0, 0, >0 as a is older than, the same as or newer than b: by epoch, step, task. */
int step_compare(const struct step *a, const struct step *b);

/*
 * Chooses by file_suffix, as MindSpore does, among the weights files `names` [count] of one rank folder: the index of the
 * one that `suffix` means, -1 when none ends in it, -2 when several do and MindSpore has no rule to choose (an error there).
 */
int64_t step_choose(const char *const *names, uint64_t count, const char *suffix);

#endif
