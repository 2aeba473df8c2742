/* SPDX-License-Identifier: Apache-2.0 */
/* Images: every append goes through push(), which alone knows how extents follow one another. */
#include <assert.h>

#include "layout/image.h"

struct image *image_new(struct arena *arena, uint64_t capacity)
{
	struct image *image = arena_alloc(arena, 1, sizeof(*image));

	if (!image)
		return NULL;
	image->extents = arena_alloc(arena, capacity, sizeof(*image->extents));
	image->capacity = capacity;
	return image->extents ? image : NULL;
}

/* The one place where an image grows: extents are contiguous and never empty. Sizes were checked when the view was laid out. */
static void push(struct image *image, struct extent extent, uint64_t len)
{
	if (len == 0)
		return;
	assert(image->count < image->capacity);
	assert(image->size <= UINT64_MAX - len);
	extent.offset = image->size;
	image->extents[image->count++] = extent;
	image->size += len;
}

void image_add_literal(struct image *image, struct bytes literal)
{
	push(image, (struct extent){ .kind = EXTENT_LITERAL, .literal = literal.ptr }, literal.len);
}

void image_add_block(struct image *image, const struct tensor *tensor, const struct grid *grid, uint32_t block)
{
	assert(block < grid->blocks && grid->axes == tensor->axes);
	if (tensor->literal) {
		assert(grid->blocks == 1);
		image_add_literal(image, (struct bytes){ tensor->literal, tensor->bytes });
		return;
	}
	push(image, (struct extent){ .kind = EXTENT_BLOCK, .block = block, .tensor = tensor, .grid = grid },
	     tensor->bytes / grid->blocks);
}

void image_add_range(struct image *image, struct piece range, uint64_t len)
{
	push(image, (struct extent){ .kind = EXTENT_RANGE, .range = range }, len);
}

const struct extent *image_find(const struct image *image, uint64_t offset)
{
	uint64_t lo = 0, hi = image->count;

	assert(offset < image->size);
	while (hi - lo > 1) {
		uint64_t mid = lo + (hi - lo) / 2;

		if (image->extents[mid].offset <= offset)
			lo = mid;
		else
			hi = mid;
	}
	return &image->extents[lo];
}

uint64_t image_extent_len(const struct image *image, const struct extent *e)
{
	bool last = e == &image->extents[image->count - 1];

	return (last ? image->size : e[1].offset) - e->offset;
}
