/* SPDX-License-Identifier: Apache-2.0 */
/* Blocks of grids: a table of boxes worked out by hand, and the identity that the blocks of a grid tile its tensor. */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "layout/base/box.h"

static const struct {
	uint32_t axes, cuts[4], block;
	uint64_t shape[4], start[4], count[4];
} boxes[] = {
	{ 0, { 0 }, 0, { 0 }, { 0 }, { 0 } },
	{ 1, { 1 }, 0, { 7 }, { 0 }, { 7 } },
	{ 1, { 4 }, 3, { 8 }, { 6 }, { 2 } },
	{ 2, { 2, 3 }, 0, { 4, 9 }, { 0, 0 }, { 2, 3 } },
	{ 2, { 2, 3 }, 1, { 4, 9 }, { 0, 3 }, { 2, 3 } }, /* the last axis runs fastest */
	{ 2, { 2, 3 }, 3, { 4, 9 }, { 2, 0 }, { 2, 3 } },
	{ 2, { 2, 3 }, 5, { 4, 9 }, { 2, 6 }, { 2, 3 } },
	{ 3, { 2, 1, 2 }, 2, { 2, 5, 6 }, { 1, 0, 0 }, { 1, 5, 3 } },
	{ 4, { 1, 2, 1, 2 }, 3, { 3, 4, 5, 6 }, { 0, 2, 0, 3 }, { 3, 2, 5, 3 } },
	{ 2, { 2, 2 }, 3, { 0, 4 }, { 0, 2 }, { 0, 2 } }, /* a tensor without elements */
};

Test(box, table)
{
	for (size_t i = 0; i < sizeof(boxes) / sizeof(*boxes); i++) {
		struct grid grid = { .axes = boxes[i].axes, .cuts = boxes[i].cuts };
		struct box box;

		box_of_block(&grid, boxes[i].shape, boxes[i].block, &box);
		cr_assert_eq(box.axes, boxes[i].axes, "box %zu", i);
		for (uint32_t a = 0; a < box.axes; a++) {
			cr_assert_eq(box.start[a], boxes[i].start[a], "box %zu: start of axis %u", i, a);
			cr_assert_eq(box.count[a], boxes[i].count[a], "box %zu: count of axis %u", i, a);
		}
	}
}

Test(box, uncut_is_the_whole)
{
	for (uint32_t axes = 0; axes <= BOX_AXES; axes++) {
		struct grid grid = box_uncut(axes);
		uint64_t shape[BOX_AXES];
		struct box box;

		cr_assert_eq(grid.axes, axes);
		cr_assert_eq(grid.blocks, 1);
		for (uint32_t a = 0; a < axes; a++)
			shape[a] = UINT64_C(1) << (a + 20);
		box_of_block(&grid, shape, 0, &box);
		for (uint32_t a = 0; a < axes; a++)
			cr_assert(grid.cuts[a] == 1 && box.start[a] == 0 && box.count[a] == shape[a], "axis %u of %u", a, axes);
	}
}

Test(box, blocks_tile_the_tensor)
{
	static const uint32_t cuts[3] = { 2, 3, 4 };
	static const uint64_t shape[3] = { 4, 9, 4 };
	struct grid grid = { .axes = 3, .blocks = 24, .cuts = cuts };
	static uint8_t seen[4][9][4];
	struct box b;

	for (uint32_t block = 0; block < grid.blocks; block++) {
		box_of_block(&grid, shape, block, &b);
		for (uint64_t x = b.start[0]; x < b.start[0] + b.count[0]; x++)
			for (uint64_t y = b.start[1]; y < b.start[1] + b.count[1]; y++)
				for (uint64_t z = b.start[2]; z < b.start[2] + b.count[2]; z++)
					seen[x][y][z]++;
	}
	for (int i = 0; i < 4 * 9 * 4; i++)
		cr_assert_eq(((uint8_t *)seen)[i], 1, "element %d lies in %u blocks", i, ((uint8_t *)seen)[i]);
}
