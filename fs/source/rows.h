/* SPDX-License-Identifier: Apache-2.0 */
/* Copying the rows of runs in memory: the inner loop of interleaving, splitting and transposing. */
#ifndef FS_ROWS_H
#define FS_ROWS_H

#include "layout/view/plan.h"

/*
 * Runs of small rows side by side, as transposing has them: where rows are columns of a matrix, the next run is the next column. Each
 * begins run.len bytes further in the source and `step` bytes further in the destination than the one before.
 */
struct rows_block {
	struct run run;   /* the first */
	uint64_t columns; /* how many runs; at least 1 */
	uint64_t step;    /* meaningless with one */
};

/* Copies run->rows rows of run->len bytes, src_stride apart from src on, to dst, dst_stride apart. They must not overlap. */
void rows_copy(uint8_t *dst, const uint8_t *src, const struct run *run);

/* The same for all runs of a block, by tiles, so that a part of the source that comes into the cache is used up. */
void rows_copy_block(uint8_t *dst, const uint8_t *src, const struct rows_block *block);

/* Takes `run` into the block if it is the next of its columns; false otherwise. */
bool rows_join(struct rows_block *block, const struct run *run);

#endif
