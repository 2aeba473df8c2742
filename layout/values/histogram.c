/* SPDX-License-Identifier: Apache-2.0 */
/* See histogram.h: a bin is computed, and then corrected by its edges, which rounding may have put on the other side. */
#include "layout/values/histogram.h"

#define RUN 2048 /* elements */

bool histogram_begin(struct histogram *h, double min, double max)
{
	double step;

	*h = (struct histogram){ .count = { 0 } };
	if (min == max) {
		min -= 0.5;
		max += 0.5;
	}
	if (!__builtin_isfinite(max - min) || !(max > min))
		return false;
	step = (max - min) / HISTOGRAM_BINS;
	for (uint32_t i = 0; i < HISTOGRAM_BINS; i++)
		h->edge[i] = (double)i * step + min;
	h->edge[HISTOGRAM_BINS] = max;
	return true;
}

static void count_runs(struct histogram *h, const double *v, uint64_t count)
{
	double min = h->edge[0], width = h->edge[HISTOGRAM_BINS] - min;

	for (uint64_t i = 0; i < count; i++) {
		double place = (v[i] - min) / width * HISTOGRAM_BINS;
		uint32_t bin;

		if (!__builtin_isfinite(v[i]))
			continue;
		bin = place < HISTOGRAM_BINS ? (uint32_t)place : HISTOGRAM_BINS - 1;
		if (bin > 0 && v[i] < h->edge[bin])
			bin--;
		else if (bin < HISTOGRAM_BINS - 1 && v[i] >= h->edge[bin + 1])
			bin++;
		h->count[bin]++;
	}
}

void histogram_add(struct histogram *h, enum dtype dtype, const uint8_t *data, uint64_t first, uint64_t count)
{
	uint64_t parts = values_kind(dtype) == VALUES_COMPLEX ? 2 : 1;
	double v[2 * RUN];

	for (uint64_t at = 0; at < count; at += RUN) {
		uint64_t n = count - at < RUN ? count - at : RUN;

		values_doubles(dtype, data, first + at, n, v);
		count_runs(h, v, n * parts);
	}
}

void histogram_merge(struct histogram *a, const struct histogram *b)
{
	for (uint32_t i = 0; i < HISTOGRAM_BINS; i++)
		a->count[i] += b->count[i];
}
