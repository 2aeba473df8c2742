/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A plan turns a range of an image into runs of source bytes, by intersecting the image's blocks with the pieces' blocks.
 *
 * A run is a column of equal rows: `rows` times `len` bytes, src_stride apart in the source and dst_stride apart in the
 * destination. So a request over a tensor that is cut on its last axis needs a handful of runs, not one for each row:
 * the whole rows between two block boundaries of the outer axis come as one run for each piece, and only the ragged first
 * and last row come alone. Nothing is allocated, and a plan is a plain value: a copy taken in the middle iterates again
 * from there.
 *
 * Invariants: the rows of all runs together tile the range exactly once; every row lies inside its source piece.
 */
#ifndef LAYOUT_PLAN_H
#define LAYOUT_PLAN_H

#include "layout/image.h"

struct run {
	const uint8_t *literal; /* not NULL: `len` bytes of ours, rows == 1, the source fields mean nothing */
	uint32_t source;
	uint64_t src;        /* first byte in the source */
	uint64_t dst;        /* first byte in the destination, from the start of the planned range */
	uint64_t len, rows;  /* bytes of a row; at least 1 row */
	uint64_t src_stride, dst_stride; /* bytes from row to row; meaningless with one row */
};

/* One extent's intersection, collapsed to the fewest axes; see plan.c. */
struct plan_cut {
	uint32_t axes, column;
	uint64_t start[BOX_AXES], count[BOX_AXES]; /* the image's block; the last axis in bytes */
	uint64_t width[BOX_AXES];                  /* of a source block */
	uint64_t dst_stride[BOX_AXES], src_stride[BOX_AXES]; /* bytes */
	uint32_t block_stride[BOX_AXES], block0;
};

struct plan {
	const struct image *image;
	const struct extent *extent; /* NULL before the first and after the last */
	uint64_t at, end, base;      /* in the image: next byte, end of the range, start of the range */
	struct plan_cut cut;         /* of `extent` when it is a block */
};

/* Plans [offset, offset + len) of the image, which must lie inside it. */
void plan_begin(struct plan *plan, const struct image *image, uint64_t offset, uint64_t len);

/* The next run, in ascending order of `dst` of its first row; false at the end. */
bool plan_next(struct plan *plan, struct run *run);

#endif
