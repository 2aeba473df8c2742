/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes, but with the right sum, as an index: what index.h promises of one that is taken, and that it says the same when it is
 * written and read again.
 */
#include <string.h>

#include "layout/base/box.h"
#include "layout/checkpoint/index_write.h"
#include "tests/fuzz/fuzz.h"
#include "tests/index.h"

static void check_entry(const struct safetensors_entry *e)
{
	uint64_t n = 1, bytes;

	FUZZ_PROMISE(fuzz_is_utf8(e->name));
	FUZZ_PROMISE(e->axes <= BOX_AXES && e->dtype < DTYPE_COUNT);
	for (uint32_t a = 0; a < e->axes; a++)
		FUZZ_PROMISE(bytes_mul(n, e->shape[a], &n));
	FUZZ_PROMISE(dtype_bytes(e->dtype, n, &bytes) && e->end >= e->begin && e->end - e->begin == bytes);
}

static void check_unique(const struct safetensors *st)
{
	struct arena *arena = arena_new();
	struct names names = names_new(arena);

	for (uint64_t i = 0; i < st->count; i++)
		FUZZ_PROMISE(names_add(&names, st->entries[i].name) == i);
	arena_free(arena);
}

static void check_pairs(const struct pair *pairs, uint64_t count)
{
	for (uint64_t i = 0; i < count; i++) {
		FUZZ_PROMISE(fuzz_is_utf8(pairs[i].key));
		FUZZ_PROMISE(fuzz_is_utf8(pairs[i].value));
	}
}

static void check_safetensors(const struct safetensors *st, uint64_t size)
{
	uint64_t at = 0;

	for (uint64_t i = 0; i < st->count; i++) {
		FUZZ_PROMISE(st->entries[i].begin == at);
		at = st->entries[i].end;
	}
	FUZZ_PROMISE(st->data_start >= 8 && st->data_start + at == size);
}

static void check_ckpt(const struct ckpt *c, uint64_t size)
{
	const struct ckpt_splice *s = c->splices;
	uint64_t at = 0;

	for (uint64_t i = 0; i < c->st.count; i++) {
		const struct safetensors_entry *e = &c->st.entries[i];

		FUZZ_PROMISE(e->begin >= at);
		if (e->begin <= size) {
			FUZZ_PROMISE(e->end <= size);
			at = e->end;
			continue;
		}
		FUZZ_PROMISE(e->begin >= (at > size ? at : size) + CKPT_GAP && e->end > e->begin);
		for (at = e->begin; at < e->end; at += s->len, s++)
			FUZZ_PROMISE(s < c->splices + c->splice_count && s->logical == at && s->len && s->physical + s->len <= size);
		FUZZ_PROMISE(at == e->end);
	}
	FUZZ_PROMISE(s == c->splices + c->splice_count);
}

static void check_header(const struct index *x, uint64_t number)
{
	const struct index_header *h = (const struct index_header *)x->at[INDEX_HEADERS] + number;
	const struct ckpt *c = &x->headers[number];

	for (uint64_t i = 0; i < c->st.count; i++)
		check_entry(&c->st.entries[i]);
	check_unique(&c->st);
	check_pairs(c->st.meta, c->st.meta_count);
	check_pairs(c->left_out, c->left_out_count);
	if (h->ckpt)
		check_ckpt(c, h->file_size);
	else
		check_safetensors(&c->st, h->file_size);
}

static void check_files(const struct index *x)
{
	const struct index_file *files = x->at[INDEX_FILES];

	for (uint64_t i = 0; i < x->count[INDEX_FILES]; i++) {
		FUZZ_PROMISE(index_find(x, index_path(x, i)) == &files[i]);
		FUZZ_PROMISE(files[i].header < x->count[INDEX_HEADERS]);
		FUZZ_PROMISE(files[i].size == ((const struct index_header *)x->at[INDEX_HEADERS])[files[i].header].file_size);
	}
}

static void same_header(const struct ckpt *a, const struct ckpt *b)
{
	FUZZ_PROMISE(a->st.count == b->st.count && a->st.meta_count == b->st.meta_count && a->st.data_start == b->st.data_start);
	FUZZ_PROMISE(a->splice_count == b->splice_count && a->left_out_count == b->left_out_count);
	FUZZ_PROMISE(memcmp(a->splices, b->splices, a->splice_count * sizeof(*a->splices)) == 0);
	for (uint64_t i = 0; i < a->st.count; i++) {
		const struct safetensors_entry *x = &a->st.entries[i], *y = &b->st.entries[i];

		FUZZ_PROMISE(strcmp(x->name, y->name) == 0 && x->begin == y->begin && x->end == y->end && x->dtype == y->dtype);
		FUZZ_PROMISE(x->axes == y->axes && memcmp(x->shape, y->shape, x->axes * sizeof(*x->shape)) == 0);
	}
	for (uint64_t i = 0; i < a->st.meta_count; i++)
		FUZZ_PROMISE(strcmp(a->st.meta[i].key, b->st.meta[i].key) == 0 && strcmp(a->st.meta[i].value, b->st.meta[i].value) == 0);
}

static void check_again(const struct index *x, struct arena *arena)
{
	struct index_write *w = index_write_new(x->shared);
	struct text text = TEXT_EMPTY;
	struct error err = { "" };
	struct index again;
	uint32_t *number = arena_alloc(arena, x->count[INDEX_HEADERS], sizeof(*number));

	for (uint64_t i = 0; i < x->count[INDEX_HEADERS]; i++) {
		const struct index_header *h = (const struct index_header *)x->at[INDEX_HEADERS] + i;

		FUZZ_PROMISE(index_write_header(w, &x->headers[i], h->ckpt, h->file_size, &number[i], &err) == 0 && number[i] <= i);
	}
	for (uint64_t i = 0; i < x->count[INDEX_FILES]; i++) {
		struct index_file file = ((const struct index_file *)x->at[INDEX_FILES])[i];

		file.header = number[file.header];
		FUZZ_PROMISE(index_write_file(w, index_path(x, i), &file, &err) == 0);
	}
	FUZZ_PROMISE(index_write_finish(w, &text, &err) == 0);
	FUZZ_PROMISE(index_parse((uint8_t *)text.ptr, text.len, arena, &again, &err) == 0);
	FUZZ_PROMISE(again.count[INDEX_HEADERS] <= x->count[INDEX_HEADERS] && again.count[INDEX_FILES] == x->count[INDEX_FILES]);
	for (uint64_t i = 0; i < x->count[INDEX_HEADERS]; i++)
		same_header(&x->headers[i], &again.headers[number[i]]);
	text_free(&text);
	index_write_free(w);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *file = malloc(size + !size);
	struct arena *arena = arena_new();
	struct error err = { "" };
	struct index x;
	int code;

	if (size)
		memcpy(file, data, size);
	if (size >= sizeof(struct index_head))
		index_seal(file, size);
	code = index_parse(file, size, arena, &x, &err);
	FUZZ_PROMISE(arena_size(arena) <= 4 * size + (1 << 14));
	if (code == 0) {
		for (uint64_t i = 0; i < x.count[INDEX_HEADERS]; i++)
			check_header(&x, i);
		check_files(&x);
		check_again(&x, arena);
	} else {
		FUZZ_PROMISE(err.msg[0]);
	}
	arena_free(arena);
	free(file);
	return 0;
}
