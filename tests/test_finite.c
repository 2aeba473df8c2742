/* SPDX-License-Identifier: Apache-2.0 */
/* finite: every bit pattern of the small types, and the edges of the wide ones, against what the C library or the format says. */
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "layout/values/finite.h"

static void counts(enum dtype dtype, const void *data, uint64_t len, uint64_t nan, uint64_t infinite, uint64_t first)
{
	struct finite f = finite_count(dtype, data, len);

	cr_expect_eq(f.nan, nan, "%s: %llu NaN", dtype_name(dtype), (unsigned long long)f.nan);
	cr_expect_eq(f.infinite, infinite, "%s: %llu infinite", dtype_name(dtype), (unsigned long long)f.infinite);
	if (nan + infinite)
		cr_expect_eq(f.first, first, "%s: first %llu", dtype_name(dtype), (unsigned long long)f.first);
}

Test(finite, wide_types)
{
	float f[] = { 1, -0.0f, 3.4e38f, -1e-45f, INFINITY, NAN, -INFINITY, -NAN };
	double d[] = { 1, 1.7e308, NAN, 5e-324, -INFINITY };

	counts(DTYPE_F32, f, 4 * 4, 0, 0, 0);
	counts(DTYPE_F32, f, sizeof(f), 2, 2, 4);
	counts(DTYPE_C64, f, sizeof(f), 2, 0, 2); /* a number with a NaN in it is no infinity */
	counts(DTYPE_F64, d, sizeof(d), 1, 1, 2);
	counts(DTYPE_F64, d, 2 * 8, 0, 0, 0);
	counts(DTYPE_F32, f, 0, 0, 0, 0);
}

Test(finite, every_pattern_of_sixteen_bits)
{
	static uint16_t all[65536];

	for (uint32_t i = 0; i < 65536; i++)
		all[i] = (uint16_t)i;
	counts(DTYPE_F16, all, sizeof(all), 2 * 1023, 2, 0x7c00);
	counts(DTYPE_BF16, all, sizeof(all), 2 * 127, 2, 0x7f80);
	counts(DTYPE_F16, all, 0x7c00 * 2, 0, 0, 0);
	counts(DTYPE_I16, all, sizeof(all), 0, 0, 0);
}

Test(finite, every_pattern_of_eight_bits)
{
	uint8_t all[256];

	for (uint32_t i = 0; i < 256; i++)
		all[i] = (uint8_t)i;
	counts(DTYPE_F8_E5M2, all, 256, 6, 2, 0x7c);
	counts(DTYPE_F8_E4M3, all, 256, 2, 0, 0x7f);
	counts(DTYPE_F8_E8M0, all, 256, 1, 0, 0xff);
	counts(DTYPE_F8_E4M3FNUZ, all, 256, 1, 0, 0x80);
	counts(DTYPE_F8_E5M2FNUZ, all, 256, 1, 0, 0x80);
	counts(DTYPE_U8, all, 256, 0, 0, 0);
	counts(DTYPE_BOOL, all, 256, 0, 0, 0);
	counts(DTYPE_F4, all, 256, 0, 0, 0);
	counts(DTYPE_F6_E3M2, all, 255, 0, 0, 0);
}
