/* SPDX-License-Identifier: Apache-2.0 */
/* Images: extents follow one another without holes, empty ones are not there, and every byte is found. */
#include <criterion/criterion.h>

#include "layout/image.h"

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
	cr_assert(image_extent_len(image, &e[0]) == 5 && image_extent_len(image, &e[1]) == 12);
	cr_assert(image_extent_len(image, &e[2]) == 3 && image_extent_len(image, &e[3]) == 24);
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
				cr_assert_eq(image_find(image, at), &image->extents[i], "byte %llu of %llu extents", (unsigned long long)at,
					     (unsigned long long)count);
		cr_assert_eq(at, image->size);
		arena_free(arena);
	}
}
