/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One element as text. numpy writes a float without an exponent from 0.0001 up to 1e16; the number itself decides, not its digits:
 * the F32 that is nearest to 0.0001 is less, so it is "1e-04".
 */
#include <stdio.h>
#include <string.h>

#include "layout/values/values.h"

#define POSITIONAL_MIN 0.0001
#define POSITIONAL_END 1e16

/* Writes at `out`, and returns the end. */
static char *put_positional(const struct digits *d, bool point, char *out)
{
	int32_t last = (int32_t)d->count - 1 - d->exponent; /* digits behind the point */

	for (int32_t at = d->exponent > 0 ? -d->exponent : 0; at <= (last > 0 ? last : 0); at++) {
		int32_t i = at + d->exponent;

		if (at == 1)
			*out++ = '.';
		*out++ = (char)('0' + (i >= 0 && i < (int32_t)d->count ? d->digit[i] : 0));
	}
	if (last <= 0 && point) {
		*out++ = '.';
		*out++ = '0';
	}
	return out;
}

static char *put_scientific(const struct digits *d, char *out)
{
	for (uint32_t i = 0; i < d->count; i++) {
		if (i == 1)
			*out++ = '.';
		*out++ = (char)('0' + d->digit[i]);
	}
	return out + snprintf(out, 8, "e%c%02d", d->exponent < 0 ? '-' : '+', d->exponent < 0 ? -d->exponent : d->exponent);
}

/* A float, of magnitude `v`, without its NUL; `point` says whether a whole number ends in ".0". */
static char *put_float(const struct digits_float *f, double v, bool point, char *out)
{
	static const struct digits_limit any = { .from_first = true, .least = DIGITS_ANY, .most = DIGITS_ANY };
	struct digits d;

	digits_make(f, &any, &d);
	if (f->negative)
		*out++ = '-';
	if (v == 0 || (v >= POSITIONAL_MIN && v < POSITIONAL_END))
		return put_positional(&d, point, out);
	return put_scientific(&d, out);
}

/* One part of an element. */
static char *put_part(enum dtype dtype, const uint8_t *data, uint64_t index, uint32_t part, bool point, char *out)
{
	struct value v = values_get(dtype, data, index);
	struct digits_float f;
	bool nan;

	if (values_float(dtype, data, index, part, &f, &nan))
		return put_float(&f, __builtin_fabs(part == 0 ? v.re : v.im), point, out);
	return out + snprintf(out, 8, "%s", nan ? "nan" : f.negative ? "-inf" : "inf");
}

/* "(1+2j)", or "2j" when the real part is +0. */
static void put_complex(const uint8_t *data, uint64_t index, char *out)
{
	struct digits_float re;
	bool nan, alone = values_float(DTYPE_C64, data, index, 0, &re, &nan) && re.mantissa == 0 && !re.negative;

	if (!alone) {
		*out++ = '(';
		out = put_part(DTYPE_C64, data, index, 0, false, out);
		*out = '+';
	}

	char *end = put_part(DTYPE_C64, data, index, 1, false, out + !alone);

	if (!alone && out[1] == '-') {
		memmove(out, out + 1, (size_t)(end - out - 1));
		end--;
	}
	memcpy(end, alone ? "j" : "j)", alone ? 2 : 3);
}

const char *values_text(enum dtype dtype, const uint8_t *data, uint64_t index, char *out)
{
	struct value v = values_get(dtype, data, index);

	switch (v.kind) {
	case VALUES_BOOL:
		snprintf(out, VALUES_TEXT, "%s", v.u ? "True" : "False");
		break;
	case VALUES_SIGNED:
		snprintf(out, VALUES_TEXT, "%lld", (long long)v.i);
		break;
	case VALUES_UNSIGNED:
		snprintf(out, VALUES_TEXT, "%llu", (unsigned long long)v.u);
		break;
	case VALUES_FLOAT:
		*put_part(dtype, data, index, 0, true, out) = '\0';
		break;
	case VALUES_COMPLEX:
		put_complex(data, index, out);
		break;
	}
	return out;
}

const char *values_text_double(double v, char *out)
{
	uint8_t bytes[8];

	memcpy(bytes, &v, sizeof(v));
	return values_text(DTYPE_F64, bytes, 0, out);
}
