/* SPDX-License-Identifier: Apache-2.0 */
/* Indexes of .ckpt files for tests: made from bytes that are gone afterwards, and held to what layout/formats/ckpt.h promises. */
#ifndef TESTS_CKPTS_H
#define TESTS_CKPTS_H

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "layout/formats/ckpt.h"
#include "tests/proto.h"

/* Indexes a copy that ends where its allocation ends, and is gone when this returns. */
static inline int ckpts_index(const uint8_t *ptr, size_t len, struct arena *arena, struct ckpt *out, struct error *err)
{
	uint8_t *copy = malloc(len + !len);

	memcpy(copy, ptr, len);
	err->msg[0] = '\0';

	int r = ckpt_index((struct bytes){ copy, len }, arena, out, err);

	memset(copy, 0xee, len); /* nothing may point into it */
	free(copy);
	return r;
}

static inline int ckpts_index_text(const char *text, struct arena *arena, struct ckpt *out, struct error *err)
{
	struct proto p = proto_text(text);
	int r = ckpts_index(p.ptr, p.len, arena, out, err);

	free(p.ptr);
	return r;
}

/* What ckpt.h promises of every index. */
static inline void ckpts_check(const struct ckpt *c, uint64_t file_size)
{
	uint64_t at = 0, splice = 0;

	cr_assert_eq(c->st.data_start, 0);
	cr_assert_leq(c->crc_len, file_size);
	for (uint64_t i = 0; i < c->st.count; i++) {
		const struct safetensors_entry *e = &c->st.entries[i];
		uint64_t n = 1, bytes;

		for (uint32_t a = 0; a < e->axes; a++)
			cr_assert(bytes_mul(n, e->shape[a], &n));
		cr_assert(dtype_bytes(e->dtype, n, &bytes));
		cr_assert_eq(e->end - e->begin, bytes);
		cr_assert_geq(e->begin, at, "%s", e->name);
		at = e->end;
		if (e->begin <= file_size) {
			cr_assert_leq(e->end, file_size);
			continue;
		}
		cr_assert_eq(e->begin % CKPT_GAP, 0);
		cr_assert_geq(e->begin - (i && c->st.entries[i - 1].begin > file_size ? c->st.entries[i - 1].end : file_size), CKPT_GAP);
		for (uint64_t a = e->begin; a < e->end; a += c->splices[splice++].len) {
			cr_assert_lt(splice, c->splice_count);
			cr_assert_eq(c->splices[splice].logical, a);
			cr_assert_gt(c->splices[splice].len, 0);
			cr_assert_leq(c->splices[splice].physical + c->splices[splice].len, c->crc_len);
		}
	}
	cr_assert_eq(splice, c->splice_count);
}

#endif
