/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The number is kept as a fraction r / s of two large integers, and so are the distances to the halves of the ways to its two
 * neighbours; each digit is one division of r by s, after which all but s are multiplied by ten.
 */
#include <assert.h>
#include <string.h>

#include "layout/base/digits.h"

#define WORDS 42 /* of 32 bits: 4 * 2^1024 * 10 and 2^1076 * 10 fit */

/* A whole number, least significant word first. */
struct big {
	uint32_t count; /* words in use; the last is not 0 */
	uint32_t word[WORDS];
};

static void big_set(struct big *b, uint64_t v)
{
	b->word[0] = (uint32_t)v;
	b->word[1] = (uint32_t)(v >> 32);
	b->count = b->word[1] ? 2 : b->word[0] ? 1 : 0;
}

static void big_push(struct big *b, uint32_t word)
{
	assert(b->count < WORDS);
	b->word[b->count++] = word;
}

static void big_times(struct big *b, uint32_t factor)
{
	uint64_t carry = 0;

	for (uint32_t i = 0; i < b->count; i++) {
		carry += (uint64_t)b->word[i] * factor;
		b->word[i] = (uint32_t)carry;
		carry >>= 32;
	}
	if (carry)
		big_push(b, (uint32_t)carry);
}

static void big_shift(struct big *b, uint32_t bits)
{
	if (b->count == 0)
		return;
	assert(b->count + bits / 32 <= WORDS);
	memmove(b->word + bits / 32, b->word, b->count * sizeof(*b->word));
	memset(b->word, 0, bits / 32 * sizeof(*b->word));
	b->count += bits / 32;
	big_times(b, UINT32_C(1) << bits % 32);
}

static int big_compare(const struct big *a, const struct big *b)
{
	if (a->count != b->count)
		return a->count < b->count ? -1 : 1;
	for (uint32_t i = a->count; i-- > 0;)
		if (a->word[i] != b->word[i])
			return a->word[i] < b->word[i] ? -1 : 1;
	return 0;
}

/* a + b compared with c. */
static int big_compare_sum(const struct big *a, const struct big *b, const struct big *c)
{
	struct big sum = { 0 };
	uint64_t carry = 0;

	for (uint32_t i = 0; i < a->count || i < b->count || carry; i++) {
		carry += (i < a->count ? a->word[i] : 0);
		carry += (i < b->count ? b->word[i] : 0);
		big_push(&sum, (uint32_t)carry);
		carry >>= 32;
	}
	return big_compare(&sum, c);
}

/* a -= b, which is not larger. */
static void big_subtract(struct big *a, const struct big *b)
{
	uint64_t borrow = 0;

	for (uint32_t i = 0; i < a->count; i++) {
		uint64_t less = borrow + (i < b->count ? b->word[i] : 0);

		borrow = a->word[i] < less;
		a->word[i] -= (uint32_t)less;
	}
	while (a->count > 0 && a->word[a->count - 1] == 0)
		a->count--;
}

struct fraction {
	struct big r, s;        /* the number is r / s * 10^exponent */
	struct big below, above; /* half the distances to the neighbours, over s */
	int32_t exponent;
	bool even;              /* a decimal half way to a neighbour is still this number */
};

static void all_times(struct fraction *f, uint32_t factor)
{
	big_times(&f->r, factor);
	big_times(&f->below, factor);
	big_times(&f->above, factor);
}

/* Both sides times a power of two that makes them whole, then a power of ten that leaves one digit before the point. */
static void fraction_make(struct fraction *f, const struct digits_float *v)
{
	int32_t log2 = 63 - __builtin_clzll(v->mantissa) + v->exponent, up = v->exponent > 0 ? v->exponent : 0;
	int32_t k = log2 * 1233 / 4096 - 2; /* 1233/4096 is a little less than log10(2): never more than the truth */
	struct big ten;

	big_set(&f->r, v->mantissa * 4);
	big_set(&f->s, 4);
	big_set(&f->below, v->narrow ? 1 : 2);
	big_set(&f->above, 2);
	big_shift(&f->r, (uint32_t)up);
	big_shift(&f->below, (uint32_t)up);
	big_shift(&f->above, (uint32_t)up);
	big_shift(&f->s, (uint32_t)(up - v->exponent));
	for (int32_t i = 0; i < k; i++)
		big_times(&f->s, 10);
	for (int32_t i = k; i < 0; i++)
		all_times(f, 10);
	for (ten = f->s, big_times(&ten, 10); big_compare(&f->r, &ten) >= 0; big_times(&ten, 10), k++)
		f->s = ten;
	f->exponent = k;
	f->even = v->mantissa % 2 == 0;
}

/* The digit before the point, which is taken away. */
static uint8_t take_digit(struct fraction *f)
{
	uint8_t digit = 0;

	for (; big_compare(&f->r, &f->s) >= 0; digit++)
		big_subtract(&f->r, &f->s);
	return digit;
}

/* Whether the digits so far are this number's and no other's, when the rest is dropped (low), or the last digit rounded up (high). */
static void judge(const struct fraction *f, bool *low, bool *high)
{
	int below = big_compare(&f->r, &f->below), above = big_compare_sum(&f->r, &f->above, &f->s);

	*low = below < 0 || (f->even && below == 0);
	*high = above > 0 || (f->even && above == 0);
}

static void round_up(struct digits *out)
{
	while (out->count > 0 && out->digit[out->count - 1] == 9)
		out->count--;
	if (out->count > 0) {
		out->digit[out->count - 1]++;
		return;
	}
	out->digit[out->count++] = 1;
	out->exponent++;
}

/* Drops the rest behind the last digit, or rounds up by it. */
static void finish(const struct fraction *f, bool low, bool high, struct digits *out)
{
	int half = big_compare_sum(&f->r, &f->r, &f->s);
	bool tie_down = half == 0 && out->digit[out->count - 1] % 2 == 0;

	if (low == high ? half > 0 || (half == 0 && !tie_down) : high)
		round_up(out);
	while (out->count > 1 && out->digit[out->count - 1] == 0)
		out->count--;
}

void digits_make(const struct digits_float *v, const struct digits_limit *limit, struct digits *out)
{
	struct fraction f;
	bool low, high;

	*out = (struct digits){ .count = 0 };
	if (v->mantissa == 0) {
		out->count = 1;
		return;
	}
	fraction_make(&f, v);
	out->exponent = f.exponent;
	for (int32_t at = limit->from_first ? 0 : -f.exponent;; at++) {
		out->digit[out->count++] = take_digit(&f);
		judge(&f, &low, &high);
		if ((low || high) && (limit->least == DIGITS_ANY || at >= limit->least))
			break;
		if ((limit->most != DIGITS_ANY && at >= limit->most) || out->count == DIGITS_MAX)
			break;
		all_times(&f, 10);
	}
	finish(&f, low, high, out);
}
