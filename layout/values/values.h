/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The elements of tensors as numbers: decoding every type of safetensors, and writing an element as numpy writes it.
 *
 * Conventions where safetensors says none: elements are little-endian; those under 8 bits follow each other from the least
 * significant bit of each byte on (F4: the low nibble first, as PyTorch's float4_e2m1fn_x2). F8_E4M3 and F8_E5M2 are PyTorch's
 * float8_e4m3fn and float8_e5m2, the FNUZ types its ..fnuz, F8_E8M0 its float8_e8m0fnu.
 *
 * `data` is a packed, row-major run of elements and `index` counts elements in it. Nothing here can fail.
 */
#ifndef LAYOUT_VALUES_H
#define LAYOUT_VALUES_H

#include "layout/base/digits.h"
#include "layout/base/dtype.h"

#define VALUES_TEXT 80 /* room for one element as text */

enum values_kind {
	VALUES_BOOL,
	VALUES_SIGNED,
	VALUES_UNSIGNED,
	VALUES_FLOAT,
	VALUES_COMPLEX, /* two floats of half the width */
};

struct value {
	enum values_kind kind;
	union {
		int64_t i; /* VALUES_SIGNED */
		uint64_t u; /* VALUES_UNSIGNED; VALUES_BOOL: 0 or 1 */
		struct {
			double re, im; /* exact for every type; im is 0 for VALUES_FLOAT */
		};
	};
};

enum values_kind values_kind(enum dtype dtype);

/* numpy's name of the type as .npy headers have it ("<f4"); NULL where numpy has none. */
const char *values_numpy(enum dtype dtype);

/* The element, exactly. */
struct value values_get(enum dtype dtype, const uint8_t *data, uint64_t index);

/* Elements first .. first + count as doubles, 64-bit integers rounded; of complex ones real and imaginary parts alternate: out [2 * count]. */
void values_doubles(enum dtype dtype, const uint8_t *data, uint64_t first, uint64_t count, double *out);

/* True when the element or a part of it is NaN; infinite, and no part NaN. */
bool values_is_nan(const struct value *v);
bool values_is_inf(const struct value *v);

/*
 * The element as Python's str() of a numpy scalar shows it: "0.1", "1e-05", "-0.0", "nan", "True", "(1+2j)", into `out` [VALUES_TEXT],
 * which is returned. The digits are the fewest that no other number of the type is nearer to; types of 8 bits and less have those
 * of the same number as F32, for the few digits that would do (96 as "1e+02") tell another number to whoever reads them.
 */
const char *values_text(enum dtype dtype, const uint8_t *data, uint64_t index, char *out);

/* A double, for statistics, as Python's repr() shows it; into `out` [VALUES_TEXT], which is returned. */
const char *values_text_double(double v, char *out);

/*
 * What printing needs of a float, or of part `part` (0 real, 1 imaginary) of a complex element. True when it is finite; else only
 * `negative` of *out is set, and *nan.
 */
bool values_float(enum dtype dtype, const uint8_t *data, uint64_t index, uint32_t part, struct digits_float *out, bool *nan);

#endif
