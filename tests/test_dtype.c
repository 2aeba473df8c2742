/* SPDX-License-Identifier: Apache-2.0 */
/* The table of dtypes against a list written from the crate's documentation, in the order of its enum. */
#include <criterion/criterion.h>
#include <string.h>

#include "layout/base/dtype.h"

static const struct {
	const char *name;
	uint32_t bits;
} want[] = {
	{ "BOOL", 8 }, { "F4", 4 }, { "F6_E2M3", 6 }, { "F6_E3M2", 6 }, { "U8", 8 }, { "I8", 8 }, { "F8_E5M2", 8 }, { "F8_E4M3", 8 },
	{ "F8_E8M0", 8 }, { "F8_E4M3FNUZ", 8 }, { "F8_E5M2FNUZ", 8 }, { "I16", 16 }, { "U16", 16 }, { "F16", 16 }, { "BF16", 16 },
	{ "I32", 32 }, { "U32", 32 }, { "F32", 32 }, { "C64", 64 }, { "F64", 64 }, { "I64", 64 }, { "U64", 64 },
};

Test(dtype, names_widths_and_order)
{
	cr_assert_eq(sizeof(want) / sizeof(want[0]), DTYPE_COUNT);
	for (uint32_t i = 0; i < DTYPE_COUNT; i++) {
		enum dtype dtype = DTYPE_COUNT;

		cr_assert(dtype_parse(want[i].name, &dtype));
		cr_assert_eq((uint32_t)dtype, i);
		cr_assert_str_eq(dtype_name((enum dtype)i), want[i].name);
		cr_assert_eq(dtype_bits((enum dtype)i), want[i].bits);
	}
}

Test(dtype, other_names_are_none)
{
	static const char *const none[] = { "", "f32", "F3", "F32 ", " F32", "F323", "F8", "I4", "BFLOAT16", "F8_E4M3FN", "C128" };
	enum dtype dtype = DTYPE_COUNT;

	for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++)
		cr_assert_not(dtype_parse(none[i], &dtype), "\"%s\"", none[i]);
	cr_assert_eq(dtype, DTYPE_COUNT, "a miss writes nothing");
}

Test(dtype, bytes)
{
	static const struct {
		enum dtype dtype;
		uint64_t elements;
		bool good;
		uint64_t bytes;
	} cases[] = {
		{ DTYPE_F32, 0, true, 0 }, { DTYPE_F32, 3, true, 12 }, { DTYPE_BOOL, 5, true, 5 }, { DTYPE_BF16, 7, true, 14 },
		{ DTYPE_C64, 2, true, 16 }, { DTYPE_F4, 2, true, 1 }, { DTYPE_F4, 3, false, 0 }, { DTYPE_F4, 0, true, 0 },
		{ DTYPE_F6_E2M3, 4, true, 3 }, { DTYPE_F6_E3M2, 2, false, 0 }, { DTYPE_F6_E3M2, 8, true, 6 },
		{ DTYPE_F64, (UINT64_C(1) << 58) - 1, true, (UINT64_C(1) << 61) - 8 }, { DTYPE_F64, UINT64_C(1) << 58, false, 0 },
		{ DTYPE_U8, UINT64_MAX, false, 0 }, { DTYPE_U64, UINT64_MAX, false, 0 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t bytes = 0;

		cr_assert_eq(dtype_bytes(cases[i].dtype, cases[i].elements, &bytes), cases[i].good, "case %zu", i);
		cr_assert_eq(bytes, cases[i].bytes, "case %zu", i);
	}
}
