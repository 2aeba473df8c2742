/* SPDX-License-Identifier: Apache-2.0 */
/* What counts as a difference, and that parts add up to the whole; numpy's answers are compared in tests/mount/test_diff.py. */
#include <criterion/criterion.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "layout/values/difference.h"

static struct difference of(enum dtype a_type, const void *a, enum dtype b_type, const void *b, uint64_t count)
{
	struct difference d = { 0 };

	difference_add(&d, &(struct difference_runs){ .a_type = a_type, .b_type = b_type, .a_data = a, .b_data = b, .count = count });
	return d;
}

Test(difference, pairs_of_doubles)
{
	static const struct {
		double a, b;
		uint64_t differing, nans;
		double absolute, relative;
	} cases[] = {
		{ 1, 1, 0, 0, 0, 0 }, { 0.0, -0.0, 0, 0, 0, 0 }, { NAN, -NAN, 0, 0, 0, 0 }, { NAN, 1, 1, 1, 0, 0 }, { INFINITY, NAN, 1, 1, 0, 0 },
		{ INFINITY, INFINITY, 0, 0, 0, 0 }, { INFINITY, -INFINITY, 1, 0, INFINITY, INFINITY }, { 5, -INFINITY, 1, 0, INFINITY, INFINITY },
		{ 1, 1.5, 1, 0, 0.5, 0.5 / 1.5 }, { -1, 1, 1, 0, 2, 2 }, { 0, 3, 1, 0, 3, 1 }, { DBL_MAX, -DBL_MAX, 1, 0, INFINITY, 2 },
		{ 0x1p-1074, 0, 1, 0, 0x1p-1074, 1 }, { 1, 1 + DBL_EPSILON, 1, 0, DBL_EPSILON, DBL_EPSILON / (1 + DBL_EPSILON) },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct difference d = of(DTYPE_F64, &cases[i].a, DTYPE_F64, &cases[i].b, 1), e = of(DTYPE_F64, &cases[i].b, DTYPE_F64, &cases[i].a, 1);

		cr_assert(d.differing == cases[i].differing && d.nans == cases[i].nans, "case %zu", i);
		cr_assert(d.absolute == cases[i].absolute && d.relative == cases[i].relative, "case %zu: %g %g", i, d.absolute, d.relative);
		cr_assert(e.differing == d.differing && e.nans == d.nans && e.absolute == d.absolute && e.relative == d.relative, "case %zu, turned round", i);
	}
}

Test(difference, integers_are_exact)
{
	static const int64_t a[] = { INT64_MIN, INT64_MAX, -1 };
	static const uint64_t b[] = { UINT64_MAX, INT64_MAX, 0 };
	struct difference d = of(DTYPE_I64, a, DTYPE_U64, b, 3);

	cr_assert(d.differing == 2 && d.first == 0 && d.at == 0 && d.absolute == 0x1.8p64);
	d = of(DTYPE_I64, a, DTYPE_I64, (const int64_t[]){ INT64_MIN, INT64_MAX - 1, -1 }, 3);
	cr_assert(d.differing == 1 && d.first == 1 && d.absolute == 1);
	d = of(DTYPE_BOOL, "\1\0", DTYPE_I8, "\1\377", 2);
	cr_assert(d.differing == 1 && d.absolute == 1 && d.relative == 1);
}

Test(difference, what_can_be_compared)
{
	cr_assert(difference_comparable(DTYPE_F32, DTYPE_I8));
	cr_assert(difference_comparable(DTYPE_C64, DTYPE_C64));
	cr_assert_not(difference_comparable(DTYPE_C64, DTYPE_F64));
}

Test(difference, parts_add_up)
{
	static float a[20000], b[20000];

	srand(9);
	for (int round = 0; round < 200; round++) {
		struct difference all, sum = { 0 };

		for (size_t i = 0; i < 20000; i++) {
			a[i] = b[i] = (float)rand() / 1000;
			if (rand() % 3000 == 0)
				b[i] = rand() % 4 ? b[i] + (float)(rand() % 5) : NAN;
		}
		all = of(DTYPE_F32, a, DTYPE_F32, b, 20000);
		for (uint64_t at = 0, n; at < 20000; at += n) {
			struct difference part = { 0 };

			n = 1 + (uint64_t)rand() % 6000;
			n = n < 20000 - at ? n : 20000 - at;
			difference_add(&part, &(struct difference_runs){ .a_type = DTYPE_F32, .b_type = DTYPE_F32, .a_data = (const uint8_t *)(a + at),
									 .b_data = (const uint8_t *)(b + at), .first = at, .count = n });
			difference_merge(&sum, &part);
		}
		cr_assert(sum.differing == all.differing && sum.nans == all.nans && sum.absolute == all.absolute && sum.relative == all.relative);
		cr_assert(all.differing == 0 || (sum.first == all.first && sum.at == all.at));
	}
}
