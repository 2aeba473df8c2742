/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which rank holds which block: tables worked out by hand from the rules, and identities over random layouts. Layouts come
 * through the parser, as in real life.
 */
#include <criterion/criterion.h>
#include <errno.h>

#include "layout/checkpoint/sharding.h"
#include "tests/wire.h"

static struct error err;

/* The layout that `lay` describes; the arena owns it. */
static const struct layout *layout_of(struct arena *arena, const char *dev, const char *map, int step, int size)
{
	struct wire w = wire_file(2, 0, (struct lay[]){ { "w", dev, map, step, size }, { 0 } });
	struct strategy_file file;

	cr_assert_eq(strategy_parse_pb(wire_bytes(&w), arena, &file, &err), 0, "[%s] [%s]: %s", dev, map ? map : "none", err.msg);
	return file.entries[0].layout;
}

static const struct {
	const char *dev, *map;
	int step, size;
	uint32_t axes, cuts[3];
	uint32_t ranks, block[16];
} layouts[] = {
	{ "4", "0,-1", 0, 0, 2, { 4, 1 }, 4, { 0, 1, 2, 3 } },
	{ "4", "-1,-1", 0, 0, 2, { 1, 1 }, 4, { 0, 0, 0, 0 } },
	/* the repeated device axis first, last, in the middle, last of three */
	{ "2,4", "0,-1", 0, 0, 2, { 4, 1 }, 8, { 0, 1, 2, 3, 0, 1, 2, 3 } },
	{ "2,4", "1,-1", 0, 0, 2, { 2, 1 }, 8, { 0, 0, 0, 0, 1, 1, 1, 1 } },
	{ "2,2,2", "2,0", 0, 0, 2, { 2, 2 }, 8, { 0, 1, 0, 1, 2, 3, 2, 3 } },
	{ "4,2,2", "2,1", 0, 0, 2, { 4, 2 }, 16, { 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7 } },
	/* several axes, in the order of the matrix and in another one */
	{ "2,2,2", "2,1,0", 0, 0, 3, { 2, 2, 2 }, 8, { 0, 1, 2, 3, 4, 5, 6, 7 } },
	{ "4,2", "1,-1,0", 0, 0, 3, { 4, 1, 2 }, 8, { 0, 1, 2, 3, 4, 5, 6, 7 } },
	{ "2,4", "0,1", 0, 0, 2, { 4, 2 }, 8, { 0, 2, 4, 6, 1, 3, 5, 7 } },
	{ "1,4,1", "1,0", 0, 0, 2, { 4, 1 }, 4, { 0, 1, 2, 3 } },
	/* nested: the first device axis of a list is the most significant one */
	{ "2,4", "1,0;-1", 0, 0, 2, { 8, 1 }, 8, { 0, 1, 2, 3, 4, 5, 6, 7 } },
	{ "2,4", "0,1;-1", 0, 0, 2, { 8, 1 }, 8, { 0, 2, 4, 6, 1, 3, 5, 7 } },
	{ "2,2,2", "-1;1,0", 0, 0, 2, { 1, 4 }, 8, { 0, 1, 2, 3, 0, 1, 2, 3 } },
	{ "2,2,2", "1,0;", 0, 0, 1, { 4 }, 8, { 0, 1, 2, 3, 0, 1, 2, 3 } },
	{ "2,2,2", "0,2;1", 0, 0, 2, { 4, 2 }, 8, { 0, 4, 1, 5, 2, 6, 3, 7 } },
	/* optimizer shards: as many as ranks hold the block, fewer, and off */
	{ "4", "-1,-1", 1, -1, 2, { 4, 1 }, 4, { 0, 1, 2, 3 } },
	{ "4", "-1", 1, 2, 1, { 2 }, 4, { 0, 1, 0, 1 } },
	{ "4", "-1", 0, -1, 1, { 1 }, 4, { 0, 0, 0, 0 } },
	{ "4", "-1", 1, 0, 1, { 1 }, 4, { 0, 0, 0, 0 } },
	{ "4", "-1", 1, 1, 1, { 1 }, 4, { 0, 0, 0, 0 } },
	{ "4,2", "0,-1", 2, -1, 2, { 8, 1 }, 8, { 0, 4, 1, 5, 2, 6, 3, 7 } },
	{ "4,2", "0,-1", 2, 4, 2, { 8, 1 }, 8, { 0, 4, 1, 5, 2, 6, 3, 7 } },
	{ "4,2", "0,-1", 2, 2, 2, { 4, 1 }, 8, { 0, 2, 1, 3, 0, 2, 1, 3 } },
	{ "4,2", "-1,0", 2, -1, 2, { 4, 2 }, 8, { 0, 1, 2, 3, 4, 5, 6, 7 } },
	{ "4,2", "-1,0", 2, 2, 2, { 2, 2 }, 8, { 0, 1, 2, 3, 0, 1, 2, 3 } },
	{ "2,2,2", "1", 1, 2, 1, { 4 }, 8, { 0, 1, 2, 3, 0, 1, 2, 3 } },
	{ "2,2,2", "1", 1, -1, 1, { 8 }, 8, { 0, 1, 4, 5, 2, 3, 6, 7 } },
	{ "2,2,2", "1,0;", 4, -1, 1, { 8 }, 8, { 0, 2, 4, 6, 1, 3, 5, 7 } },
	/* where MindSpore's merging tools permute the blocks, but its training slicer does not */
	{ "2,4,2", "0,1", 8, -1, 2, { 4, 4 }, 16, { 0, 8, 1, 9, 2, 10, 3, 11, 4, 12, 5, 13, 6, 14, 7, 15 } },
	/* scalars */
	{ "4", "", 0, 0, 0, { 0 }, 4, { 0, 0, 0, 0 } },
	{ "4", NULL, 0, 0, 0, { 0 }, 4, { 0, 0, 0, 0 } },
	{ "2,2", ";", 1, 1, 0, { 0 }, 4, { 0, 0, 0, 0 } },
};

Test(sharding, table)
{
	for (size_t i = 0; i < sizeof(layouts) / sizeof(*layouts); i++) {
		struct arena *arena = arena_new();
		const struct layout *l = layout_of(arena, layouts[i].dev, layouts[i].map, layouts[i].step, layouts[i].size);
		uint32_t blocks = 1;

		cr_assert(l->devices == layouts[i].ranks && l->axes == layouts[i].axes && l->grid.axes == l->axes, "layout %zu", i);
		for (uint32_t a = 0; a < l->axes; blocks *= layouts[i].cuts[a++])
			cr_assert_eq(l->grid.cuts[a], layouts[i].cuts[a], "layout %zu: axis %u has %u parts", i, a, l->grid.cuts[a]);
		cr_assert_eq(l->grid.blocks, blocks, "layout %zu has %u blocks", i, l->grid.blocks);
		for (uint32_t r = 0; r < l->devices; r++)
			cr_assert_eq(sharding_block(l, r), layouts[i].block[r], "layout %zu: rank %u holds %u", i, r, sharding_block(l, r));
		arena_free(arena);
	}
}

static uint32_t draw(uint64_t *state, uint32_t below)
{
	*state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)(*state >> 33) % below;
}

/* A random layout as text: up to five device axes dealt to up to four tensor axes, nested, or to none; *size divides their holders. */
static void deal(uint64_t *seed, char *dev, char *map, int *size)
{
	uint32_t n = 1 + draw(seed, 5), axes = 1 + draw(seed, 4), holders = 1;
	char entry[4][16] = { "", "", "", "" };

	*dev = *map = 0;
	for (uint32_t i = 0; i < n; i++) {
		uint32_t d = 1 + draw(seed, 4), axis = draw(seed, axes + 1);

		sprintf(dev + strlen(dev), i ? ",%u" : "%u", d);
		if (axis < axes)
			sprintf(entry[axis] + strlen(entry[axis]), *entry[axis] ? ",%u" : "%u", n - 1 - i);
		else
			holders *= d;
	}
	for (uint32_t a = 0; a < axes; a++)
		sprintf(map + strlen(map), a ? ";%s" : "%s", *entry[a] ? entry[a] : "-1");
	if (axes == 1)
		strcat(map, ";");
	*size = draw(seed, 3) ? 1 + (int)draw(seed, holders) : -1;
	while (*size > 0 && holders % (uint32_t)*size)
		--*size;
}

Test(sharding, every_block_has_as_many_holders)
{
	uint64_t seed = 20240607;
	uint32_t shards = 0;

	for (int i = 0; i < 3000; i++) {
		struct arena *arena = arena_new();
		char dev[64], map[64];
		int size;

		deal(&seed, dev, map, &size);

		const struct layout *l = layout_of(arena, dev, map, 1, size);
		uint32_t *holders = arena_alloc(arena, l->grid.blocks, sizeof(*holders));

		for (uint32_t r = 0; r < l->devices; r++) {
			cr_assert_lt(sharding_block(l, r), l->grid.blocks, "[%s] [%s] %d", dev, map, size);
			holders[sharding_block(l, r)]++;
		}
		for (uint32_t b = 0; b < l->grid.blocks; b++)
			cr_assert_eq(holders[b], l->devices / l->grid.blocks, "[%s] [%s] %d: block %u has %u", dev, map, size, b, holders[b]);
		shards += l->opt_shards > 1;
		arena_free(arena);
	}
	cr_assert_gt(shards, 500, "only %u layouts had optimizer shards", shards);
}

/* Local rank 0 holds the first block and the last rank the last one, however the matrix is used. */
Test(sharding, corners)
{
	uint64_t seed = 7;

	for (int i = 0; i < 500; i++) {
		struct arena *arena = arena_new();
		char dev[64], map[64];
		int size;

		deal(&seed, dev, map, &size);

		const struct layout *l = layout_of(arena, dev, map, 1, size);

		cr_assert_eq(sharding_block(l, 0), 0);
		cr_assert_eq(sharding_block(l, l->devices - 1), l->grid.blocks - 1, "[%s] [%s] %d", dev, map, size);
		arena_free(arena);
	}
}

Test(sharding, shapes)
{
	struct arena *arena = arena_new();
	const struct layout *l = layout_of(arena, "4,2", "0,-1", 2, 2);
	const uint64_t slice[] = { 3, 5 }, none[] = { 0, 5 };
	uint64_t full[2], back[2];

	cr_assert_eq(sharding_full(l, slice, 2, full, &err), 0);
	cr_assert(full[0] == 12 && full[1] == 5, "%d %d", (int)full[0], (int)full[1]);
	cr_assert_eq(sharding_slice(l, full, 2, back, &err), 0);
	cr_assert(back[0] == 3 && back[1] == 5);
	cr_assert_eq(sharding_full(l, none, 2, full, &err), 0);
	cr_assert(full[0] == 0 && full[1] == 5);
	cr_assert_eq(sharding_full(layout_of(arena, "4", "", 0, 0), NULL, 0, NULL, &err), 0, "a scalar");
	arena_free(arena);
}

Test(sharding, full_of_slice_is_the_same)
{
	uint64_t seed = 99;

	for (int i = 0; i < 1000; i++) {
		struct arena *arena = arena_new();
		uint64_t slice[4], full[4], back[4];
		char dev[64], map[64];
		int size;

		deal(&seed, dev, map, &size);

		const struct layout *l = layout_of(arena, dev, map, 1, size);

		for (uint32_t a = 0; a < l->axes; a++)
			slice[a] = draw(&seed, 20);
		cr_assert_eq(sharding_full(l, slice, l->axes, full, &err), 0);
		cr_assert_eq(sharding_slice(l, full, l->axes, back, &err), 0);
		cr_assert_eq(memcmp(slice, back, l->axes * sizeof(*slice)), 0, "[%s] [%s] %d", dev, map, size);
		arena_free(arena);
	}
}

Test(sharding, shapes_that_do_not_fit)
{
	struct arena *arena = arena_new();
	const struct layout *l = layout_of(arena, "4,2", "0,-1", 2, 2);
	const uint64_t odd[] = { 10, 5 }, huge[] = { UINT64_MAX / 2, 5 };
	uint64_t out[3];

	cr_assert_eq(sharding_full(l, odd, 1, out, &err), -EINVAL);
	cr_assert(strstr(err.msg, "1 axes") && strstr(err.msg, "has 2"), "%s", err.msg);
	cr_assert_eq(sharding_slice(l, odd, 3, out, &err), -EINVAL);
	cr_assert(strstr(err.msg, "3 axes") && strstr(err.msg, "has 2"), "%s", err.msg);
	cr_assert_eq(sharding_slice(l, odd, 2, out, &err), -EINVAL);
	cr_assert(strstr(err.msg, "axis 0") && strstr(err.msg, "10 elements") && strstr(err.msg, "4 equal parts"), "%s", err.msg);
	cr_assert_eq(sharding_full(l, huge, 2, out, &err), -EINVAL);
	cr_assert(strstr(err.msg, "axis 0") && strstr(err.msg, "overflow"), "%s", err.msg);
	arena_free(arena);
}
