/* SPDX-License-Identifier: Apache-2.0 */
/* Indexes: what was written is read back, every lie is refused with the words for it, and nothing torn or damaged is taken. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "layout/base/box.h"
#include "layout/checkpoint/index_write.h"
#include "tests/index.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define HEADER \
	"{\"__metadata__\": {\"format\": \"ms\", \"remove_redundancy\": \"True\"}, " \
	"\"b\": {\"dtype\": \"F32\", \"shape\": [2, 3], \"data_offsets\": [0, 24]}, " \
	"\"a.w\": {\"dtype\": \"BF16\", \"shape\": [4], \"data_offsets\": [24, 32]}, " \
	"\"none\": {\"dtype\": \"U8\", \"shape\": [0], \"data_offsets\": [32, 32]}, " \
	"\"scalar\": {\"dtype\": \"I64\", \"shape\": [], \"data_offsets\": [32, 40]}}"
#define FILE_SIZE (8 + sizeof(HEADER) - 1 + 40)
#define CKPT_SIZE 1000
#define AT (2 * CKPT_GAP)

/* What a .ckpt file says that has an ordinary tensor and one in two slices; made by hand, as it would take 512 MiB otherwise. */
static const uint64_t shape[] = { 10, 3 };
static const struct safetensors_entry ckpt_entry[] = {
	{ .name = "b", .shape = shape, .axes = 1, .dtype = DTYPE_I8, .begin = 100, .end = 110 },
	{ .name = "sliced", .shape = shape, .axes = 2, .dtype = DTYPE_F32, .begin = AT, .end = AT + 120 },
};
static const struct ckpt_splice splice[] = { { AT, 200, 100 }, { AT + 100, 980, 20 } };
static const struct pair ckpt_meta[] = { { "format", "ms" }, { "b", "Int4" } };
static const struct pair left_out[] = { { "text", "a str, and safetensors holds tensors only" } };
static const struct ckpt by_hand = {
	.st = { .entries = ckpt_entry, .count = 2, .meta = ckpt_meta, .meta_count = 2 },
	.splices = splice, .splice_count = 2, .left_out = left_out, .left_out_count = 1,
};

static struct ckpt parsed(struct arena *arena)
{
	struct ckpt c = { .crc = 0 };
	struct error err;
	struct bytes header = { (const uint8_t *)HEADER, sizeof(HEADER) - 1 };

	cr_assert_eq(safetensors_parse(header, FILE_SIZE, arena, &c.st, &err), 0, "%s", err.msg);
	return c;
}

static void add_file(struct index_write *w, bool shared, const char *path, uint64_t size, uint32_t header)
{
	struct index_file file = { .size = size, .seconds = -3, .nanos = 999999999, .header = header };
	struct error err;

	if (!shared) {
		file.dev = 7;
		file.ino = size + 1;
		file.changed_seconds = INT64_MAX;
		file.changed_nanos = 5;
	}
	cr_assert_eq(index_write_file(w, path, &file, &err), 0);
}

/* An index of three files with two headers; the files are added in this order, or the other. */
static struct text written(bool shared, bool backwards, struct arena *arena)
{
	static const char *const paths[] = { "rank_0/x.safetensors", "rank_1/x.safetensors", "rank_10/x.ckpt" };
	struct index_write *w = index_write_new(shared);
	struct ckpt c = parsed(arena);
	struct text out = TEXT_EMPTY;
	struct error err;
	uint32_t number[2];

	cr_assert_eq(index_write_header(w, &c, false, FILE_SIZE, &number[0], &err), 0);
	cr_assert_eq(index_write_header(w, &by_hand, true, CKPT_SIZE, &number[1], &err), 0);
	for (int i = 0; i < 3; i++) {
		int at = backwards ? 2 - i : i;

		add_file(w, shared, paths[at], at == 2 ? CKPT_SIZE : FILE_SIZE, number[at == 2]);
	}
	cr_assert_eq(index_write_finish(w, &out, &err), 0, "%s", err.msg);
	index_write_free(w);
	return out;
}

static void same(const struct ckpt *a, const struct ckpt *b)
{
	cr_assert(a->st.count == b->st.count && a->st.meta_count == b->st.meta_count && a->st.data_start == b->st.data_start);
	cr_assert(a->splice_count == b->splice_count && a->left_out_count == b->left_out_count);
	for (uint64_t i = 0; i < a->st.count; i++) {
		const struct safetensors_entry *x = &a->st.entries[i], *y = &b->st.entries[i];

		cr_assert_str_eq(x->name, y->name);
		cr_assert(x->begin == y->begin && x->end == y->end && x->axes == y->axes && x->dtype == y->dtype);
		cr_assert(x->axes == 0 || memcmp(x->shape, y->shape, x->axes * sizeof(*x->shape)) == 0);
	}
	for (uint64_t i = 0; i < a->st.meta_count; i++) {
		cr_assert_str_eq(a->st.meta[i].key, b->st.meta[i].key);
		cr_assert_str_eq(a->st.meta[i].value, b->st.meta[i].value);
	}
	for (uint64_t i = 0; i < a->splice_count; i++)
		cr_assert_eq(memcmp(&a->splices[i], &b->splices[i], sizeof(*a->splices)), 0);
	for (uint64_t i = 0; i < a->left_out_count; i++)
		cr_assert_str_eq(a->left_out[i].key, b->left_out[i].key);
}

Test(index, reads_what_it_writes)
{
	for (int shared = 0; shared < 2; shared++) {
		struct arena *arena = arena_new();
		struct text text = written(shared, false, arena);
		struct ckpt c = parsed(arena);
		const struct index_file *f;
		struct error err = { "" };
		struct index x;

		cr_assert_eq(index_parse((uint8_t *)text.ptr, text.len, arena, &x, &err), 0, "%s", err.msg);
		cr_assert_eq(x.shared, shared);
		cr_assert(x.count[INDEX_FILES] == 3 && x.count[INDEX_HEADERS] == 2 && x.count[INDEX_NAME_ENDS] == 12);
		f = index_find(&x, "rank_1/x.safetensors");
		cr_assert(f && f->size == FILE_SIZE && f->seconds == -3 && f->nanos == 999999999);
		cr_assert_eq(f->dev, shared ? 0 : 7);
		cr_assert_eq(f->ino, shared ? 0 : FILE_SIZE + 1);
		cr_assert(f->changed_seconds == (shared ? 0 : INT64_MAX) && f->changed_nanos == (shared ? 0 : 5));
		cr_assert_eq(f->header, index_find(&x, "rank_0/x.safetensors")->header, "one header for both");
		same(&x.headers[f->header], &c);
		same(&x.headers[index_find(&x, "rank_10/x.ckpt")->header], &by_hand);
		cr_assert(!index_find(&x, "rank_1/y.safetensors") && !index_find(&x, "") && !index_find(&x, "rank_10/x.ckpt/"));
		text_free(&text);
		arena_free(arena);
	}
}

Test(index, does_not_depend_on_the_order_of_files)
{
	struct arena *arena = arena_new();
	struct text a = written(false, false, arena), b = written(false, true, arena);

	cr_assert(a.len == b.len && memcmp(a.ptr, b.ptr, a.len) == 0);
	text_free(&a);
	text_free(&b);
	arena_free(arena);
}

Test(index, may_be_empty)
{
	struct index_write *w = index_write_new(false);
	struct arena *arena = arena_new();
	struct text text = TEXT_EMPTY;
	struct error err = { "" };
	struct index x;

	cr_assert_eq(index_write_finish(w, &text, &err), 0);
	cr_assert_eq(index_parse((uint8_t *)text.ptr, text.len, arena, &x, &err), 0, "%s", err.msg);
	cr_assert(!index_find(&x, "a"));
	text_free(&text);
	index_write_free(w);
	arena_free(arena);
}

/* What is the same is kept once: shapes of one name, entries, and headers, which must be equal in everything. */
Test(index, keeps_the_same_once)
{
	struct index_write *w = index_write_new(false);
	struct arena *arena = arena_new();
	struct text text = TEXT_EMPTY;
	struct safetensors_entry entry = { .name = "t", .axes = 2, .dtype = DTYPE_U8, .end = 6 };
	struct pair pair = { "k", "v" };
	struct ckpt c = { .st = { .entries = &entry, .count = 1, .meta = &pair } };
	static const struct { uint64_t shape[2], start, meta_count, number; } headers[] = {
		{ { 2, 3 }, 8, 0, 0 }, { { 2, 3 }, 8, 0, 0 }, { { 3, 2 }, 8, 0, 1 }, { { 3, 2 }, 8, 1, 2 }, { { 3, 2 }, 9, 1, 3 }, { { 3, 2 }, 9, 1, 3 },
	};
	struct error err = { "" };
	struct index x;
	uint32_t number;

	for (size_t i = 0; i < COUNT(headers); i++) {
		entry.shape = headers[i].shape;
		c.st.data_start = headers[i].start;
		c.st.meta_count = headers[i].meta_count;
		cr_assert_eq(index_write_header(w, &c, false, headers[i].start + 6, &number, &err), 0);
		cr_assert_eq(number, headers[i].number, "header %zu: %u", i, number);
	}
	cr_assert_eq(index_write_finish(w, &text, &err), 0);
	cr_assert_eq(index_parse((uint8_t *)text.ptr, text.len, arena, &x, &err), 0, "%s", err.msg);
	cr_assert(x.count[INDEX_WORDS] == 4 && x.count[INDEX_HEADERS] == 4 && x.count[INDEX_ENTRIES] == 2 && x.count[INDEX_PAIRS] == 2);
	cr_assert(x.headers[1].st.entries == x.headers[3].st.entries && x.headers[1].st.entries != x.headers[0].st.entries);
	for (size_t i = 0; i < COUNT(headers); i++) {
		const struct safetensors *st = &x.headers[headers[i].number].st;

		cr_assert_eq(memcmp(st->entries[0].shape, headers[i].shape, sizeof(headers[i].shape)), 0);
		cr_assert(st->data_start == headers[i].start && st->meta_count == headers[i].meta_count);
	}
	text_free(&text);
	index_write_free(w);
	arena_free(arena);
}

/* What an index says is held against what a file says: every field counts. */
Test(index, differs_in_anything)
{
	struct arena *arena = arena_new();
	struct ckpt c = parsed(arena);
	struct safetensors_entry *e = arena_alloc(arena, c.st.count, sizeof(*e));
	struct ckpt other = c;
	struct error err;
	static const struct pair others[] = { { "format", "pt" }, { "remove_redundancy", "True" } };

	memcpy(e, c.st.entries, c.st.count * sizeof(*e));
	other.st.entries = e;
	cr_assert_eq(index_differs(&other, &c, &err), 0, "%s", err.msg);
#define DIFFERS(says, change, undo) \
	do { \
		change; \
		cr_assert_eq(index_differs(&other, &c, &err), -EINVAL, #change); \
		cr_assert(strstr(err.msg, says), "%s: %s", #change, err.msg); \
		undo; \
	} while (0)
	DIFFERS("tensor \"x\" stands where", e[1].name = "x", e[1].name = "a.w");
	DIFFERS("tensor \"b\": bytes [1, 25], but the file has it at [0, 24]", e[0].begin++; e[0].end++, e[0].begin--; e[0].end--);
	DIFFERS("tensor \"b\": dtype I32, but the file says F32", e[0].dtype = DTYPE_I32, e[0].dtype = DTYPE_F32);
	DIFFERS("tensor \"b\": another shape", e[0].shape = shape, e[0].shape = c.st.entries[0].shape);
	DIFFERS("tensor \"b\": another shape", e[0].axes = 1, e[0].axes = 2);
	DIFFERS("3 tensors, but the file has 4", other.st.count--, other.st.count++);
	DIFFERS("the data begin at byte", other.st.data_start++, other.st.data_start--);
	DIFFERS("other metadata", other.st.meta_count--, other.st.meta_count++);
	DIFFERS("other metadata", other.st.meta = others, other.st.meta = c.st.meta);
	DIFFERS("leaves out", other.left_out = left_out; other.left_out_count = 1, other.left_out_count = 0);
	DIFFERS("other slices", other.splices = splice; other.splice_count = 2, other.splice_count = 0);
	cr_assert_eq(index_differs(&other, &c, &err), 0, "%s", err.msg);
	arena_free(arena);
}

Test(index, refuses_a_path_twice)
{
	struct index_write *w = index_write_new(true);
	struct arena *arena = arena_new();
	struct ckpt c = parsed(arena);
	struct text text = TEXT_EMPTY;
	struct error err;
	uint32_t number;

	cr_assert_eq(index_write_header(w, &c, false, FILE_SIZE, &number, &err), 0);
	add_file(w, true, "b", FILE_SIZE, number);
	add_file(w, true, "a", FILE_SIZE, number);
	add_file(w, true, "b", FILE_SIZE, number);
	cr_assert_eq(index_write_finish(w, &text, &err), -EEXIST);
	cr_assert_str_eq(err.msg, "b: two files of that name");
	text_free(&text);
	index_write_free(w);
	arena_free(arena);
}

/* Parses a copy that ends where its allocation ends. */
static int parse_copy(const uint8_t *file, uint64_t len, struct error *err)
{
	struct arena *arena = arena_new();
	uint8_t *copy = malloc(len + !len);
	struct index x;
	int code;

	memcpy(copy, file, len);
	code = index_parse(copy, len, arena, &x, err);
	free(copy);
	arena_free(arena);
	return code;
}

Test(index, may_be_torn_anywhere)
{
	struct arena *arena = arena_new();
	struct text text = written(false, false, arena);
	struct error err;

	for (uint64_t len = 0; len < text.len; len++)
		cr_assert_eq(parse_copy((uint8_t *)text.ptr, len, &err), -EINVAL, "%lu bytes", (unsigned long)len);
	text_pad(&text, 0, 8);
	cr_assert_eq(parse_copy((uint8_t *)text.ptr, text.len, &err), -EINVAL);
	text_free(&text);
	arena_free(arena);
}

Test(index, may_be_damaged_anywhere)
{
	struct arena *arena = arena_new();
	struct text text = written(false, false, arena);
	struct error err;

	for (uint64_t i = 0; i < text.len; i++) {
		text.ptr[i] ^= 0x10;
		cr_assert_eq(parse_copy((uint8_t *)text.ptr, text.len, &err), -EINVAL, "byte %lu", (unsigned long)i);
		text.ptr[i] ^= 0x10;
	}
	cr_assert_eq(parse_copy((uint8_t *)text.ptr, text.len, &err), 0, "%s", err.msg);
	text_free(&text);
	arena_free(arena);
}
