/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers are compared by their length without leading zeros, then by their digits, so they may be of any size. */
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "layout/base/natural.h"

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Compares the numbers at *a and *b and moves both behind them. */
static int compare_numbers(const char **a, const char **b)
{
	const char *x = *a, *y = *b;

	while (*x == '0')
		x++;
	while (*y == '0')
		y++;

	size_t m = 0, n = 0;

	while (is_digit(x[m]))
		m++;
	while (is_digit(y[n]))
		n++;
	*a = x + m;
	*b = y + n;
	return m != n ? (m < n ? -1 : 1) : memcmp(x, y, m);
}

/* Length of what both begin with, without the digits at its end: the numbers that they belong to may go on differently. */
static size_t same_start(const char *a, const char *b)
{
	size_t n = 0;

	while (a[n] && a[n] == b[n])
		n++;
	while (n > 0 && is_digit(a[n - 1]))
		n--;
	return n;
}

int natural_compare(const char *a, const char *b)
{
	size_t same = same_start(a, b);
	const char *x = a + same, *y = b + same;

	for (;;) {
		if (is_digit(*x) && is_digit(*y)) {
			int r = compare_numbers(&x, &y);

			if (r)
				return r;
		} else if (*x != *y) {
			return (unsigned char)*x < (unsigned char)*y ? -1 : 1;
		} else if (!*x) {
			return strcmp(a, b);
		} else {
			x++;
			y++;
		}
	}
}

/* A run of digits: a digit, which is how it compares with everything else; how many there are; the digits. Where the next byte goes. */
static uint8_t *put_number(const char **name, uint8_t *key)
{
	const char *digits = *name;
	uint64_t count = 0;

	while (*digits == '0')
		digits++;
	while (is_digit(digits[count]))
		count++;
	*key++ = '0';
	*key++ = count < UINT8_MAX ? (uint8_t)count : UINT8_MAX;
	for (int shift = 56; count >= UINT8_MAX && shift >= 0; shift -= 8)
		*key++ = (uint8_t)(count >> shift);
	*name = digits + count;
	memcpy(key, digits, count);
	return key + count;
}

uint64_t natural_key(const char *name, uint8_t *key)
{
	uint8_t *at = key;

	while (*name) {
		size_t letters = strcspn(name, "0123456789");

		memcpy(at, name, letters);
		at += letters;
		name += letters;
		if (*name)
			at = put_number(&name, at);
	}
	return (uint64_t)(at - key);
}
