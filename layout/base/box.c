/* SPDX-License-Identifier: Apache-2.0 */
/* Blocks are numbered as the elements of an array of shape cuts[] are: the last axis runs fastest. */
#include "layout/base/box.h"

struct grid box_uncut(uint32_t axes)
{
	static const uint32_t ones[BOX_AXES] = { [0 ... BOX_AXES - 1] = 1 };

	return (struct grid){ .axes = axes, .blocks = 1, .cuts = ones };
}

void box_of_block(const struct grid *grid, const uint64_t *shape, uint32_t block, struct box *out)
{
	out->axes = grid->axes;
	for (uint32_t a = grid->axes; a-- > 0;) {
		out->count[a] = shape[a] / grid->cuts[a];
		out->start[a] = block % grid->cuts[a] * out->count[a];
		block /= grid->cuts[a];
	}
}

/* Only the innermost axis that is cut matters; `bits` becomes those of one part on axis a, as far as they count. */
bool box_whole_bytes(const struct grid *grid, const uint64_t *shape, uint64_t bits)
{
	for (uint32_t a = grid->axes; a-- > 0;) {
		if (grid->cuts[a] > 1)
			return shape[a] / grid->cuts[a] % 8 * (bits % 8) % 8 == 0;
		bits = bits % 8 * (shape[a] % 8);
	}
	return true;
}
