/* SPDX-License-Identifier: Apache-2.0 */
/* An index in bytes, for tests that change some of them: where its sections are, and the sum made right again. */
#ifndef TESTS_INDEX_H
#define TESTS_INDEX_H

#include <stddef.h>
#include <xxhash.h>

#include "layout/checkpoint/index.h"

static inline void *index_section_of(uint8_t *file, enum index_section section)
{
	static const uint64_t widths[INDEX_SECTIONS] = { 8, 40, 24, 16, 56, 56, 4, 4, 1, 1 };
	const struct index_head *head = (const void *)file;
	uint64_t at = sizeof(*head);

	for (int i = 0; i < (int)section; i++)
		at += (head->count[i] * widths[i] + 7) / 8 * 8;
	return file + at;
}

static inline void index_seal(uint8_t *file, uint64_t len)
{
	struct index_head *head = (void *)file;
	XXH128_hash_t sum = XXH3_128bits(file + 24, len - 24);

	head->sum_low = sum.low64;
	head->sum_high = sum.high64;
}

#endif
