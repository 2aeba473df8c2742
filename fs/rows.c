/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "fs/rows.h"

/* Inlined, so that a constant `len` makes each row a few instructions. */
static inline __attribute__((always_inline)) void copy_rows(uint8_t *dst, const uint8_t *src, const struct run *run, uint64_t len)
{
	for (uint64_t i = 0; i < run->rows; i++)
		memcpy(dst + i * run->dst_stride, src + i * run->src_stride, len);
}

void rows_copy(uint8_t *dst, const uint8_t *src, const struct run *run)
{
	switch (run->len) {
	case 1:
		return copy_rows(dst, src, run, 1);
	case 2:
		return copy_rows(dst, src, run, 2);
	case 4:
		return copy_rows(dst, src, run, 4);
	case 8:
		return copy_rows(dst, src, run, 8);
	case 16:
		return copy_rows(dst, src, run, 16);
	case 32:
		return copy_rows(dst, src, run, 32);
	case 64:
		return copy_rows(dst, src, run, 64);
	default:
		return copy_rows(dst, src, run, run->len);
	}
}
