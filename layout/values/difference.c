/* SPDX-License-Identifier: Apache-2.0 */
/* See difference.h. Most of what is compared is equal, so runs of bytes are compared first, and only where they differ as numbers. */
#include <string.h>

#include "layout/base/bytes.h"
#include "layout/values/difference.h"

#define RUN 2048 /* elements */

bool difference_comparable(enum dtype a, enum dtype b)
{
	return (values_kind(a) == VALUES_COMPLEX) == (values_kind(b) == VALUES_COMPLEX);
}

static void note(struct difference *d, uint64_t element, double absolute, double share)
{
	if (d->differing++ == 0)
		d->first = d->at = element;
	if (absolute > d->absolute) {
		d->absolute = absolute;
		d->at = element;
	}
	if (share > d->relative)
		d->relative = share;
}

/* The difference over the larger magnitude; halves are subtracted where the whole difference is no finite number. */
static double relative(double a, double b, double absolute)
{
	double x = __builtin_fabs(a), y = __builtin_fabs(b), larger = x > y ? x : y;

	if (__builtin_isinf(larger))
		return larger;
	return __builtin_isinf(absolute) ? __builtin_fabs(a / 2 - b / 2) / (larger / 2) : absolute / larger;
}

static void compare(struct difference *d, uint64_t element, double a, double b)
{
	bool a_nan = __builtin_isnan(a), b_nan = __builtin_isnan(b);
	double absolute = __builtin_fabs(a - b);

	if (a == b || (a_nan && b_nan))
		return;
	d->nans += a_nan || b_nan;
	if (a_nan || b_nan)
		note(d, element, 0, 0);
	else
		note(d, element, absolute, relative(a, b, absolute));
}

static uint64_t magnitude(const struct value *v)
{
	return v->kind == VALUES_SIGNED && v->i < 0 ? -(uint64_t)v->i : v->u;
}

/* Integers, those of 64 bits before a double would round them; a sum that needs 65 bits is rounded in any case. */
static void compare_whole(struct difference *d, uint64_t element, const struct value *a, const struct value *b)
{
	uint64_t x = magnitude(a), y = magnitude(b), sum;
	bool apart = (a->kind == VALUES_SIGNED && a->i < 0) != (b->kind == VALUES_SIGNED && b->i < 0);
	double absolute;

	if (x == y && (!apart || x == 0))
		return;
	if (!apart)
		absolute = (double)(x > y ? x - y : y - x);
	else
		absolute = bytes_add(x, y, &sum) ? (double)sum : (double)x + (double)y;
	note(d, element, absolute, absolute / (double)(x > y ? x : y));
}

static bool is_whole(enum dtype dtype)
{
	return values_kind(dtype) < VALUES_FLOAT;
}

static void compare_run(struct difference *d, const struct difference_runs *runs, uint64_t at, uint64_t count)
{
	uint64_t parts = values_kind(runs->a_type) == VALUES_COMPLEX ? 2 : 1;
	double a[2 * RUN], b[2 * RUN];

	if (is_whole(runs->a_type) && is_whole(runs->b_type)) {
		for (uint64_t i = at; i < at + count; i++) {
			struct value x = values_get(runs->a_type, runs->a_data, i), y = values_get(runs->b_type, runs->b_data, i);

			compare_whole(d, runs->first + i, &x, &y);
		}
		return;
	}
	values_doubles(runs->a_type, runs->a_data, at, count, a);
	values_doubles(runs->b_type, runs->b_data, at, count, b);
	for (uint64_t i = 0; i < count * parts; i++)
		compare(d, runs->first + at + i / parts, a[i], b[i]);
}

/* Whether both runs are the same bytes; `at` and RUN are multiples of 8 elements, so they begin at whole bytes. */
static bool same_bytes(const struct difference_runs *runs, uint64_t at, uint64_t count)
{
	uint32_t bits = dtype_bits(runs->a_type);

	return runs->a_type == runs->b_type && memcmp(runs->a_data + at * bits / 8, runs->b_data + at * bits / 8, (count * bits + 7) / 8) == 0;
}

void difference_add(struct difference *d, const struct difference_runs *runs)
{
	for (uint64_t at = 0; at < runs->count; at += RUN) {
		uint64_t count = runs->count - at < RUN ? runs->count - at : RUN;

		if (!same_bytes(runs, at, count))
			compare_run(d, runs, at, count);
	}
}

void difference_merge(struct difference *d, const struct difference *later)
{
	if (later->differing == 0)
		return;
	if (d->differing == 0)
		d->first = later->first;
	if (d->differing == 0 || later->absolute > d->absolute) {
		d->absolute = later->absolute;
		d->at = later->at;
	}
	d->relative = later->relative > d->relative ? later->relative : d->relative;
	d->differing += later->differing;
	d->nans += later->nans;
}
