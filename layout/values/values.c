/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All floats but F8_E8M0 are a sign, an exponent and a fraction, and differ in their widths and in what they have instead of
 * infinities and NaN: one table and one function read them all.
 */
#include <string.h>

#include "layout/values/values.h"

enum specials {
	IEEE,      /* the largest exponent is infinity and NaN */
	ONE_NAN,   /* all ones is NaN, either sign; no infinity */
	MINUS_ZERO, /* what would be -0 is NaN; no infinity */
	NONE,
};

static const struct {
	enum values_kind kind;
	const char *numpy;
	uint32_t fraction; /* bits; 0 for what is no float of this form */
	int32_t bias;
	enum specials specials;
} types[DTYPE_COUNT] = {
	[DTYPE_BOOL] = { VALUES_BOOL, "|b1", 0, 0, NONE },
	[DTYPE_F4] = { VALUES_FLOAT, NULL, 1, 1, NONE },
	[DTYPE_F6_E2M3] = { VALUES_FLOAT, NULL, 3, 1, NONE },
	[DTYPE_F6_E3M2] = { VALUES_FLOAT, NULL, 2, 3, NONE },
	[DTYPE_U8] = { VALUES_UNSIGNED, "|u1", 0, 0, NONE },
	[DTYPE_I8] = { VALUES_SIGNED, "|i1", 0, 0, NONE },
	[DTYPE_F8_E5M2] = { VALUES_FLOAT, NULL, 2, 15, IEEE },
	[DTYPE_F8_E4M3] = { VALUES_FLOAT, NULL, 3, 7, ONE_NAN },
	[DTYPE_F8_E8M0] = { VALUES_FLOAT, NULL, 0, 127, NONE },
	[DTYPE_F8_E4M3FNUZ] = { VALUES_FLOAT, NULL, 3, 8, MINUS_ZERO },
	[DTYPE_F8_E5M2FNUZ] = { VALUES_FLOAT, NULL, 2, 16, MINUS_ZERO },
	[DTYPE_I16] = { VALUES_SIGNED, "<i2", 0, 0, NONE },
	[DTYPE_U16] = { VALUES_UNSIGNED, "<u2", 0, 0, NONE },
	[DTYPE_F16] = { VALUES_FLOAT, "<f2", 10, 15, IEEE },
	[DTYPE_BF16] = { VALUES_FLOAT, NULL, 7, 127, IEEE },
	[DTYPE_I32] = { VALUES_SIGNED, "<i4", 0, 0, NONE },
	[DTYPE_U32] = { VALUES_UNSIGNED, "<u4", 0, 0, NONE },
	[DTYPE_F32] = { VALUES_FLOAT, "<f4", 23, 127, IEEE },
	[DTYPE_C64] = { VALUES_COMPLEX, "<c8", 0, 0, NONE },
	[DTYPE_F64] = { VALUES_FLOAT, "<f8", 52, 1023, IEEE },
	[DTYPE_I64] = { VALUES_SIGNED, "<i8", 0, 0, NONE },
	[DTYPE_U64] = { VALUES_UNSIGNED, "<u8", 0, 0, NONE },
};

enum class {
	FINITE,
	INFINITE,
	NOT_A_NUMBER,
};

enum values_kind values_kind(enum dtype dtype)
{
	return types[dtype].kind;
}

const char *values_numpy(enum dtype dtype)
{
	return types[dtype].numpy;
}

/* Element `index` of `data` as the bits that it is, for elements of `bits` bits. */
static uint64_t bits_at(const uint8_t *data, uint64_t index, uint32_t bits)
{
	uint64_t at = index * bits, v = 0;

	if (bits < 8) {
		v = (uint64_t)data[at / 8] >> at % 8;
		if (at % 8 + bits > 8)
			v |= (uint64_t)data[at / 8 + 1] << (8 - at % 8);
		return v & ((UINT64_C(1) << bits) - 1);
	}
	for (uint32_t i = bits / 8; i-- > 0;)
		v = v << 8 | data[at / 8 + i];
	return v;
}

/* Takes a float apart: its class, and what it is when it is finite. */
static enum class take_apart(enum dtype dtype, uint64_t bits, struct digits_float *out)
{
	uint32_t width = dtype_bits(dtype), f = types[dtype].fraction;
	uint64_t fraction = bits & ((UINT64_C(1) << f) - 1), magnitude = bits & ((UINT64_C(1) << (width - 1)) - 1);
	uint64_t exponent = magnitude >> f, largest = (UINT64_C(1) << (width - 1 - f)) - 1;

	if (dtype == DTYPE_F8_E8M0) {
		*out = (struct digits_float){ .mantissa = 1, .exponent = (int32_t)bits - 127 };
		return bits == 0xff ? NOT_A_NUMBER : FINITE;
	}
	out->negative = bits >> (width - 1);
	out->mantissa = exponent ? fraction | UINT64_C(1) << f : fraction;
	out->exponent = (int32_t)(exponent ? exponent : 1) - types[dtype].bias - (int32_t)f;
	out->narrow = fraction == 0 && exponent > 1;
	switch (types[dtype].specials) {
	case IEEE:
		return exponent < largest ? FINITE : fraction ? NOT_A_NUMBER : INFINITE;
	case ONE_NAN:
		return exponent == largest && fraction == (UINT64_C(1) << f) - 1 ? NOT_A_NUMBER : FINITE;
	case MINUS_ZERO:
		return out->negative && magnitude == 0 ? NOT_A_NUMBER : FINITE;
	default:
		return FINITE;
	}
}

static double double_of_bits(uint64_t bits)
{
	double v;

	memcpy(&v, &bits, sizeof(v));
	return v;
}

static double float_of_bits(uint32_t bits)
{
	float v;

	memcpy(&v, &bits, sizeof(v));
	return (double)v;
}

/* Exact: 2^exponent is a normal double for all types but F32's and F64's own, which need none of this. */
static double put_together(enum dtype dtype, uint64_t bits)
{
	struct digits_float f;
	enum class class = take_apart(dtype, bits, &f);
	double v = class == NOT_A_NUMBER ? __builtin_nan("") : class == INFINITE ? __builtin_inf() :
		   (double)f.mantissa * double_of_bits((uint64_t)(f.exponent + 1023) << 52);

	return f.negative ? -v : v;
}

static double to_double(enum dtype dtype, const uint8_t *data, uint64_t index)
{
	uint64_t bits = bits_at(data, index, dtype_bits(dtype));

	if (dtype == DTYPE_F64)
		return double_of_bits(bits);
	return dtype == DTYPE_F32 ? float_of_bits((uint32_t)bits) : put_together(dtype, bits);
}

static int64_t to_signed(enum dtype dtype, const uint8_t *data, uint64_t index)
{
	uint32_t bits = dtype_bits(dtype);

	return (int64_t)(bits_at(data, index, bits) << (64 - bits)) >> (64 - bits);
}

struct value values_get(enum dtype dtype, const uint8_t *data, uint64_t index)
{
	struct value v = { .kind = types[dtype].kind };

	switch (v.kind) {
	case VALUES_BOOL:
		v.u = data[index] != 0;
		break;
	case VALUES_SIGNED:
		v.i = to_signed(dtype, data, index);
		break;
	case VALUES_UNSIGNED:
		v.u = bits_at(data, index, dtype_bits(dtype));
		break;
	case VALUES_FLOAT:
		v.re = to_double(dtype, data, index);
		v.im = 0;
		break;
	case VALUES_COMPLEX:
		v.re = to_double(DTYPE_F32, data, 2 * index);
		v.im = to_double(DTYPE_F32, data, 2 * index + 1);
		break;
	}
	return v;
}

/* Types of at most 8 bits have few values, which are decoded once. */
static void by_table(enum dtype dtype, const uint8_t *data, uint64_t first, uint64_t count, double *out)
{
	uint32_t bits = dtype_bits(dtype);
	double table[256];

	for (uint32_t i = 0; i < UINT32_C(1) << bits; i++) {
		struct value v = values_get(dtype, (const uint8_t[]){ (uint8_t)i }, 0);

		table[i] = v.kind == VALUES_FLOAT ? v.re : v.kind == VALUES_SIGNED ? (double)v.i : (double)v.u;
	}
	for (uint64_t i = 0; i < count; i++)
		/* cppcheck-suppress uninitvar ; each of its values was set above: 1 << bits is never 0 */
		out[i] = table[bits == 8 ? data[first + i] : bits_at(data, first + i, bits)];
}

static void wide_integers(enum dtype dtype, const uint8_t *data, uint64_t first, uint64_t count, double *out)
{
	bool is_signed = types[dtype].kind == VALUES_SIGNED;

	for (uint64_t i = 0; i < count; i++)
		out[i] = is_signed ? (double)to_signed(dtype, data, first + i) :
				     (double)bits_at(data, first + i, dtype_bits(dtype));
}

/*
 * F16 as F32: the bits moved to where F32 has them are the number times 2^-112, subnormal ones too; but infinities and NaN need the
 * largest exponent again.
 */
static double half_to_double(uint32_t half)
{
	uint32_t magnitude = (half & 0x7fff) << 13, special = (half & 0x7c00) == 0x7c00 ? UINT32_C(0x7f800000) : 0;
	double v = special ? float_of_bits(magnitude | special) : float_of_bits(magnitude) * 0x1p112;

	return half & 0x8000 ? -v : v;
}

/* BF16 is the upper half of an F32, and the loops that matter are simple enough for vector instructions. */
static void wide_floats(enum dtype dtype, const uint8_t *data, uint64_t first, uint64_t count, double *out)
{
	float v;

	if (dtype == DTYPE_F64)
		memcpy(out, data + 8 * first, 8 * count);
	else if (dtype == DTYPE_F32)
		for (uint64_t i = 0; i < count; i++) {
			memcpy(&v, data + 4 * (first + i), 4);
			out[i] = (double)v;
		}
	else if (dtype == DTYPE_BF16)
		for (uint64_t i = 0; i < count; i++) {
			uint16_t half;

			memcpy(&half, data + 2 * (first + i), 2);
			out[i] = float_of_bits((uint32_t)half << 16);
		}
	else
		for (uint64_t i = 0; i < count; i++) {
			uint16_t half;

			memcpy(&half, data + 2 * (first + i), 2);
			out[i] = half_to_double(half);
		}
}

void values_doubles(enum dtype dtype, const uint8_t *data, uint64_t first, uint64_t count, double *out)
{
	if (dtype_bits(dtype) <= 8)
		by_table(dtype, data, first, count, out);
	else if (types[dtype].kind == VALUES_COMPLEX)
		wide_floats(DTYPE_F32, data, 2 * first, 2 * count, out);
	else if (types[dtype].kind == VALUES_FLOAT)
		wide_floats(dtype, data, first, count, out);
	else
		wide_integers(dtype, data, first, count, out);
}

bool values_is_nan(const struct value *v)
{
	return v->kind >= VALUES_FLOAT && (__builtin_isnan(v->re) || __builtin_isnan(v->im));
}

bool values_is_inf(const struct value *v)
{
	return v->kind >= VALUES_FLOAT && !values_is_nan(v) && (__builtin_isinf(v->re) || __builtin_isinf(v->im));
}

bool values_float(enum dtype dtype, const uint8_t *data, uint64_t index, uint32_t part, struct digits_float *out, bool *nan)
{
	bool is_complex = types[dtype].kind == VALUES_COMPLEX;
	enum dtype type = is_complex ? DTYPE_F32 : dtype;
	uint64_t bits = bits_at(data, is_complex ? 2 * index + part : index, dtype_bits(type));

	if (dtype_bits(type) <= 8) {
		float v = (float)put_together(type, bits);
		uint32_t same;

		memcpy(&same, &v, sizeof(same));
		bits = same;
		type = DTYPE_F32;
	}

	enum class class = take_apart(type, bits, out);

	*nan = class == NOT_A_NUMBER;
	return class == FINITE;
}
