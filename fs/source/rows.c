/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "fs/source/rows.h"

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

#define TILE_BYTES 64 /* of a row of the source: a line of the cache */
#define TILE_ROWS 8   /* rows that are a page apart share a few places in the cache: more would push each other out */

/* Any tile: `columns` elements of `len` bytes in each of `rows` rows of the source. */
static inline __attribute__((always_inline)) void copy_tile(uint8_t *dst, const uint8_t *src, const struct rows_block *b, uint64_t rows,
							    uint64_t columns, uint64_t len)
{
	for (uint64_t c = 0; c < columns; c++)
		for (uint64_t r = 0; r < rows; r++)
			memcpy(dst + c * b->step + r * b->run.dst_stride, src + r * b->run.src_stride + c * len, len);
}

typedef uint16_t row8 __attribute__((vector_size(16)));

/*
 * Eight by eight elements of 16 bits, whose rows in the destination are without gaps. Taking rows i and i + 4 apart and laying their
 * elements out in turns, three times, turns rows into columns.
 */
static void turn8(uint8_t *dst, const uint8_t *src, const struct rows_block *b)
{
	row8 a[8], t[8];

	for (uint64_t i = 0; i < 8; i++)
		memcpy(&a[i], src + i * b->run.src_stride, sizeof(a[i]));
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 4; i++) {
			t[2 * i] = __builtin_shufflevector(a[i], a[i + 4], 0, 8, 1, 9, 2, 10, 3, 11);
			t[2 * i + 1] = __builtin_shufflevector(a[i], a[i + 4], 4, 12, 5, 13, 6, 14, 7, 15);
		}
		memcpy(a, t, sizeof(a));
	}
	for (uint64_t i = 0; i < 8; i++)
		memcpy(dst + i * b->step, &a[i], sizeof(a[i]));
}

static void copy_tile16(uint8_t *dst, const uint8_t *src, const struct rows_block *b, uint64_t rows, uint64_t columns)
{
	uint64_t c = 0;

	for (; rows == 8 && b->run.dst_stride == 2 && c + 8 <= columns; c += 8)
		turn8(dst + c * b->step, src + c * 2, b);
	if (c < columns)
		copy_tile(dst + c * b->step, src + c * 2, b, rows, columns - c, 2);
}

static inline __attribute__((always_inline)) void copy_tiles(uint8_t *dst, const uint8_t *src, const struct rows_block *b, uint64_t len)
{
	uint64_t wide = TILE_BYTES / len;

	for (uint64_t c = 0; c < b->columns; c += wide)
		for (uint64_t r = 0; r < b->run.rows; r += TILE_ROWS) {
			uint64_t rows = b->run.rows - r < TILE_ROWS ? b->run.rows - r : TILE_ROWS,
				 columns = b->columns - c < wide ? b->columns - c : wide;
			uint8_t *to = dst + c * b->step + r * b->run.dst_stride;
			const uint8_t *from = src + r * b->run.src_stride + c * len;

			if (len == 2)
				copy_tile16(to, from, b, rows, columns);
			else
				copy_tile(to, from, b, rows, columns, len);
		}
}

void rows_copy_block(uint8_t *dst, const uint8_t *src, const struct rows_block *block)
{
	switch (block->columns > 1 ? block->run.len : 0) {
	case 1:
		return copy_tiles(dst, src, block, 1);
	case 2:
		return copy_tiles(dst, src, block, 2);
	case 4:
		return copy_tiles(dst, src, block, 4);
	case 8:
		return copy_tiles(dst, src, block, 8);
	default:
		for (uint64_t c = 0; c < block->columns; c++)
			rows_copy(dst + c * block->step, src + c * block->run.len, &block->run);
	}
}

bool rows_join(struct rows_block *b, const struct run *run)
{
	const struct run *first = &b->run;

	if (run->source != first->source || run->len != first->len || run->rows != first->rows || run->src_stride != first->src_stride ||
	    run->dst_stride != first->dst_stride || run->src != first->src + b->columns * run->len || run->dst <= first->dst)
		return false;
	if (b->columns == 1)
		b->step = run->dst - first->dst;
	else if (run->dst != first->dst + b->columns * b->step)
		return false;
	b->columns++;
	return true;
}
