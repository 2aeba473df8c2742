/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The element types of safetensors, in the order of its own enum (tensor.rs), which its writer sorts by, descending:
 * the enum's value is that rank. gatherfs converts no element; it needs names and widths only.
 */
#ifndef LAYOUT_DTYPE_H
#define LAYOUT_DTYPE_H

#include <stdbool.h>
#include <stdint.h>

enum dtype {
	DTYPE_BOOL,
	DTYPE_F4,
	DTYPE_F6_E2M3,
	DTYPE_F6_E3M2,
	DTYPE_U8,
	DTYPE_I8,
	DTYPE_F8_E5M2,
	DTYPE_F8_E4M3,
	DTYPE_F8_E8M0,
	DTYPE_F8_E4M3FNUZ,
	DTYPE_F8_E5M2FNUZ,
	DTYPE_I16,
	DTYPE_U16,
	DTYPE_F16,
	DTYPE_BF16,
	DTYPE_I32,
	DTYPE_U32,
	DTYPE_F32,
	DTYPE_C64,
	DTYPE_F64,
	DTYPE_I64,
	DTYPE_U64,
	DTYPE_COUNT
};

/* Finds the type that safetensors calls `name`; false when there is none. */
bool dtype_parse(const char *name, enum dtype *out);

/* Its name in safetensors: "BF16". A static string. */
const char *dtype_name(enum dtype dtype);

/* Width of an element in bits: 4, 6, 8, 16, 32 or 64. */
uint32_t dtype_bits(enum dtype dtype);

/* *bytes = the bytes of `elements` elements, row-major and packed; false when they overflow or end inside a byte. */
bool dtype_bytes(enum dtype dtype, uint64_t elements, uint64_t *bytes);

#endif
