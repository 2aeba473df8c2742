/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The folders and files that MindSpore Transformers 2.x saves: latest_checkpointed_iteration.txt, written last, and iteration_NNNNNNNN/
 * with [PREFIX-]model-RANK-COUNT.safetensors and [PREFIX-]opt-RANK-COUNT.safetensors. Only names decide.
 *
 * Invariant: iterations are sorted, the newest first.
 */
#ifndef FS_ITERATION_H
#define FS_ITERATION_H

#include "fs/source/scan.h"

#define ITERATION_TRACKER "latest_checkpointed_iteration.txt"

struct iteration {
	const char *name; /* of the folder */
	const char *path; /* of the folder */
	uint64_t number;
	bool numbered;    /* else it is SOURCE itself, under a name of its own */
};

struct iterations {
	struct iteration *list; /* [count] */
	uint64_t count;
	bool itself;            /* the one is SOURCE itself */
	bool tracked;           /* SOURCE has the tracker, which says `latest` */
	uint64_t latest;
	const struct fence *fence; /* of SOURCE's entries */
};

/* The number in "iteration_NNNNNNNN"; false for any other name. */
bool iteration_number(const char *name, uint64_t *number);

/* True for the name of a weights file of an iteration; *prefix is how much of it is PREFIX, *files the COUNT. */
bool iteration_weights(const char *name, size_t *prefix, uint64_t *files);

/* The iterations of `source`, whose entries these are; none when it has none. -EINVAL for a tracker without a number, or its errno. */
int iteration_scan(const char *source, const struct scan_list *entries, struct arena *arena, struct iterations *out, struct error *err);

/* The number of the one with this number (`20` or `iteration_00000020`); -ENOENT, or -EINVAL for a text that is neither. */
int iteration_find(const struct iterations *it, const char *text, uint64_t *index, struct error *err);

#endif
