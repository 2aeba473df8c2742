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

#include "layout/view/image.h"

struct run {
	const uint8_t *literal; /* not NULL: `len` bytes of ours, rows == 1, the source fields mean nothing */
	uint32_t source;
	uint64_t src;        /* first byte in the source */
	uint64_t dst;        /* first byte in the destination, from the start of the planned range */
	uint64_t len, rows;  /* bytes of a row; at least 1 row */
	uint64_t src_stride, dst_stride; /* bytes from row to row; meaningless with one row */
};

/* A block of an image laid over the grid of its tensor's pieces, collapsed to the fewest axes; see plan.c. */
struct plan_cut {
	uint32_t axes;   /* at least 1 */
	uint32_t block0; /* contribution of the collapsed axes to the number of the source block */
	struct plan_axis {
		uint64_t start, count;           /* of the image's block: elements, on the last axis bytes */
		uint64_t width;                  /* of a source block, likewise */
		uint64_t dst_stride, src_stride; /* bytes from one to the next along this axis */
		uint32_t block_stride;           /* source blocks from one to the next along this axis */
	} axis[BOX_AXES];
};

struct plan {
	const struct image *image;
	struct extent extent;        /* that holds `at` */
	uint64_t number;             /* of `extent` */
	uint64_t base, at, end;      /* in the image: the range's start, the next byte, the range's end */
	uint64_t column;             /* bytes of the rows at `at` that earlier runs have taken */
	struct plan_cut cut;         /* of `extent`, when it is a block; of a woven tensor with all its axes, in elements, and no source */
	uint32_t part;               /* of a woven tensor: the one of the last run */
};

/* Plans [offset, offset + len) of the image, which must lie inside it. */
void plan_begin(struct plan *plan, const struct image *image, uint64_t offset, uint64_t len);

/* The next run, in ascending order of `dst` of its first row; false at the end. */
bool plan_next(struct plan *plan, struct run *run);

#endif
