/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The decimal digits of a binary floating-point number, as numpy chooses them: the fewest that no other number of its type is
 * nearer to, and of those the nearest to the number itself. Exact, whatever the type's width; no locale and no C library takes
 * part in it.
 *
 * Rules: Steele and White's free-format algorithm with ties to even, as numpy/core/src/multiarray/dragon4.c applies it.
 */
#ifndef LAYOUT_DIGITS_H
#define LAYOUT_DIGITS_H

#include <stdbool.h>
#include <stdint.h>

#define DIGITS_MAX 40

/* mantissa * 2^exponent, as its type holds it. */
struct digits_float {
	uint64_t mantissa; /* at most 53 bits; 0 is zero */
	int32_t exponent;  /* -1074 to 971 */
	bool narrow;       /* the next smaller number is half as far away as the next larger one */
	bool negative;
};

/* Which digits are wanted: how many behind the first one, or behind the decimal point. */
struct digits_limit {
	bool from_first;
	int32_t least; /* these are given even if fewer would do, exact ones; DIGITS_ANY: as few as do */
	int32_t most;  /* the last of them is rounded; DIGITS_ANY: as many as it needs */
};

#define DIGITS_ANY (-1)

struct digits {
	int32_t exponent; /* of ten, of the first digit */
	uint32_t count;   /* at least 1; no zeros at the end but in zero itself */
	uint8_t digit[DIGITS_MAX]; /* 0 to 9 */
};

/* `least` and `most` are at most 20; with the point as their origin, the number is at least 0.0001 or zero. */
void digits_make(const struct digits_float *f, const struct digits_limit *limit, struct digits *out);

#endif
