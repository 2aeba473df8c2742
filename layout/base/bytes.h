/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A range of memory that belongs to somebody else, and arithmetic on sizes that cannot wrap.
 *
 * Every size and offset in gatherfs is a uint64_t in bytes unless its name says elements. Numbers that come from a file
 * are combined only with the checked functions here.
 */
#ifndef LAYOUT_BYTES_H
#define LAYOUT_BYTES_H

#include <stdbool.h>
#include <stdint.h>

struct bytes {
	const uint8_t *ptr; /* not owned */
	uint64_t len;       /* in bytes */
};

/* The 64-bit little-endian number at p. */
static inline uint64_t bytes_le64(const uint8_t *p)
{
	uint64_t v = 0;
	for (int i = 7; i >= 0; i--)
		v = v << 8 | p[i];
	return v;
}

/* *sum = a + b; false when that does not fit 64 bits. */
static inline bool bytes_add(uint64_t a, uint64_t b, uint64_t *sum)
{
	return !__builtin_add_overflow(a, b, sum);
}

/* *product = a * b; false when that does not fit 64 bits. */
static inline bool bytes_mul(uint64_t a, uint64_t b, uint64_t *product)
{
	return !__builtin_mul_overflow(a, b, product);
}

#define BYTES_DIGITS 20 /* decimal digits that a number may have */

/* Writes the decimal digits of a number at the end of `room`; where they begin. */
static inline const char *bytes_decimal(uint64_t number, char room[BYTES_DIGITS])
{
	char *first = room + BYTES_DIGITS;

	do
		*--first = (char)('0' + number % 10);
	while (number /= 10);
	return first;
}

#endif
