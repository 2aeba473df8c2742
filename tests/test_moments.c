/* SPDX-License-Identifier: Apache-2.0 */
/* Statistics against what arithmetic in long double, or the definition, gives; numpy's own answers are compared in tests/mount/test_stats.py. */
#include <criterion/criterion.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "layout/values/histogram.h"
#include "layout/values/moments.h"

#define COUNT 100000

static double uniform(void)
{
	return (double)rand() / RAND_MAX;
}

/* Adds `v` in `parts` parts, which are then merged in order. */
static struct moments of(const double *v, uint64_t count, uint64_t parts)
{
	struct moments all = MOMENTS_NONE;

	for (uint64_t p = 0; p < parts; p++) {
		struct moments part = MOMENTS_NONE;
		uint64_t first = count * p / parts;

		moments_add(&part, DTYPE_F64, (const uint8_t *)v, first, count * (p + 1) / parts - first);
		moments_merge(&all, &part);
	}
	return all;
}

static void check(const double *v, uint64_t count, const struct moments *m)
{
	long double sum = 0, squares = 0, mean;

	for (uint64_t i = 0; i < count; i++)
		sum += (long double)v[i];
	mean = sum / (long double)count;
	for (uint64_t i = 0; i < count; i++)
		squares += ((long double)v[i] - mean) * ((long double)v[i] - mean);
	cr_assert_eq(m->finite, count);
	cr_assert_leq(fabsl((long double)m->mean + (long double)m->rest - mean), fabsl(mean) * 2e-16L + 1e-300L, "mean %.17g, want %.20Lg", m->mean, mean);
	cr_assert_leq(fabsl((long double)m->squares - squares), squares * 1e-13L, "squares %.17g, want %.20Lg", m->squares, squares);
}

/* A mean that is large beside the deviation is what sums of squares fail at. */
Test(moments, sound)
{
	static const double offsets[] = { 0, 1, -1000, 1e6, 1e9 };
	static double v[COUNT];

	srand(5);
	for (size_t o = 0; o < sizeof(offsets) / sizeof(offsets[0]); o++) {
		for (uint64_t i = 0; i < COUNT; i++)
			v[i] = offsets[o] + uniform();
		for (uint64_t parts = 1; parts < 5000; parts = parts * 7 + 1) {
			struct moments m = of(v, COUNT, parts);

			check(v, COUNT, &m);
		}
	}
}

Test(moments, ends_and_what_is_not_finite)
{
	double v[] = { 3, NAN, -INFINITY, 0, INFINITY, -2, -0.0, NAN, INFINITY, 7 }, other[] = { NAN }, none[1] = { 0 };
	struct moments m = MOMENTS_NONE;

	moments_add(&m, DTYPE_F64, (const uint8_t *)other, 0, 1);
	moments_add(&m, DTYPE_F64, (const uint8_t *)v, 0, 10);
	moments_add(&m, DTYPE_F64, (const uint8_t *)none, 0, 0);
	cr_assert(m.finite == 5 && m.zeros == 2 && m.nans == 3 && m.plus_infs == 2 && m.minus_infs == 1);
	cr_assert(m.ends.min == -2 && m.ends.max == 7 && m.mean == 1.6);
	cr_assert_float_eq(moments_variance(&m), (4 + 9 + 49 - 5 * 1.6 * 1.6) / 5, 1e-14);
	m = MOMENTS_NONE;
	cr_assert(moments_variance(&m) == 0);
}

Test(moments, integers_have_exact_ends)
{
	int64_t i[] = { INT64_MAX - 1, INT64_MIN + 1, 5, INT64_MAX - 2 };
	uint64_t u[] = { UINT64_MAX - 1, UINT64_MAX - 3, UINT64_MAX - 2 };
	int8_t b[] = { -128, 127, 0 };
	char text[VALUES_TEXT];
	struct moments m = MOMENTS_NONE;

	for (uint64_t at = 0; at < 4; at++)
		moments_add(&m, DTYPE_I64, (const uint8_t *)i, at, 1);
	cr_assert_str_eq(moments_end_text(&m, VALUES_SIGNED, true, text), "9223372036854775806");
	cr_assert_str_eq(moments_end_text(&m, VALUES_SIGNED, false, text), "-9223372036854775807");
	m = MOMENTS_NONE;
	for (uint64_t at = 0; at < 3; at++)
		moments_add(&m, DTYPE_U64, (const uint8_t *)u, at, 1);
	cr_assert_str_eq(moments_end_text(&m, VALUES_UNSIGNED, true, text), "18446744073709551614");
	cr_assert_str_eq(moments_end_text(&m, VALUES_UNSIGNED, false, text), "18446744073709551612");
	m = MOMENTS_NONE;
	moments_add(&m, DTYPE_I8, (const uint8_t *)b, 0, 3);
	cr_assert_str_eq(moments_end_text(&m, VALUES_SIGNED, false, text), "-128");
	cr_assert_eq(m.zeros, 1);
}

/* Two numbers for each complex element. */
Test(moments, complex_parts)
{
	float c[] = { 1, -5, 0, NAN };
	struct moments m = MOMENTS_NONE;

	moments_add(&m, DTYPE_C64, (const uint8_t *)c, 0, 2);
	cr_assert(m.finite == 3 && m.nans == 1 && m.zeros == 1 && m.ends.min == -5 && m.ends.max == 1);
}

Test(histogram, every_number_is_in_its_bin)
{
	static double v[COUNT];
	uint64_t want[HISTOGRAM_BINS] = { 0 }, most = HISTOGRAM_BINS - 1;
	struct histogram h, part;

	srand(6);
	for (uint64_t i = 0; i < COUNT; i++)
		v[i] = i % 10 == 0 ? (double)(rand() % 21) / 20 * 3 - 1 : uniform() * 3 - 1; /* some on the edges */
	v[0] = -1;
	v[1] = 2;
	cr_assert(histogram_begin(&h, -1, 2));
	part = h;
	cr_assert(h.edge[0] == -1 && h.edge[HISTOGRAM_BINS] == 2);
	for (uint64_t i = 0; i < COUNT; i++) {
		uint64_t bin = 0;

		while (bin < most && v[i] >= h.edge[bin + 1])
			bin++;
		want[bin]++;
	}
	histogram_add(&h, DTYPE_F64, (const uint8_t *)v, 0, COUNT / 3);
	histogram_add(&part, DTYPE_F64, (const uint8_t *)v, COUNT / 3, COUNT - COUNT / 3);
	histogram_merge(&h, &part);
	for (uint64_t i = 0; i < HISTOGRAM_BINS; i++)
		cr_assert_eq(h.count[i], want[i], "bin %zu", (size_t)i);
}

Test(histogram, odd_ends)
{
	float v[] = { 5, NAN, INFINITY, 5 };
	struct histogram h;

	cr_assert(histogram_begin(&h, 5, 5));
	cr_assert(h.edge[0] == 4.5 && h.edge[HISTOGRAM_BINS] == 5.5);
	histogram_add(&h, DTYPE_F32, (const uint8_t *)v, 0, 4);
	cr_assert_eq(h.count[HISTOGRAM_BINS / 2], 2);
	cr_assert_not(histogram_begin(&h, -DBL_MAX, DBL_MAX));
	cr_assert_not(histogram_begin(&h, 1e300, 1e300), "half a step is nothing there");
}
