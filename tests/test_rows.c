/* SPDX-License-Identifier: Apache-2.0 */
/* Copying rows and blocks of them: every size and stride against byte by byte copies, and which runs join a block. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "fs/source/rows.h"

static uint64_t draw(uint64_t *seed, uint64_t below)
{
	*seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (*seed >> 33) % below;
}

/* A block of random measure: either destination may have its elements next to each other, as transposing has them. */
static struct rows_block draw_block(uint64_t *seed)
{
	static const uint64_t lengths[] = { 1, 2, 2, 2, 4, 8, 3, 16, 100 };
	struct rows_block b = { .run = { .len = lengths[draw(seed, 9)], .rows = 1 + draw(seed, 40) }, .columns = 1 + draw(seed, 80) };

	b.run.src_stride = b.columns * b.run.len + draw(seed, 30);
	b.run.dst_stride = b.run.len + draw(seed, 2) * draw(seed, 5);
	b.step = b.run.rows * b.run.dst_stride + draw(seed, 20);
	return b;
}

Test(rows, blocks)
{
	for (uint64_t seed = 1; seed < 4000; seed += 2) {
		uint64_t state = seed << 20;
		struct rows_block b = draw_block(&state);
		size_t from = b.run.rows * b.run.src_stride, to = b.columns * b.step + b.run.len;
		uint8_t *src = malloc(from), *got = malloc(to), *want = malloc(to);

		for (size_t i = 0; i < from; i++)
			src[i] = (uint8_t)draw(&state, 256);
		memset(got, 7, to);
		memset(want, 7, to);
		for (uint64_t c = 0; c < b.columns; c++)
			for (uint64_t r = 0; r < b.run.rows; r++)
				for (uint64_t k = 0; k < b.run.len; k++)
					want[c * b.step + r * b.run.dst_stride + k] = src[r * b.run.src_stride + c * b.run.len + k];
		rows_copy_block(got, src, &b);
		cr_assert_eq(memcmp(got, want, to), 0, "%llu rows, %llu columns of %llu bytes", (unsigned long long)b.run.rows,
			     (unsigned long long)b.columns, (unsigned long long)b.run.len);
		free(src);
		free(got);
		free(want);
	}
}

static const struct {
	struct run run;
	bool joins;
} next[] = { /* to a block of one run: 5 rows of 2 bytes, source 1 at 100, 50 apart, to 1000, 2 apart */
	{ { .source = 1, .src = 102, .dst = 1010, .len = 2, .rows = 5, .src_stride = 50, .dst_stride = 2 }, true },
	{ { .source = 1, .src = 102, .dst = 1500, .len = 2, .rows = 5, .src_stride = 50, .dst_stride = 2 }, true },
	{ { .source = 2, .src = 102, .dst = 1010, .len = 2, .rows = 5, .src_stride = 50, .dst_stride = 2 }, false },
	{ { .source = 1, .src = 104, .dst = 1010, .len = 2, .rows = 5, .src_stride = 50, .dst_stride = 2 }, false },
	{ { .source = 1, .src = 102, .dst = 990, .len = 2, .rows = 5, .src_stride = 50, .dst_stride = 2 }, false },
	{ { .source = 1, .src = 102, .dst = 1010, .len = 1, .rows = 5, .src_stride = 50, .dst_stride = 2 }, false },
	{ { .source = 1, .src = 102, .dst = 1010, .len = 2, .rows = 4, .src_stride = 50, .dst_stride = 2 }, false },
	{ { .source = 1, .src = 102, .dst = 1010, .len = 2, .rows = 5, .src_stride = 52, .dst_stride = 2 }, false },
	{ { .source = 1, .src = 102, .dst = 1010, .len = 2, .rows = 5, .src_stride = 50, .dst_stride = 4 }, false },
};

Test(rows, joining)
{
	for (size_t i = 0; i < sizeof(next) / sizeof(*next); i++) {
		struct rows_block b = {
			.run = { .source = 1, .src = 100, .dst = 1000, .len = 2, .rows = 5, .src_stride = 50, .dst_stride = 2 },
			.columns = 1
		};
		struct run third = next[i].run;

		cr_assert_eq(rows_join(&b, &next[i].run), next[i].joins, "case %zu", i);
		cr_assert_eq(b.columns, next[i].joins ? 2 : 1);
		if (!next[i].joins)
			continue;
		third.src += 2;
		third.dst += b.step + 1;
		cr_assert_not(rows_join(&b, &third), "the step is that of the first two");
		third.dst--;
		cr_assert(rows_join(&b, &third));
	}
}
