/* SPDX-License-Identifier: Apache-2.0 */
/* Images: every append goes through push(), which alone knows how extents follow one another. */
#include <assert.h>

#include "layout/checkpoint/sharding.h"
#include "layout/view/image.h"

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

void image_add_slice(struct image *image, const struct tensor *tensor, const struct layout *layout)
{
	assert(layout->axes == tensor->axes && !tensor->literal);
	push(image, (struct extent){ .kind = EXTENT_SLICE, .of = tensor, .layout = layout }, tensor->bytes / layout->grid.blocks);
}

void image_add_copy(struct image *image, const struct tensor *each, const struct checkpoint_copies *copies)
{
	assert(copies->count > 0 && each->grid.blocks == 1);
	if (each->literal)
		image_add_literal(image, (struct bytes){ each->literal, each->bytes });
	else
		push(image, (struct extent){ .kind = EXTENT_COPY, .each = each, .copies = copies }, each->bytes);
}

struct image *image_share(const struct image *form, uint32_t local, uint32_t copied, struct arena *arena)
{
	struct image *image = arena_alloc(arena, 1, sizeof(*image));

	if (!image)
		return NULL;
	*image = *form;
	image->capacity = image->count; /* nothing can be appended to it */
	image->local = local;
	image->copied = copied;
	return image;
}

/* The place of a rank's copy, 0 when it has none. */
static uint32_t copy_of(const struct checkpoint_copies *copies, uint32_t rank)
{
	uint32_t lo = 0, hi = copies->count;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (copies->list[mid].rank < rank)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < copies->count && copies->list[lo].rank == rank ? lo : 0;
}

struct extent image_extent(const struct image *image, uint64_t i)
{
	const struct extent *e = &image->extents[i];
	const struct tensor *copy;

	switch (e->kind) {
	case EXTENT_SLICE:
		return (struct extent){ .offset = e->offset, .kind = EXTENT_BLOCK, .block = sharding_block(e->layout, image->local),
					.tensor = e->of, .grid = &e->layout->grid };
	case EXTENT_COPY:
		copy = &e->each[copy_of(e->copies, image->copied)];
		return (struct extent){ .offset = e->offset, .kind = EXTENT_BLOCK, .tensor = copy, .grid = &copy->grid };
	default:
		return *e;
	}
}

uint64_t image_find(const struct image *image, uint64_t offset)
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
	return lo;
}

uint64_t image_extent_len(const struct image *image, uint64_t i)
{
	return (i + 1 == image->count ? image->size : image->extents[i + 1].offset) - image->extents[i].offset;
}
