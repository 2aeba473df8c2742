/* SPDX-License-Identifier: Apache-2.0 */
/* Where the parts of an index lie: private to index*.c. */
#ifndef LAYOUT_INDEX_AT_H
#define LAYOUT_INDEX_AT_H

#include "layout/checkpoint/index.h"

static inline const uint64_t *index_at_words(const struct index *x)
{
	return x->at[INDEX_WORDS];
}

static inline const struct index_entry *index_at_entries(const struct index *x)
{
	return x->at[INDEX_ENTRIES];
}

static inline const struct ckpt_splice *index_at_splices(const struct index *x)
{
	return x->at[INDEX_SPLICES];
}

static inline const struct index_pair *index_at_pairs(const struct index *x)
{
	return x->at[INDEX_PAIRS];
}

static inline const struct index_header *index_at_headers(const struct index *x)
{
	return x->at[INDEX_HEADERS];
}

static inline const struct index_file *index_at_files(const struct index *x)
{
	return x->at[INDEX_FILES];
}

/* String `number` of a section, whose ends are in another. */
static inline const char *index_at_string(const struct index *x, enum index_section ends, enum index_section text, uint64_t number)
{
	return (const char *)x->at[text] + (number ? ((const uint32_t *)x->at[ends])[number - 1] : 0);
}

static inline const char *index_at_name(const struct index *x, uint64_t number)
{
	return index_at_string(x, INDEX_NAME_ENDS, INDEX_NAME_BYTES, number);
}

/* Bytes of one element of a section. */
uint64_t index_width(enum index_section section);

/* Fills in the sum of the index of `len` bytes at `file`. */
void index_sum(const uint8_t *file, uint64_t len, struct index_head *head);

/*
 * Checks the contents of an index whose sections are known, all but the sum. -EINVAL, or -ENOMEM: takes memory from `arena`, in
 * proportion to the index.
 */
int index_check(const struct index *x, struct arena *arena, struct error *err);

#endif
