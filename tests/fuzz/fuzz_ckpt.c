/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a .ckpt file: what ckpt.h promises of the index of a file that is taken. */
#include <string.h>

#include "layout/base/box.h"
#include "layout/formats/ckpt.h"
#include "tests/fuzz/fuzz.h"

static void check_entry(const struct safetensors_entry *e)
{
	uint64_t n = 1, bytes;

	FUZZ_PROMISE(*e->name && fuzz_is_utf8(e->name));
	FUZZ_PROMISE(e->axes <= BOX_AXES);
	for (uint32_t a = 0; a < e->axes; a++)
		FUZZ_PROMISE(bytes_mul(n, e->shape[a], &n));
	FUZZ_PROMISE(dtype_bytes(e->dtype, n, &bytes) && e->end - e->begin == bytes);
}

static void check_index(const struct ckpt *c, uint64_t size)
{
	const struct ckpt_splice *s = c->splices;
	uint64_t at = 0;

	FUZZ_PROMISE(c->st.count + c->left_out_count > 0 && c->crc_len <= size);
	for (uint64_t i = 0; i < c->st.count; i++) {
		const struct safetensors_entry *e = &c->st.entries[i];

		check_entry(e);
		FUZZ_PROMISE(e->begin >= at);
		if (e->begin <= size) {
			FUZZ_PROMISE(e->end <= c->crc_len);
			at = e->end;
			continue;
		}
		FUZZ_PROMISE(e->begin >= (at > size ? at : size) + CKPT_GAP);
		for (at = e->begin; at < e->end; at += s->len, s++)
			FUZZ_PROMISE(s < c->splices + c->splice_count && s->logical == at && s->len && s->physical + s->len <= c->crc_len);
		FUZZ_PROMISE(at == e->end);
	}
	FUZZ_PROMISE(s == c->splices + c->splice_count);
	for (uint64_t i = 0; i < c->left_out_count; i++)
		FUZZ_PROMISE(*c->left_out[i].key && fuzz_is_utf8(c->left_out[i].key));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes file = { .ptr = data, .len = size };
	struct arena *arena = arena_new();
	struct error err = { "" };
	struct ckpt c;

	if (ckpt_index(file, arena, &c, &err) == 0) {
		check_index(&c, size);
		ckpt_verify(file, &c, &err);
	} else {
		FUZZ_PROMISE(err.msg[0]);
	}
	arena_free(arena);
	return 0;
}
