/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How numbers are distributed between two ends: counts in bins of equal width, each with its lower edge and without its upper one,
 * but the last with both. Bins, edges and what falls where are those of numpy.histogram() over the numbers as doubles.
 */
#ifndef LAYOUT_HISTOGRAM_H
#define LAYOUT_HISTOGRAM_H

#include "layout/values/values.h"

#define HISTOGRAM_BINS 20

struct histogram {
	double edge[HISTOGRAM_BINS + 1];
	uint64_t count[HISTOGRAM_BINS];
};

/* An empty one from min to max; where they are one number, from half before it to half behind it. False when they are too far apart. */
bool histogram_begin(struct histogram *h, double min, double max);

/* Counts elements first .. first + count of `data` (values.h): the finite numbers of them, which must lie between the ends. */
void histogram_add(struct histogram *h, enum dtype dtype, const uint8_t *data, uint64_t first, uint64_t count);

/* Adds the counts of b, which has the same edges. */
void histogram_merge(struct histogram *a, const struct histogram *b);

#endif
