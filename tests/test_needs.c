/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What ranges of an image need, against index arithmetic: tensors of bytes, cut in `down` x `across`, block b of tensor t at a place
 * of source b % sources that is easy to compute.
 */
#include <criterion/criterion.h>

#include "layout/view/needs.h"

#define TENSORS 3

struct world {
	uint64_t rows, columns;
	uint32_t down, across, sources;
	uint64_t gap; /* bytes before each block in its source */

	struct arena *arena;
	struct image *image;
	uint64_t shape[2];
	uint32_t cuts[2], whole[2];
	struct grid grid;
	struct tensor tensor[TENSORS];
};

static uint64_t block_bytes(const struct world *w)
{
	return w->rows * w->columns / (w->down * w->across);
}

/* Where a block begins in its source: block after block, tensor after tensor. */
static uint64_t place(const struct world *w, uint64_t t, uint32_t block)
{
	uint64_t blocks = w->down * w->across, number = t * ((blocks + w->sources - 1) / w->sources) + block / w->sources;

	return w->gap + number * (block_bytes(w) + w->gap);
}

static void make(struct world *w)
{
	uint32_t blocks = w->down * w->across;

	w->arena = arena_new();
	w->image = image_new(w->arena, TENSORS + 1);
	w->shape[0] = w->rows;
	w->shape[1] = w->columns;
	w->cuts[0] = w->down;
	w->cuts[1] = w->across;
	w->whole[0] = w->whole[1] = 1;
	w->grid = (struct grid){ .axes = 2, .blocks = 1, .cuts = w->whole };
	image_add_literal(w->image, (struct bytes){ (const uint8_t *)"0123456789", 10 });
	for (uint32_t t = 0; t < TENSORS; t++) {
		struct piece *pieces = arena_alloc(w->arena, blocks, sizeof(*pieces));

		for (uint32_t b = 0; b < blocks; b++)
			pieces[b] = (struct piece){ place(w, t, b), b % w->sources };
		w->tensor[t] = (struct tensor){ .name = "t", .shape = w->shape, .pieces = pieces, .axes = 2, .bytes = w->rows * w->columns, .dtype = DTYPE_U8,
						.grid = { .axes = 2, .blocks = blocks, .cuts = w->cuts } };
		image_add_block(w->image, &w->tensor[t], &w->grid, 0);
	}
}

/* Source and offset of a byte of the image behind its first ten. */
static uint32_t find(const struct world *w, uint64_t byte, uint64_t *offset)
{
	uint64_t at = byte - 10, t = at / (w->rows * w->columns), in = at % (w->rows * w->columns);
	uint64_t row = in / w->columns, column = in % w->columns, height = w->rows / w->down, width = w->columns / w->across;
	uint32_t block = (uint32_t)(row / height * w->across + column / width);

	*offset = place(w, t, block) + row % height * width + column % width;
	return block % w->sources;
}

/* The number of the range that holds a byte of a source; the count when none does. */
static uint32_t holder(const struct needs *n, uint32_t source, uint64_t offset)
{
	uint32_t i = 0;

	while (i < n->count && !(n->list[i].source == source && n->list[i].lo <= offset && offset < n->list[i].hi))
		i++;
	return i;
}

/* All that is needed is there, nothing is in two ranges, and a range comes before those that are needed later. */
static void check(const struct world *w, uint64_t offset, uint64_t len)
{
	uint64_t place_of, total = 0, next = 0;
	struct needs n;

	needs_find(w->image, offset, len, &n);
	for (uint64_t at = offset < 10 ? 10 : offset; at < offset + len; at++) {
		uint32_t source = find(w, at, &place_of), i = holder(&n, source, place_of);

		cr_assert_lt(i, n.count, "byte %lu of source %u, which byte %lu needs, is in no range", (unsigned long)place_of, source, (unsigned long)at);
		cr_assert_leq(i, next, "range %u is needed before range %lu", i, (unsigned long)next);
		next = i == next ? next + 1 : next;
	}
	cr_assert_eq(next, n.count, "a range that nothing needs");
	for (uint32_t i = 0; i < n.count; i++) {
		cr_assert_lt(n.list[i].lo, n.list[i].hi);
		total += n.list[i].hi - n.list[i].lo;
	}
	cr_assert_leq(total, (len + w->sources * NEEDS_GAP) * (w->gap + 1), "more than rows and small gaps");
}

static void check_all(struct world w)
{
	uint64_t seed = 5;

	make(&w);
	check(&w, 0, w.image->size);
	for (int i = 0; i < 40; i++) {
		uint64_t a, b;

		seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407;
		a = (seed >> 20) % w.image->size;
		seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407;
		b = (seed >> 20) % (w.image->size - a);
		check(&w, a, b);
	}
	arena_free(w.arena);
}

Test(needs, rows_of_several_ranks)
{
	check_all((struct world){ .rows = 64, .columns = 96, .down = 1, .across = 8, .sources = 8 });
	check_all((struct world){ .rows = 40, .columns = 96, .down = 4, .across = 2, .sources = 3, .gap = 5 });
}

Test(needs, whole_blocks)
{
	check_all((struct world){ .rows = 64, .columns = 32, .down = 8, .across = 1, .sources = 8 });
	check_all((struct world){ .rows = 9, .columns = 7, .down = 3, .across = 1, .sources = 1 });
}

/* A megabyte of eight ranks' rows is eight ranges, each of all its rows; of one rank's block it is one. */
Test(needs, how_many_ranges)
{
	struct world w = { .rows = 4096, .columns = 2048, .down = 1, .across = 8, .sources = 8 }, b = { .rows = 4096, .columns = 2048, .down = 8, .across = 1, .sources = 8 };
	struct needs n;

	make(&w);
	needs_find(w.image, 10 + (1 << 20), 1 << 20, &n);
	cr_assert_eq(n.count, 8);
	for (uint32_t i = 0; i < 8; i++) {
		cr_assert_eq(n.list[i].source, i);
		cr_assert_eq(n.list[i].hi - n.list[i].lo, (1 << 20) / 8);
		cr_assert_eq(n.list[i].lo, (1 << 20) / 8);
	}
	arena_free(w.arena);
	make(&b);
	needs_find(b.image, 10 + (1 << 20), 1 << 20, &n);
	cr_assert_eq(n.count, 1);
	cr_assert_eq(n.list[0].source, 1);
	arena_free(b.arena);
}

/* Rows far apart are ranges of their own, and of too many only the first are told; close ones are one with what lies between. */
Test(needs, strided_sources)
{
	static const uint64_t shape[2] = { 600, 100000 };
	static const uint32_t whole[2] = { 1, 1 }, across[2] = { 1, 1000 }, wide[2] = { 1, 2 };
	const struct piece piece = { 50, 3 };
	const struct tensor tensor = { .name = "t", .shape = shape, .pieces = &piece, .axes = 2, .bytes = 60000000, .dtype = DTYPE_U8,
				       .grid = { .axes = 2, .blocks = 1, .cuts = whole } };
	const struct grid narrow = { .axes = 2, .blocks = 1000, .cuts = across }, half = { .axes = 2, .blocks = 2, .cuts = wide };
	struct arena *arena = arena_new();
	struct image *image = image_new(arena, 1), *other = image_new(arena, 1);
	struct needs n;

	image_add_block(image, &tensor, &narrow, 1);
	needs_find(image, 0, image->size, &n);
	cr_assert_eq(n.count, NEEDS_MAX);
	for (uint32_t i = 0; i < n.count; i++)
		cr_assert(n.list[i].lo == 50 + 100 + i * UINT64_C(100000) && n.list[i].hi == n.list[i].lo + 100, "row %u", i);
	image_add_block(other, &tensor, &half, 1);
	needs_find(other, 0, 500000, &n);
	cr_assert_eq(n.count, 10, "gaps of 50,000 bytes are not read along");
	arena_free(arena);
}

Test(needs, bytes_of_ours)
{
	struct world w = { .rows = 8, .columns = 8, .down = 1, .across = 2, .sources = 2 };
	struct needs n;

	make(&w);
	needs_find(w.image, 0, 10, &n);
	cr_assert_eq(n.count, 0);
	needs_find(w.image, 3, 0, &n);
	cr_assert_eq(n.count, 0);
	arena_free(w.arena);
}
