/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a safetensors file: a header that is taken keeps its promises, and is the same after writing and parsing it. */
#include <string.h>

#include "layout/formats/safetensors.h"
#include "tests/fuzz/fuzz.h"

static void check_header(const struct safetensors *st, uint64_t size)
{
	uint64_t at = 0;

	for (uint64_t i = 0; i < st->count; i++) {
		const struct safetensors_entry *e = &st->entries[i];

		FUZZ_PROMISE(e->begin == at && e->end >= at);
		at = e->end;
	}
	FUZZ_PROMISE(st->data_start + at == size);
}

static void check_same(const struct safetensors *a, const struct safetensors *b)
{
	FUZZ_PROMISE(a->count == b->count && a->meta_count == b->meta_count);
	for (uint64_t i = 0; i < a->count; i++) {
		const struct safetensors_entry *x = &a->entries[i], *y = &b->entries[i];

		FUZZ_PROMISE(strcmp(x->name, y->name) == 0 && x->begin == y->begin && x->end == y->end && x->dtype == y->dtype);
		FUZZ_PROMISE(x->axes == y->axes && (x->axes == 0 || memcmp(x->shape, y->shape, x->axes * sizeof(*x->shape)) == 0));
	}
	for (uint64_t i = 0; i < a->meta_count; i++)
		FUZZ_PROMISE(strcmp(a->meta[i].key, b->meta[i].key) == 0 && strcmp(a->meta[i].value, b->meta[i].value) == 0);
}

/* Written in our way and parsed again. A header that had room for nothing more may be too large with its blanks. */
static void check_round_trip(const struct safetensors *st, uint64_t data, struct arena *arena)
{
	struct safetensors again;
	struct bytes header;
	struct error err;

	if (safetensors_write(st, arena, &header, &err) < 0)
		return;
	FUZZ_PROMISE(header.len % SAFETENSORS_ALIGN == 0 && bytes_le64(header.ptr) == header.len - 8);
	FUZZ_PROMISE(safetensors_parse((struct bytes){ header.ptr + 8, header.len - 8 }, header.len + data, arena, &again, &err) == 0);
	check_same(st, &again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes head = { .ptr = data, .len = size < 8 ? size : 8 };
	struct arena *arena = arena_new();
	struct error err = { "" };
	struct safetensors st;
	uint64_t length;

	if (safetensors_length(head, size, &length, &err) == 0 &&
	    safetensors_parse((struct bytes){ data + 8, length }, size, arena, &st, &err) == 0) {
		check_header(&st, size);
		check_round_trip(&st, size - 8 - length, arena);
	} else {
		FUZZ_PROMISE(err.msg[0]);
	}
	arena_free(arena);
	return 0;
}
