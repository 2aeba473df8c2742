/* SPDX-License-Identifier: Apache-2.0 */
/* How many runs a range takes, and offsets beyond 32 bits: tensors far too large to have their bytes here. */
#include <criterion/criterion.h>

#include "layout/view/plan.h"

/* Runs that a range of a whole tensor takes; `pieces` are not read. */
static uint64_t count_runs(const struct tensor *t, uint64_t offset, uint64_t len)
{
	struct arena *arena = arena_new();
	struct image *image = image_new(arena, 1);
	struct grid uncut = box_uncut(t->axes);
	uint64_t runs = 0, bytes = 0;
	struct plan plan;
	struct run r;

	image_add_block(image, t, &uncut, 0);
	plan_begin(&plan, image, offset, len);
	for (; plan_next(&plan, &r); runs++)
		bytes += r.len * r.rows;
	arena_free(arena);
	cr_assert_eq(bytes, len);
	return runs;
}

static const struct few {
	const char *what;
	uint64_t shape[3];
	uint32_t cuts[3], axes, blocks;
	uint64_t most; /* runs that 1 MiB may take at any offset */
} few[] = {
	{ "last axis: first row, rows, last row", { 4096, 4096 }, { 1, 8 }, 2, 8, 3 * 8 + 1 },
	{ "first axis: whole rows", { 4096, 4096 }, { 8, 1 }, 2, 8, 2 },
	{ "uncut", { 4096, 4096 }, { 1, 1 }, 2, 1, 1 },
	{ "last axis of three: the uncut ones are one", { 512, 64, 512 }, { 1, 1, 8 }, 3, 8, 3 * 8 + 1 },
	{ "both axes: two groups of rows", { 4096, 4096 }, { 8, 8 }, 2, 64, 4 * 8 + 1 },
	{ "middle axis: columns of many rows", { 4096, 8, 512 }, { 1, 8, 1 }, 3, 8, 3 * 8 + 1 },
};

Test(plan_runs, a_cut_axis_costs_runs_by_pieces_not_by_rows)
{
	static const struct piece pieces[64];

	for (size_t i = 0; i < sizeof(few) / sizeof(*few); i++) {
		const struct few *f = &few[i];
		struct tensor t = { .name = "t", .shape = f->shape, .pieces = pieces, .dtype = DTYPE_F16, .axes = f->axes };

		t.grid = (struct grid){ .axes = f->axes, .blocks = f->blocks, .cuts = f->cuts };
		t.bytes = 2 * f->shape[0] * f->shape[1] * (f->axes == 3 ? f->shape[2] : 1);
		for (uint64_t at = 0; at + (1 << 20) <= t.bytes; at += 999983) {
			uint64_t runs = count_runs(&t, at, 1 << 20);

			cr_assert_leq(runs, f->most, "%s: %llu runs at %llu", f->what, (unsigned long long)runs, (unsigned long long)at);
		}
	}
}

/* Single bytes and short ranges of 512 GiB, cut in 2 * 8: each piece of 32 GiB has a file of its own, and begins at 1 TiB. */
Test(plan_runs, offsets_beyond_32_bits)
{
	static const uint64_t rows = UINT64_C(1) << 20, columns = UINT64_C(1) << 19, offset = UINT64_C(1) << 40;
	const uint64_t shape[] = { rows, columns / 4 };
	const uint32_t cuts[] = { 2, 8 };
	struct piece pieces[16];
	struct tensor t = { .name = "t", .shape = shape, .pieces = pieces, .dtype = DTYPE_F32, .axes = 2, .bytes = rows * columns };
	struct arena *arena = arena_new();
	struct image *image = image_new(arena, 1);
	struct grid uncut = box_uncut(2);

	t.grid = (struct grid){ .axes = 2, .blocks = 16, .cuts = cuts };
	for (uint32_t b = 0; b < 16; b++)
		pieces[b] = (struct piece){ .offset = offset, .source = b };
	image_add_block(image, &t, &uncut, 0);
	for (uint64_t at = 12345; at < t.bytes; at += UINT64_C(987654321)) {
		uint64_t row = at / columns, byte = at % columns, width = columns / 8;
		uint64_t src = offset + row % (rows / 2) * width + byte % width;
		struct plan plan;
		struct run r;

		plan_begin(&plan, image, at, 1);
		cr_assert(plan_next(&plan, &r) && r.len == 1 && r.rows == 1 && r.dst == 0);
		cr_assert(r.source == row / (rows / 2) * 8 + byte / width && r.src == src, "byte %llu", (unsigned long long)at);
		cr_assert_not(plan_next(&plan, &r));
	}
	arena_free(arena);
}
