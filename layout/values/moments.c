/* SPDX-License-Identifier: Apache-2.0 */
/* See moments.h. Sums run in four lanes, which are added in a fixed order: four times as fast as one, and the same everywhere. */
#include <inttypes.h>
#include <stdio.h>

#include "layout/values/moments.h"

#define RUN 2048 /* elements; their doubles stay in the nearest cache */
#define LANES 4

/* Moves the finite numbers to the front and counts the others. Returns how many are finite. */
static uint64_t keep_finite(double *v, uint64_t count, struct moments *m)
{
	uint64_t kept = 0;

	for (uint64_t i = 0; i < count; i++) {
		double x = v[i];

		v[kept] = x;
		kept += (uint64_t)!!__builtin_isfinite(x);
		if (__builtin_expect(!__builtin_isfinite(x), 0)) {
			m->nans += (uint64_t)!!__builtin_isnan(x);
			m->plus_infs += x > 0;
			m->minus_infs += x < 0;
		}
	}
	return kept;
}

static double sum(const double *v, uint64_t count)
{
	double lane[LANES] = { 0 };
	uint64_t i = 0;

	for (; i + LANES <= count; i += LANES)
		for (uint32_t l = 0; l < LANES; l++)
			lane[l] += v[i + l];
	for (; i < count; i++)
		lane[0] += v[i];
	return (lane[0] + lane[1]) + (lane[2] + lane[3]);
}

/* The sum of the squares of what differs from the mean, and in *rest the sum of what differs, which would be 0 but for rounding. */
static double sum_of_squares(const double *v, uint64_t count, double mean, double *rest)
{
	double lane[LANES] = { 0 }, left[LANES] = { 0 };
	uint64_t i = 0;

	for (; i + LANES <= count; i += LANES)
		for (uint32_t l = 0; l < LANES; l++) {
			left[l] += v[i + l] - mean;
			lane[l] += (v[i + l] - mean) * (v[i + l] - mean);
		}
	for (; i < count; i++) {
		left[0] += v[i] - mean;
		lane[0] += (v[i] - mean) * (v[i] - mean);
	}
	*rest = (left[0] + left[1]) + (left[2] + left[3]);
	return (lane[0] + lane[1]) + (lane[2] + lane[3]);
}

static void find_ends(const double *v, uint64_t count, struct moments *m)
{
	double min = v[0], max = v[0];
	uint64_t zeros = 0;

	for (uint64_t i = 0; i < count; i++) {
		min = v[i] < min ? v[i] : min;
		max = v[i] > max ? v[i] : max;
		zeros += v[i] == 0;
	}
	m->ends.min = min;
	m->ends.max = max;
	m->zeros += zeros;
}

/* The ends of integers, which doubles would round when they have 64 bits. */
static void find_whole_ends(enum dtype dtype, const uint8_t *data, uint64_t first, uint64_t count, struct moments_ends *ends)
{
	bool is_signed = values_kind(dtype) == VALUES_SIGNED;

	if (dtype_bits(dtype) < 64) {
		ends->i_min = (int64_t)ends->min; /* as u_min too: it is not negative then */
		ends->i_max = (int64_t)ends->max;
		return;
	}
	for (uint64_t i = 0; i < count; i++) {
		struct value v = values_get(dtype, data, first + i);

		if (is_signed) {
			ends->i_min = i == 0 || v.i < ends->i_min ? v.i : ends->i_min;
			ends->i_max = i == 0 || v.i > ends->i_max ? v.i : ends->i_max;
		} else {
			ends->u_min = i == 0 || v.u < ends->u_min ? v.u : ends->u_min;
			ends->u_max = i == 0 || v.u > ends->u_max ? v.u : ends->u_max;
		}
	}
}

/* Unites the ends. Of types of two signs only the doubles are right; those of one type all. */
static void merge_ends(struct moments_ends *a, const struct moments_ends *b)
{
	if (b->min < a->min || (b->min == a->min && (a->min < 0 ? b->i_min < a->i_min : b->u_min < a->u_min))) {
		a->min = b->min;
		a->u_min = b->u_min;
	}
	if (b->max > a->max || (b->max == a->max && (a->max < 0 ? b->i_max > a->i_max : b->u_max > a->u_max))) {
		a->max = b->max;
		a->u_max = b->u_max;
	}
}

/* Moves the mean by `step`; what the sum loses goes into the rest. */
static void move_mean(struct moments *m, double step)
{
	double low = m->rest + step, sum = m->mean + low, back = sum - m->mean;

	m->rest = (m->mean - (sum - back)) + (low - back);
	m->mean = sum;
}

void moments_merge(struct moments *a, const struct moments *b)
{
	double n = (double)(a->finite + b->finite), difference = (b->mean - a->mean) + (b->rest - a->rest);

	a->zeros += b->zeros;
	a->nans += b->nans;
	a->plus_infs += b->plus_infs;
	a->minus_infs += b->minus_infs;
	if (b->finite == 0)
		return;
	if (a->finite == 0) {
		a->ends = b->ends;
		a->mean = b->mean;
		a->rest = b->rest;
		a->squares = b->squares;
	} else {
		merge_ends(&a->ends, &b->ends);
		move_mean(a, difference * ((double)b->finite / n));
		a->squares += b->squares + difference * difference * ((double)a->finite * ((double)b->finite / n));
	}
	a->finite += b->finite;
}

static void add_run(struct moments *m, enum dtype dtype, const uint8_t *data, uint64_t first, uint64_t count)
{
	enum values_kind kind = values_kind(dtype);
	struct moments run = MOMENTS_NONE;
	double v[2 * RUN], rest;

	values_doubles(dtype, data, first, count, v);
	run.finite = kind < VALUES_FLOAT ? count : keep_finite(v, kind == VALUES_COMPLEX ? 2 * count : count, &run);
	if (run.finite > 0) {
		run.mean = sum(v, run.finite) / (double)run.finite;
		run.squares = sum_of_squares(v, run.finite, run.mean, &rest);
		run.squares -= rest * (rest / (double)run.finite);
		run.rest = rest / (double)run.finite;
		find_ends(v, run.finite, &run);
		if (kind < VALUES_FLOAT)
			find_whole_ends(dtype, data, first, count, &run.ends);
	}
	moments_merge(m, &run);
}

void moments_add(struct moments *m, enum dtype dtype, const uint8_t *data, uint64_t first, uint64_t count)
{
	for (uint64_t at = 0; at < count; at += RUN)
		add_run(m, dtype, data, first + at, count - at < RUN ? count - at : RUN);
}

double moments_variance(const struct moments *m)
{
	return m->finite ? m->squares / (double)m->finite : 0;
}

const char *moments_end_text(const struct moments *m, enum values_kind kind, bool max, char *out)
{
	if (kind == VALUES_SIGNED)
		snprintf(out, VALUES_TEXT, "%" PRId64, max ? m->ends.i_max : m->ends.i_min);
	else if (kind < VALUES_FLOAT)
		snprintf(out, VALUES_TEXT, "%" PRIu64, max ? m->ends.u_max : m->ends.u_min);
	else
		values_text_double(max ? m->ends.max : m->ends.min, out);
	return out;
}
