/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Boxes and the grids that cut a tensor into them.
 *
 * A box is an axis-aligned, half-open part of a tensor's index space: [start, start + count) on each axis, in elements.
 * A grid cuts axis a of a tensor into cuts[a] equal parts; block b, counted row-major over the axes (last axis fastest), is a box.
 * Every layout of MindSpore is such a grid (always even, nothing padded), so a tensor's pieces are simply an array indexed by
 * block: coverage is "no block is empty", disjointness holds by construction, and finding the piece of an element is a division.
 * The whole tensor is the one block of the grid of ones.
 */
#ifndef LAYOUT_BOX_H
#define LAYOUT_BOX_H

#include <stdbool.h>
#include <stdint.h>

#define BOX_AXES 32 /* as many as numpy 1.x knows; MindSpore has at most 8 */

struct box {
	uint32_t axes;
	uint64_t start[BOX_AXES], count[BOX_AXES]; /* elements */
};

struct grid {
	uint32_t axes;
	uint32_t blocks;      /* product of cuts; 1 for a scalar */
	const uint32_t *cuts; /* [axes], each at least 1, divides the tensor's axis */
};

/* The grid that does not cut a tensor of `axes` axes at all. Static. */
struct grid box_uncut(uint32_t axes);

/* Block `block` of `grid` over a tensor of `shape` [grid->axes] elements. */
void box_of_block(const struct grid *grid, const uint64_t *shape, uint32_t block, struct box *out);

/* True when every cut of `grid` through a tensor of `shape`, whose elements have `bits` bits each, falls between bytes. */
bool box_whole_bytes(const struct grid *grid, const uint64_t *shape, uint64_t bits);

#endif
