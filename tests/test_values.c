/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Decoding: every value of the small types as another program decodes them (tests/printed/small.txt), F16 as the compiler does, and
 * what the documents of the types say of their ends. Texts: as numpy writes them (tests/printed/values.txt), and read back.
 */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "layout/values/values.h"

static bool same(double a, double b)
{
	return isnan(a) ? isnan(b) : a == b && signbit(a) == signbit(b);
}

static double one(enum dtype dtype, uint64_t bits)
{
	uint8_t data[8];

	for (int i = 0; i < 8; i++)
		data[i] = (uint8_t)(bits >> 8 * i);
	return values_get(dtype, data, 0).re;
}

Test(values, small_types)
{
	FILE *f = fopen("tests/printed/small.txt", "r");
	char name[16], number[40];
	unsigned bits, lines = 0;
	enum dtype dtype;

	cr_assert_not_null(f);
	for (; fscanf(f, "%15s %x %39s", name, &bits, number) == 3; lines++) {
		cr_assert(dtype_parse(name, &dtype));
		cr_assert(same(one(dtype, bits), strtod(number, NULL)), "%s %x: %a, want %s", name, bits, one(dtype, bits), number);
	}
	cr_assert_eq(lines, 16 + 64 + 64 + 5 * 256 + 676);
	fclose(f);
}

Test(values, ends_of_the_types)
{
	static const struct {
		enum dtype dtype;
		uint64_t bits;
		double value;
	} cases[] = {
		{ DTYPE_F4, 7, 6 }, { DTYPE_F4, 1, 0.5 }, { DTYPE_F6_E2M3, 31, 7.5 }, { DTYPE_F6_E2M3, 1, 0.125 }, { DTYPE_F6_E3M2, 31, 28 },
		{ DTYPE_F6_E3M2, 1, 0.0625 }, { DTYPE_F8_E4M3, 0x7e, 448 }, { DTYPE_F8_E4M3, 1, 0x1p-9 }, { DTYPE_F8_E5M2, 0x7b, 57344 },
		{ DTYPE_F8_E5M2, 0x7c, INFINITY }, { DTYPE_F8_E5M2, 1, 0x1p-16 }, { DTYPE_F8_E4M3FNUZ, 0x7f, 240 }, { DTYPE_F8_E4M3FNUZ, 0x80, NAN },
		{ DTYPE_F8_E5M2FNUZ, 0x7f, 57344 }, { DTYPE_F8_E5M2FNUZ, 0x80, NAN }, { DTYPE_F8_E8M0, 127, 1 }, { DTYPE_F8_E8M0, 0, 0x1p-127 },
		{ DTYPE_F8_E8M0, 254, 0x1p127 }, { DTYPE_F8_E8M0, 255, NAN }, { DTYPE_F16, 0x7bff, 65504 }, { DTYPE_F16, 1, 0x1p-24 },
		{ DTYPE_BF16, 0x7f7f, 0x1.fep127 }, { DTYPE_BF16, 1, 0x1p-133 }, { DTYPE_F32, 1, 0x1p-149 }, { DTYPE_F32, 0x7f7fffff, 0x1.fffffep127 },
		{ DTYPE_F64, 1, 0x1p-1074 }, { DTYPE_F64, UINT64_C(0x8000000000000000), -0.0 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		cr_assert(same(one(cases[i].dtype, cases[i].bits), cases[i].value), "case %zu: %a", i, one(cases[i].dtype, cases[i].bits));
}

#ifdef __FLT16_MANT_DIG__
Test(values, every_half)
{
	for (uint32_t bits = 0; bits < 65536; bits++) {
		uint16_t half = (uint16_t)bits;
		_Float16 want;

		memcpy(&want, &half, sizeof(want));
		cr_assert(same(one(DTYPE_F16, bits), (double)want), "%x", bits);
	}
}
#endif

/* The low nibble first; six bits from the low end of each byte on. */
Test(values, packed)
{
	static const uint8_t nibbles[] = { 0x21, 0x7f }, sixes[] = { 0x41, 0x20, 0xfc }; /* 1 1 2 63: 1, 1 << 6, 2 << 12, 63 << 18 */
	static const double want[] = { 0.5, 1, -6, 6 };
	double out[4];

	values_doubles(DTYPE_F4, nibbles, 0, 4, out);
	for (int i = 0; i < 4; i++)
		cr_assert_eq(out[i], want[i]);
	values_doubles(DTYPE_F6_E2M3, sixes, 0, 4, out);
	cr_assert_eq(out[0], 0.125);
	cr_assert_eq(out[1], 0.125);
	cr_assert_eq(out[2], 0.25);
	cr_assert_eq(out[3], -7.5);
	cr_assert_eq(values_get(DTYPE_F6_E2M3, sixes, 2).re, 0.25);
}

Test(values, integers)
{
	static const uint8_t ones[8] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };
	static const uint8_t data[] = { 0x80, 1, 0, 0, 0, 0, 0, 0x80, 2, 0 };

	cr_assert_eq(values_get(DTYPE_I8, ones, 3).i, -1);
	cr_assert_eq(values_get(DTYPE_I16, ones, 1).i, -1);
	cr_assert_eq(values_get(DTYPE_I32, ones, 1).i, -1);
	cr_assert_eq(values_get(DTYPE_I64, ones, 0).i, -1);
	cr_assert_eq(values_get(DTYPE_U8, ones, 0).u, 255);
	cr_assert_eq(values_get(DTYPE_U64, ones, 0).u, UINT64_MAX);
	cr_assert_eq(values_get(DTYPE_I8, data, 0).i, -128);
	cr_assert_eq(values_get(DTYPE_U16, data, 0).u, 0x180);
	cr_assert_eq(values_get(DTYPE_I64, data, 0).i, INT64_MIN + 0x180);
	cr_assert_eq(values_get(DTYPE_BOOL, data, 8).u, 1);
	cr_assert_eq(values_get(DTYPE_BOOL, data, 9).u, 0);
}

/* Decoding many at once, at any offset, gives what decoding one by one does. */
Test(values, doubles_are_the_elements)
{
	uint8_t data[1024];
	double out[2 * 128];

	srand(3);
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)rand();
	for (int d = 0; d < DTYPE_COUNT; d++)
		for (uint64_t first = 0; first < 20; first++) {
			enum dtype dtype = (enum dtype)d;

			values_doubles(dtype, data, first, 100, out);
			for (uint64_t i = 0; i < 100; i++) {
				struct value v = values_get(dtype, data, first + i);
				double re = v.kind >= VALUES_FLOAT ? v.re : v.kind == VALUES_SIGNED ? (double)v.i : (double)v.u;
				bool two = v.kind == VALUES_COMPLEX;

				cr_assert(same(out[two ? 2 * i : i], re), "%s %zu", dtype_name(dtype), (size_t)i);
				cr_assert(!two || same(out[2 * i + 1], v.im));
			}
		}
}

static size_t unhex(const char *hex, uint8_t *out)
{
	size_t n = 0;

	for (unsigned byte; sscanf(hex + 2 * n, "%2x", &byte) == 1; n++)
		out[n] = (uint8_t)byte;
	return n;
}

Test(values, texts_are_numpys)
{
	FILE *f = fopen("tests/printed/values.txt", "r");
	char name[16], hex[40], want[VALUES_TEXT], got[VALUES_TEXT];
	unsigned lines = 0;
	uint8_t data[8];
	enum dtype dtype;

	cr_assert_not_null(f);
	for (; fscanf(f, "%15s %39s %79s", name, hex, want) == 3; lines++) {
		unhex(hex, data);
		cr_assert(dtype_parse(name, &dtype));
		cr_assert_str_eq(values_text(dtype, data, 0, got), want, "%s %s: %s", name, hex, got);
	}
	cr_assert_gt(lines, 1200);
	fclose(f);
}

/* Significant digits of a number as it is written. */
static int significant(const char *text)
{
	int count = 0, zeros = 0;

	for (; *text && *text != 'e'; text++)
		if (*text != '.') {
			zeros = *text == '0' ? zeros + 1 : 0;
			count += count > 0 || *text != '0';
		}
	return count - (zeros < count ? zeros : 0);
}

/* A text of BF16 means that number and no other: it is nearer to it than to its neighbours; and no shorter one is. */
Test(values, shortest_of_bf16)
{
	char text[VALUES_TEXT], fewer[40];

	for (uint32_t bits = 1; bits < 0x7f80; bits++) {
		double v = one(DTYPE_BF16, bits), below = one(DTYPE_BF16, bits - 1), above = bits + 1 < 0x7f80 ? one(DTYPE_BF16, bits + 1) : v + (v - below);
		double least = (v + below) / 2, most = (v + above) / 2, got;
		uint8_t data[2] = { (uint8_t)bits, (uint8_t)(bits >> 8) };
		int digits = 0;

		got = strtod(values_text(DTYPE_BF16, data, 0, text), NULL);
		cr_assert(got >= least && got <= most, "%x: %s", bits, text);
		for (double near; digits < 10; digits++) {
			snprintf(fewer, sizeof(fewer), "%.*e", digits, v);
			near = strtod(fewer, NULL);
			if (near > least && near < most)
				break;
		}
		cr_assert_leq(significant(text), digits + 1, "%x: %s, but %s would do", bits, text, fewer);
		cr_assert(significant(text) <= digits || fabs(got - v) <= fabs(strtod(fewer, NULL) - v), "%x: %s, but %s is nearer", bits, text, fewer);
	}
}

/* Types of 8 bits and less show the number that they are. */
Test(values, small_types_are_exact)
{
	static const enum dtype types[] = { DTYPE_F4, DTYPE_F6_E2M3, DTYPE_F6_E3M2, DTYPE_F8_E5M2, DTYPE_F8_E4M3, DTYPE_F8_E8M0, DTYPE_F8_E4M3FNUZ,
					    DTYPE_F8_E5M2FNUZ };
	char text[VALUES_TEXT];

	for (size_t t = 0; t < sizeof(types) / sizeof(types[0]); t++)
		for (uint32_t bits = 0; bits < UINT32_C(1) << dtype_bits(types[t]); bits++) {
			uint8_t data[1] = { (uint8_t)bits };
			float v = (float)one(types[t], bits);

			cr_assert(same((double)strtof(values_text(types[t], data, 0, text), NULL), (double)v), "%s %x: %s", dtype_name(types[t]), bits, text);
		}
	cr_assert_str_eq(values_text(DTYPE_F8_E5M2, (const uint8_t[]){ 0x56 }, 0, text), "96.0");
}
