/* SPDX-License-Identifier: Apache-2.0 */
/* The first pass only says whether there is anything; the second, which decodes, hardly ever runs. */
#include <stdbool.h>
#include <string.h>

#include "layout/values/finite.h"
#include "layout/values/values.h"

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("O3") /* or the loops are not vectorised */
#endif

/* True when any word has all bits of the mask: the exponent of a NaN or an infinity. */
#define DEFINE_ANY(width) \
	static bool any##width(const uint8_t *data, uint64_t count, uint##width##_t mask) \
	{ \
		uint##width##_t found = 0, word; \
		for (uint64_t i = 0; i < count; i++) { \
			memcpy(&word, data + i * sizeof(word), sizeof(word)); \
			found |= (uint##width##_t)((word & mask) == mask); \
		} \
		return found != 0; \
	}

DEFINE_ANY(16)
DEFINE_ANY(32)
DEFINE_ANY(64)

/* Types of one byte: which of the 256 are not finite. */
static bool any8(enum dtype dtype, const uint8_t *data, uint64_t len)
{
	bool bad[256], found = false;

	for (uint32_t b = 0; b < 256; b++) {
		uint8_t byte = (uint8_t)b;
		struct value v = values_get(dtype, &byte, 0);

		bad[b] = values_is_nan(&v) || values_is_inf(&v);
	}
	for (uint64_t i = 0; i < len; i++)
		found |= bad[data[i]];
	return found;
}

static bool any(enum dtype dtype, const uint8_t *data, uint64_t len)
{
	switch (dtype) {
	case DTYPE_F8_E5M2:
	case DTYPE_F8_E4M3:
	case DTYPE_F8_E8M0:
	case DTYPE_F8_E4M3FNUZ:
	case DTYPE_F8_E5M2FNUZ:
		return any8(dtype, data, len);
	case DTYPE_F16:
		return any16(data, len / 2, 0x7c00);
	case DTYPE_BF16:
		return any16(data, len / 2, 0x7f80);
	case DTYPE_F32:
	case DTYPE_C64:
		return any32(data, len / 4, 0x7f800000);
	case DTYPE_F64:
		return any64(data, len / 8, UINT64_C(0x7ff) << 52);
	default:
		return false; /* integers, and types that have neither */
	}
}

struct finite finite_count(enum dtype dtype, const uint8_t *data, uint64_t len)
{
	struct finite f = { 0 };
	uint64_t count = any(dtype, data, len) ? len * 8 / dtype_bits(dtype) : 0;

	for (uint64_t i = 0; i < count; i++) {
		struct value v = values_get(dtype, data, i);
		bool nan = values_is_nan(&v), infinite = values_is_inf(&v);

		if ((nan || infinite) && f.nan + f.infinite == 0)
			f.first = i;
		f.nan += nan;
		f.infinite += infinite;
	}
	return f;
}
