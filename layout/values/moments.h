/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Statistics of the numbers in tensors: extremes, mean, deviation, and how many are zero or not finite.
 *
 * Numerically sound: each run of a few thousand elements is summed twice, first for its mean and then for the squares of what
 * differs from it, and runs are united by the rule of Chan, Golub and LeVeque; means are kept in two doubles, so that a mean that is
 * large beside the deviation does no harm. The result depends on where the elements are divided
 * between calls and on the order in which the parts are merged, and on nothing else: keep both, and it is the same with any threads.
 *
 * Extremes, mean and deviation are those of the finite numbers. A complex element counts as two numbers.
 */
#ifndef LAYOUT_MOMENTS_H
#define LAYOUT_MOMENTS_H

#include "layout/values/values.h"

struct moments_ends {
	double min, max; /* rounded, for integers of 64 bits */
	union {
		struct {
			int64_t i_min, i_max; /* VALUES_SIGNED, exact */
		};
		struct {
			uint64_t u_min, u_max; /* VALUES_UNSIGNED, VALUES_BOOL, exact */
		};
	};
};

struct moments {
	uint64_t finite; /* finite numbers; with none of them `ends`, mean and squares mean nothing */
	uint64_t zeros, nans, plus_infs, minus_infs;
	struct moments_ends ends;
	double mean, rest; /* what the mean lacks, being a double: mean + rest is nearer to the truth */
	double squares;    /* sum of squares of differences from the mean */
};

#define MOMENTS_NONE ((struct moments){ .finite = 0 })

/* Adds elements first .. first + count of `data` (values.h). */
void moments_add(struct moments *m, enum dtype dtype, const uint8_t *data, uint64_t first, uint64_t count);

/* Unites b, of the same type or of any other, with a. The exact ends of integers are those of both only when the types agree. */
void moments_merge(struct moments *a, const struct moments *b);

/* The variance (of all numbers, not an estimate from a sample); 0 without numbers. */
double moments_variance(const struct moments *m);

/* The least or the largest number: integers exactly, others as the double that they are; into `out` [VALUES_TEXT]. */
const char *moments_end_text(const struct moments *m, enum values_kind kind, bool max, char *out);

#endif
