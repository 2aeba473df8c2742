/* SPDX-License-Identifier: Apache-2.0 */
/* Indexes that lie, with a sum that is right: each rule is broken alone, and refused in its own words. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "layout/checkpoint/index_write.h"
#include "tests/index.h"

/*
 * The good index. Names, ascending: "" "a" "b" "bb" "format" "ms" "sliced". Header 0, of 8 + 92 + 30 bytes: "b" U8 [2, 5],
 * then "a" and "bb" U8 [0], then "sliced" F32 [5]; header 1, of a .ckpt file of 1000 bytes: "b" I8 [2, 5] at 100, "sliced" F32 [5] in
 * two splices. Header 2 is empty, of 100 bytes. Header 3 has the entries of header 0, and no metadata; no file has it.
 */
#define AT (2 * CKPT_GAP)
#define GOOD "(good)"

static const uint64_t s25[] = { 2, 5 }, s0[] = { 0 }, s5[] = { 5 };
static const struct safetensors_entry plain[] = {
	{ "b", s25, 0, 10, 2, DTYPE_U8 }, { "a", s0, 10, 10, 1, DTYPE_U8 }, { "bb", s0, 10, 10, 1, DTYPE_U8 },
	{ "sliced", s5, 10, 30, 1, DTYPE_F32 },
};
static const struct safetensors_entry spliced[] = { { "b", s25, 100, 110, 2, DTYPE_I8 }, { "sliced", s5, AT, AT + 20, 1, DTYPE_F32 } };
static const struct ckpt_splice splices[] = { { AT, 200, 12 }, { AT + 12, 992, 8 } };
static const struct pair meta[] = { { "format", "ms" }, { "", "b" } };
static const struct pair left_out[] = { { "bb", "ms" } };

static struct text good(void)
{
	struct index_write *w = index_write_new(true);
	struct ckpt c[4] = {
		{ .st = { plain, meta, 4, 2, 100 } },
		{ .st = { spliced, meta, 2, 1, 0 }, .splices = splices, .splice_count = 2, .left_out = left_out, .left_out_count = 1 },
		{ .st = { .data_start = 100 } },
		{ .st = { plain, NULL, 4, 0, 8 } },
	};
	static const uint64_t sizes[] = { 130, 1000, 100, 38 };
	static const char *const paths[] = { "p", "q", "r" };
	struct text out = TEXT_EMPTY;
	struct error err = { "" };

	for (uint32_t i = 0; i < 4; i++) {
		struct index_file file = { .size = sizes[i], .header = i };
		uint32_t number;

		cr_assert_eq(index_write_header(w, &c[i], i == 1, sizes[i], &number, &err), 0);
		cr_assert(i == 3 || index_write_file(w, paths[i], &file, &err) == 0);
	}
	cr_assert_eq(index_write_finish(w, &out, &err), 0, "%s", err.msg);
	index_write_free(w);
	return out;
}

/* Everything that a lie may be about. */
struct parts {
	struct index_head *head;
	uint64_t *words;
	struct index_entry *e;
	struct ckpt_splice *s;
	struct index_pair *p;
	struct index_header *h;
	struct index_file *f;
	uint32_t *name_ends, *path_ends;
	char *names, *paths;
};

static struct parts parts_of(struct text *text)
{
	uint8_t *file = (uint8_t *)text->ptr;

	return (struct parts){
		(void *)file, index_section_of(file, INDEX_WORDS), index_section_of(file, INDEX_ENTRIES), index_section_of(file, INDEX_SPLICES),
		index_section_of(file, INDEX_PAIRS), index_section_of(file, INDEX_HEADERS), index_section_of(file, INDEX_FILES),
		index_section_of(file, INDEX_NAME_ENDS), index_section_of(file, INDEX_PATH_ENDS), index_section_of(file, INDEX_NAME_BYTES),
		index_section_of(file, INDEX_PATH_BYTES),
	};
}

/* Runs one lie; `says` is what the message must have. */
#define LIE(says, ...) \
	do { \
		struct text text = good(); \
		struct parts x = parts_of(&text); \
		struct arena *arena = arena_new(); \
		struct error err = { GOOD }; \
		struct index index; \
		int code; \
\
		__VA_ARGS__; \
		index_seal((uint8_t *)text.ptr, text.len); \
		code = index_parse((uint8_t *)text.ptr, text.len, arena, &index, &err); \
		cr_assert_eq(code, strcmp(says, GOOD) ? -EINVAL : 0, "%s: %s", #__VA_ARGS__, err.msg); \
		cr_assert(strstr(err.msg, says), "%s: \"%s\" does not say \"%s\"", #__VA_ARGS__, err.msg, says); \
		text_free(&text); \
		arena_free(arena); \
	} while (0)

Test(index_lies, none)
{
	LIE(GOOD, (void)x);
}

Test(index_lies, of_the_head)
{
	LIE("is no index", x.head->magic ^= 1);
	LIE("is no index", x.head->magic = __builtin_bswap64(x.head->magic));
	LIE("version: expected 2, found 1", x.head->version = 1);
	LIE("shared: expected 0 or 1, found 2", x.head->shared = 2);
	LIE(GOOD, x.head->shared = 0);
	for (int i = 0; i < INDEX_SECTIONS; i++) {
		LIE("section ", x.head->count[i] = UINT64_MAX);
		LIE("section ", x.head->count[i] = UINT64_MAX / 40);
		LIE("section ", x.head->count[i] = UINT32_MAX);
	}
	LIE("the sections end at byte", x.head->count[INDEX_WORDS]--);
	LIE("section 9", x.head->count[INDEX_WORDS]++);
	LIE("4 paths for 3 files", x.head->count[INDEX_PATH_ENDS]++);
}

Test(index_lies, of_names)
{
	LIE("not UTF-8", x.names[1] = (char)0xff);
	LIE("not UTF-8", x.names[x.head->count[INDEX_NAME_BYTES] - 2] = (char)0xc3);
	LIE("does not end in its only NUL", x.names[x.head->count[INDEX_NAME_BYTES] - 1] = 'x');
	LIE("does not end in its only NUL", x.name_ends[3] += 1);
	LIE("does not end in its only NUL", x.name_ends[3] = x.name_ends[2]);
	LIE("does not end in its only NUL", x.name_ends[6] = UINT32_MAX);
	LIE("does not end in its only NUL", x.names[6] = 0);
	LIE("out of order", x.names[3] = 'a');
	LIE("out of order", x.names[3] = '0');
	LIE("has more than its strings", x.head->count[INDEX_NAME_BYTES]++);
	LIE("out of order", x.paths[2] = 'p');
	LIE("out of order", x.paths[2] = 'z');
	LIE("does not end in its only NUL", x.path_ends[2] = 7);
}

Test(index_lies, of_files)
{
	LIE("file 1: header 4 of 4", x.f[1].header = 4);
	LIE("file 1: 1000 bytes, but its header is for 130", x.f[1].header = 0);
	LIE("file 2: 101 bytes, but its header is for 100", x.f[2].size++);
	LIE("file 0: no such time", x.f[0].nanos = 1000000000);
	LIE("file 0: no such time", x.f[0].changed_nanos = 1000000000);
	LIE("file 0: no such time", x.f[0].zero = 1);
	LIE("file 0: a device, inode or ctime in a shared index", x.f[0].dev = 1);
	LIE("file 0: a device, inode or ctime in a shared index", x.f[0].ino = 1);
	LIE("file 0: a device, inode or ctime in a shared index", x.f[0].changed_seconds = 1);
	LIE("file 0: a device, inode or ctime in a shared index", x.f[0].changed_nanos = 1);
	LIE(GOOD, x.f[0].seconds = INT64_MIN);
}

Test(index_lies, of_entries)
{
	LIE("entry 1: no such name", x.e[1].name = x.head->count[INDEX_NAME_ENDS]);
	LIE("entry 1: no such name", x.e[1].name = UINT64_MAX);
	LIE("entry 1: no such dtype", x.e[1].dtype = DTYPE_COUNT);
	LIE("entry 0: no such shape", x.e[0].axes = 33);
	LIE("entry 0: no such shape", x.e[0].axes = UINT32_MAX);
	LIE("entry 0: no such shape", x.e[0].shape = UINT64_MAX);
	LIE("entry 0: no such shape", x.e[0].shape = x.head->count[INDEX_WORDS] - 1);
	LIE("entry 0: its shape is too large", x.words[0] = UINT64_C(1) << 53);
	LIE("entry 0: its shape is too large", x.words[0] = x.words[1] = (UINT64_C(1) << 53) - 1);
	LIE("entry 0: its bytes are not those", x.words[0] = 3);
	LIE("entry 0: its bytes are not those", x.e[0].dtype = DTYPE_U16);
	LIE("entry 0: its bytes are not those", x.e[0].dtype = DTYPE_F4);
	LIE("entry 0: its bytes are not those", x.e[0].end = 9);
	LIE("entry 0: its bytes are not those", x.e[0].begin = 11);
	LIE("entry 1: begins before the one before it ends", x.e[1].begin = x.e[1].end = 9);
	LIE("entry 2: is out of order", x.e[1].name = 3; x.e[2].name = 1);
	LIE("header 0: a name comes twice", x.e[3].name = x.e[0].name);
	LIE("header 0: a name comes twice", x.e[2].name = x.e[1].name);
	LIE(GOOD, x.e[4].name = 4); /* another header's names are its own */
}

Test(index_lies, of_what_is_no_tensor)
{
	struct index_write *w = index_write_new(false);
	struct safetensors_entry e = { "__metadata__", s0, 0, 0, 1, DTYPE_U8 };
	struct ckpt c = { .st = { &e, NULL, 1, 0, 8 } };
	struct text text = TEXT_EMPTY;
	struct arena *arena = arena_new();
	struct error err = { "" };
	struct index x;
	uint32_t number;

	cr_assert_eq(index_write_header(w, &c, false, 8, &number, &err), 0);
	cr_assert_eq(index_write_finish(w, &text, &err), 0);
	cr_assert_eq(index_parse((uint8_t *)text.ptr, text.len, arena, &x, &err), -EINVAL);
	cr_assert(strstr(err.msg, "no tensor has that name"), "%s", err.msg);
	text_free(&text);
	index_write_free(w);
	arena_free(arena);
}

Test(index_lies, of_headers)
{
	LIE("header 0: its parts are not there", x.h[0].ckpt = 2);
	LIE("header 0: its parts are not there", x.h[0].first_entry = 1);
	LIE("header 0: its parts are not there", x.h[0].entries = UINT32_MAX);
	LIE("header 1: its parts are not there", x.h[0].entries = 3; x.h[0].file_size = x.f[0].size = 110);
	LIE("header 1: its parts are not there", x.h[1].first_pair = 1);
	LIE("header 1: its parts are not there", x.h[1].left_out = UINT32_MAX);
	LIE("header 1: its parts are not there", x.h[1].splices = 3);
	LIE("header 1: its parts are not there", x.h[1].first_splice = 1);
	LIE("the headers do not have all that is there", x.h[1].left_out = 0; x.h[2].first_pair--; x.h[3].first_pair--);
	LIE("header 0: no such key or value", x.p[0].key = 7);
	LIE("header 0: no such key or value", x.p[1].value = UINT64_MAX);
	LIE("header 0: a key comes twice", x.p[1].key = x.p[0].key);
	LIE("header 0: only a .ckpt file", x.h[0].meta = 1; x.h[0].left_out = 1);
	LIE("header 0: no such start of the data", x.h[0].data_start = 7);
	LIE("header 0: no such start of the data", x.h[0].data_start = UINT64_MAX);
	LIE("header 0: the tensors do not end where the file does", x.h[0].data_start++);
	LIE("header 0: the tensors do not end where the file does", x.h[0].file_size++; x.f[0].size++);
	LIE("header 2: the tensors do not end where the file does", x.h[2].data_start--);
	LIE("entry 3: does not begin where the one before it ends", x.e[3].begin++; x.e[3].end++; x.h[0].file_size++; x.f[0].size++);
	LIE("entry 0: does not begin where the one before it ends", x.e[0].begin++; x.words[x.e[0].shape + 1] = 9; x.words[x.e[0].shape] = 1);
}

Test(index_lies, of_entries_that_are_shared)
{
	LIE("header 3: its parts are not there", x.h[3].like = 1); /* other entries */
	LIE("header 3: its parts are not there", x.h[3].like = 2);
	LIE("header 3: its parts are not there", x.h[3].like = 3);
	LIE("header 3: its parts are not there", x.h[3].like = 4);
	LIE("header 3: its parts are not there", x.h[3].like = UINT32_MAX);
	LIE("header 3: its parts are not there", x.h[3].entries = 3; x.h[3].file_size = 18);
	LIE("header 3: its parts are not there", x.h[3].first_entry = 1);
	LIE("header 3: its parts are not there", x.h[3].ckpt = 1; x.h[3].data_start = 0);
	LIE("header 3: its parts are not there", x.h[3].zero = 1);
	LIE("header 3: its parts are not there", x.h[3].like = 1; x.h[3].first_entry = 4; x.h[3].entries = 2);
	LIE("header 3: its parts are not there", x.h[2].like = 0; x.h[2].first_entry = 0; x.h[2].entries = 4; x.h[2].file_size = 130;
	    x.f[2].size = 130; x.h[3].like = 2); /* like one that has none of its own */
	LIE(GOOD, x.h[2].like = 0; x.h[2].first_entry = 0; x.h[2].entries = 4; x.h[2].file_size = 130; x.f[2].size = 130);
	LIE("header 0: its parts are not there", x.h[0].like = 3);
	LIE("header 3: the tensors do not end where the file does", x.h[3].file_size++);
	LIE("header 3: the tensors do not end where the file does", x.h[3].data_start++);
	LIE("header 3: no such start of the data", x.h[3].data_start = 7; x.h[3].file_size--);
	LIE("header 3: only a .ckpt file", x.h[1].splices = 0; x.h[2].first_splice = x.h[3].first_splice = 0; x.h[3].splices = 2;
	    x.e[5].begin = 200; x.e[5].end = 220);
}

Test(index_lies, of_ckpt_files)
{
	LIE("header 1: no .ckpt file has such a header", x.h[1].data_start = 8);
	LIE("header 2: no .ckpt file has such a header", x.h[2].ckpt = 1; x.h[2].data_start = 0);
	LIE("entry 4: is not inside the file", x.e[4].begin = 991; x.e[4].end = 1001);
	LIE(GOOD, x.e[4].begin = 990; x.e[4].end = 1000);
	LIE("entry 4: no such address", x.e[4].begin = 1001; x.e[4].end = 1011);
	LIE("entry 5: no such address", x.e[5].begin++; x.e[5].end++);
	LIE("entry 5: no such address", x.e[5].begin = UINT64_MAX / CKPT_GAP * CKPT_GAP; x.e[5].end = x.e[5].begin + 20);
	LIE("entry 5: its splices do not make it up", x.e[5].begin += CKPT_GAP; x.e[5].end += CKPT_GAP);
	LIE("entry 5: its splices do not make it up", x.s[0].logical--);
	LIE("entry 5: its splices do not make it up", x.s[0].len = 0);
	LIE("entry 5: its splices do not make it up", x.s[0].len = UINT64_MAX);
	LIE("entry 5: its splices do not make it up", x.s[1].logical++);
	LIE("entry 5: its splices do not make it up", x.s[1].len = 7);
	LIE("entry 5: a splice is not inside the file", x.s[1].physical = 993);
	LIE("entry 5: a splice is not inside the file", x.s[0].physical = UINT64_MAX);
	LIE("header 1: splices that no tensor has", x.e[5].begin = 200; x.e[5].end = 220);
}
