/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The counters of a training: how far it was when a checkpoint was saved. MindSpore Transformers 2.x has them in common.json, earlier
 * versions as tensors beside the parameters; this turns either into the other.
 */
#ifndef LAYOUT_COUNTERS_H
#define LAYOUT_COUNTERS_H

#include "layout/checkpoint/checkpoint.h"

enum counters_number {
	COUNTERS_EPOCH,     /* epoch_num */
	COUNTERS_STEP,      /* step_num */
	COUNTERS_GLOBAL,    /* global_step */
	COUNTERS_BATCH,     /* global_batch_size */
	COUNTERS_SAMPLES,   /* consumed_samples */
	COUNTERS_STATUS,    /* ckpt_status: 0 is healthy */
	COUNTERS_COUNT
};

struct counters {
	struct {
		bool known;
		uint64_t value;
	} number[COUNTERS_COUNT];
	bool scaled;       /* loss_scale is known */
	double loss_scale;
};

/* Its name, in common.json and as a tensor. A static string. */
const char *counters_name(enum counters_number number);

/* Reads a common.json. What is missing or null is not known. -EINVAL with the field named, or -ENOMEM. */
int counters_parse(struct bytes text, struct counters *out, struct error *err);

/* A common.json as MindSpore Transformers writes it, in `arena`. 0 or -ENOMEM. */
int counters_write(const struct counters *counters, struct arena *arena, struct bytes *out, struct error *err);

/*
 * Adds what is known to the tensors outside the strategy, unless the checkpoint has a tensor of that name, with the shapes and
 * types that CheckpointMonitor gives them. A loss scale that is not known is 1, as it is there. 0 or -ENOMEM.
 */
int counters_add(const struct counters *counters, struct checkpoint *ckpt, struct arena *arena, struct error *err);

#endif
