/* SPDX-License-Identifier: Apache-2.0 */
/* Images: extents follow one another without holes, empty ones are not there, and every byte is found. */
#include <criterion/criterion.h>

#include "layout/view/image.h"

static const struct bytes five = { (const uint8_t *)"12345", 5 }, none = { (const uint8_t *)"", 0 };

/* A tensor of [4, shape1] F16 in two rows of blocks, and a grid that cuts it in 4. */
static const uint32_t two[] = { 2, 1 }, four[] = { 2, 2 };
static const struct grid by_four = { .axes = 2, .blocks = 4, .cuts = four };

static struct tensor tensor_of(const uint64_t *shape, uint64_t bytes)
{
	return (struct tensor){ .name = "t", .shape = shape, .grid = { 2, 2, two }, .bytes = bytes, .dtype = DTYPE_F16, .axes = 2 };
}

Test(image, empty)
{
	struct arena *arena = arena_new();
	struct image *image = image_new(arena, 0);

	cr_assert(image && image->size == 0 && image->count == 0);
	image_add_literal(image, none);
	image_add_range(image, (struct piece){ 7, 1 }, 0);
	cr_assert(image->size == 0 && image->count == 0);
	arena_free(arena);
}

Test(image, extents_of_every_kind)
{
	static const uint64_t shape[] = { 4, 6 }, zero[] = { 4, 0 };
	struct tensor t = tensor_of(shape, 48), empty = tensor_of(zero, 0);
	struct arena *arena = arena_new();
	struct image *image = image_new(arena, 4);

	image_add_literal(image, five);
	image_add_block(image, &empty, &empty.grid, 1);
	image_add_block(image, &t, &by_four, 3);
	image_add_range(image, (struct piece){ .offset = 100, .source = 9 }, 3);
	image_add_block(image, &t, &t.grid, 0);
	cr_assert(image->count == 4 && image->size == 5 + 12 + 3 + 24);

	const struct extent *e = image->extents;
	cr_assert(e[0].kind == EXTENT_LITERAL && e[0].offset == 0 && e[0].literal == five.ptr);
	cr_assert(e[1].kind == EXTENT_BLOCK && e[1].offset == 5 && e[1].tensor == &t && e[1].grid == &by_four && e[1].block == 3);
	cr_assert(e[2].kind == EXTENT_RANGE && e[2].offset == 17 && e[2].range.offset == 100 && e[2].range.source == 9);
	cr_assert(e[3].kind == EXTENT_BLOCK && e[3].offset == 20 && e[3].grid == &t.grid && e[3].block == 0);
	cr_assert(image_extent_len(image, 0) == 5 && image_extent_len(image, 1) == 12);
	cr_assert(image_extent_len(image, 2) == 3 && image_extent_len(image, 3) == 24);
	arena_free(arena);
}

/* From one extent to many, each byte is found in the extent that a walk from the start finds. */
Test(image, every_byte_is_found)
{
	for (uint64_t count = 1; count <= 40; count++) {
		struct arena *arena = arena_new();
		struct image *image = image_new(arena, count);
		uint64_t at = 0;

		for (uint64_t i = 0; i < count; i++)
			image_add_range(image, (struct piece){ .offset = i }, 1 + i * count % 4);
		for (uint64_t i = 0; i < count; i++)
			for (uint64_t end = at + 1 + i * count % 4; at < end; at++)
				cr_assert_eq(image_find(image, at), i, "byte %llu of %llu extents", (unsigned long long)at,
					     (unsigned long long)count);
		cr_assert_eq(at, image->size);
		arena_free(arena);
	}
}

/* Two ranks of a stage share a list: a slice is the block that the layout gives the rank, a copy that of its source rank, or the first. */
Test(image, ranks_share_extents)
{
	static const uint32_t matrix[] = { 2, 2 }, map_len[] = { 1 }, map[] = { 1 }, cuts[] = { 2 };
	static const uint64_t shape[] = { 8 };
	static const struct layout layout = { .devices = 4, .matrix_axes = 2, .axes = 1, .matrix = matrix, .map_len = map_len, .map = map,
					      .opt_shards = 1, .grid = { .cuts = cuts, .axes = 1, .blocks = 2 } };
	static const struct checkpoint_copy list[] = { { 2, { 7, 1 } }, { 5, { 8, 2 } } };
	const struct checkpoint_copies copies = { list, 2 };
	const struct tensor sliced = { .shape = shape, .axes = 1, .bytes = 32, .dtype = DTYPE_F32 };
	const struct tensor each[] = { { .grid = { .blocks = 1 }, .bytes = 4, .pieces = &list[0].piece },
				       { .grid = { .blocks = 1 }, .bytes = 4, .pieces = &list[1].piece } };
	struct arena *arena = arena_new();
	struct image *form = image_new(arena, 2);

	image_add_slice(form, &sliced, &layout);
	image_add_copy(form, each, &copies);
	for (uint32_t local = 0; local < 4; local++) {
		const struct image *image = image_share(form, local, local == 1 ? 5 : local, arena);
		struct extent slice = image_extent(image, 0), copy = image_extent(image, 1);

		cr_assert(image->size == 20 && image->count == 2 && image_find(image, 15) == 0 && image_find(image, 16) == 1);
		cr_assert(slice.kind == EXTENT_BLOCK && slice.tensor == &sliced && slice.grid == &layout.grid && slice.block == local % 2);
		cr_assert(copy.kind == EXTENT_BLOCK && copy.offset == 16 && copy.block == 0 && copy.tensor == &each[local == 1]);
	}
	arena_free(arena);
}
