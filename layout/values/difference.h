/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How two runs of elements differ as numbers, whatever their types: how many do, where the first one is, and by how much at most.
 *
 * NaN equals NaN here, and 0 equals -0. A relative difference is the difference over the larger of the two magnitudes. Integers are
 * subtracted exactly; what is reported is rounded to a double. Between an infinity and any other number both differences are infinite;
 * between NaN and a number there are none, such elements are only counted. Parts of complex elements count as one each.
 */
#ifndef LAYOUT_DIFFERENCE_H
#define LAYOUT_DIFFERENCE_H

#include "layout/values/values.h"

struct difference {
	uint64_t differing;      /* numbers */
	uint64_t nans;           /* of them, those of which one side is NaN */
	uint64_t first;          /* element of the first; meaningless without any, as is... */
	uint64_t at;             /* ...the element of the largest absolute difference: the first such */
	double absolute, relative; /* the largest; 0 without any */
};

/* Elements 0 .. count of a run on each side; *_type and *_data are its type and its bytes. */
struct difference_runs {
	enum dtype a_type, b_type;
	const uint8_t *a_data, *b_data;
	uint64_t first; /* number of the run's first element in the tensor */
	uint64_t count;
};

/* False when numbers of these types cannot be compared: one is complex, the other is not. */
bool difference_comparable(enum dtype a, enum dtype b);

void difference_add(struct difference *d, const struct difference_runs *runs);

/* Adds what was found in a later part of the tensor. */
void difference_merge(struct difference *d, const struct difference *later);

#endif
