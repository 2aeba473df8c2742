/* SPDX-License-Identifier: Apache-2.0 */
/* Paths of tensors, which can be undone, and the tree that they make; the headers and texts of a tensor's files. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/model/tree.h"
#include "layout/base/json.h"
#include "layout/names/weave.h"
#include "layout/view/about.h"
#include "layout/view/browse.h"
#include "layout/view/npy.h"

#define NAMES 400
#define NAME_MAX_LEN 1200

static int hex_digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c - 'A' + 10;
}

/* What the sign at *p of a part that begins at `part` stands for, a byte or nothing (0), and *p behind it. */
static int undo(const char **p, const char *part)
{
	const char *s = *p;
	bool empty = s == part;

	if (*s != '%') {
		*p = s + 1;
		return *s == '/' ? '.' : (unsigned char)*s;
	}
	if (s[1] == '/' || s[1] == '\0') {
		*p = s + (empty || !s[1] ? 1 : 2);
		return 0;
	}
	*p = s + 3;
	return hex_digit(s[1]) << 4 | hex_digit(s[2]);
}

/* The name that has this path. */
static const char *unescape(const char *path, struct arena *arena)
{
	char *name = arena_alloc(arena, strlen(path) + 1, 1), *end = name;

	for (const char *p = path, *part = path; *p;) {
		int byte = undo(&p, part);

		if (p[-1] == '/')
			part = p;
		if (byte)
			*end++ = (char)byte;
	}
	return name;
}

Test(browse, paths)
{
	static const char *const cases[][2] = {
		{ "model.layers.0.attention.wq.weight", "model/layers/0/attention/wq/weight" },
		{ "w", "w" }, { "", "%" }, { ".", "%/%" }, { "..", "%/%/%" }, { ".a.", "%/a/%" }, { "a..b", "a/%/b" }, { "a/b", "a%2Fb" },
		{ "100%.x", "100%25/x" }, { "a\tb\x7f", "a%09b%7F" }, { "x\xc2\x9b" "31m", "x%C2%9B31m" }, { "\xe6\x9d\x83.\xc3\xa9", "\xe6\x9d\x83/\xc3\xa9" },
		{ "m.safetensors", "m/safetensors" }, { "a b", "a b" }, { "-rf.~", "-rf/~" }, { "bad\xff", "bad%FF" },
	};
	struct arena *arena = arena_new();

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		cr_assert_str_eq(browse_escape(cases[i][0], arena), cases[i][1]);
		cr_assert_str_eq(unescape(cases[i][1], arena), cases[i][0]);
	}
	arena_free(arena);
}

/* A name of pieces that are likely to go wrong. */
static void random_name(char *out)
{
	static const char *const pieces[] = { ".", ".", "..", "%", "/", "a", "b", "layers", "\xe6\x9d\x83", "\x01", "\x7f", "\xc2\x80", "\xff", "%41", ".txt", "\xf0\x9f\x98\x80" };
	int n = rand() % 12;

	for (*out = '\0'; n > 0; n--) {
		const char *piece = pieces[(size_t)rand() % (sizeof(pieces) / sizeof(pieces[0]))];
		int times = rand() % 12 == 0 ? 80 + rand() % 200 : 1;

		for (; times > 0 && strlen(out) + 8 < NAME_MAX_LEN; times--)
			strcat(out, piece);
	}
}

/* The parts of a path are names that a directory can have, with every ending. */
static void check_parts(const char *path)
{
	for (const char *part = path;; part++) {
		size_t len = strcspn(part, "/");

		cr_assert(len > 0 && len + strlen(".json") <= 255, "a part of %zu bytes", len);
		cr_assert_null(memchr(part, '.', len));
		for (size_t i = 0; i < len; i++)
			cr_assert((unsigned char)part[i] >= 0x20 && part[i] != 0x7f);
		part += len;
		if (!*part)
			break;
	}
}

Test(browse, paths_can_be_undone)
{
	char name[NAME_MAX_LEN];
	const char *path;

	srand(11);
	for (int i = 0; i < 30000; i++) {
		struct arena *arena = arena_new();

		random_name(name);
		path = browse_escape(name, arena);
		check_parts(path);
		cr_assert_str_eq(unescape(path, arena), name);
		arena_free(arena);
	}
}

Test(browse, long_parts_go_on)
{
	struct arena *arena = arena_new();
	char name[NAME_MAX_LEN] = "";
	const char *path;

	for (size_t len = 1; len < 800; len++) {
		strcat(name, "x");
		path = browse_escape(name, arena);
		check_parts(path);
		cr_assert_eq(strlen(path), len + 2 * ((len - 1) / 249), "%zu", len);
		cr_assert_str_eq(unescape(path, arena), name);
	}
	arena_free(arena);
}

Test(browse, endings)
{
	for (int i = 0; i < BROWSE_KINDS; i++)
		cr_assert_leq(strlen(browse_ending((enum browse_kind)i)) + BROWSE_PART_MAX, 255);
}

/* What a path leads to, by look-ups. */
static const struct tree_node *walk(const struct tree *tree, const char *path, struct arena *arena)
{
	const struct tree_node *node = &tree->nodes[0];
	char *rest = arena_strndup(arena, path, strlen(path)), *name;

	while (node && (name = strsep(&rest, "/")))
		node = tree_find(tree, node, name);
	return node;
}

/* All tensors in one tree, with a file for each form; every file is found where its path says. Returns how many folders there are. */
static uint32_t check_tree(const struct tensor *tensors, uint64_t count)
{
	struct tree_file *files = calloc(count * BROWSE_KINDS, sizeof(*files)), *file = files;
	struct arena *arena = arena_new();
	uint32_t folders = 0;
	struct tree tree;
	struct error err;

	for (uint64_t i = 0; i < count; i++)
		for (enum browse_kind form = 0; form < BROWSE_KINDS; form++)
			*file++ = (struct tree_file){ .path = arena_printf(arena, "%s%s", browse_escape(tensors[i].name, arena), browse_ending(form)),
						      .kind = TREE_TENSOR, .tensor = &tensors[i], .form = form };
	cr_assert_eq(tree_build_files(files, count * BROWSE_KINDS, 1, arena, &tree, &err), 0, "%s", err.msg);
	for (file = files; file < files + count * BROWSE_KINDS; file++) {
		const struct tree_node *node = walk(&tree, file->path, arena);

		cr_assert(node && node->kind == TREE_TENSOR && node->tensor == file->tensor && node->form == file->form, "%s", file->path);
	}
	for (uint64_t i = 1; i < tree.count; i++)
		folders += tree.nodes[i].kind == TREE_DIR;
	arena_free(arena);
	free(files);
	return folders;
}

Test(browse, a_leaf_that_is_also_a_folder)
{
	static const struct tensor tensors[] = { { .name = "a.b" }, { .name = "a.b.c" }, { .name = "a.b-c" }, { .name = "a" }, { .name = "a.b.c.d" }, { .name = "ab" } };

	cr_assert_eq(check_tree(tensors, 6), 3); /* a, a/b, a/b/c */
}

Test(browse, random_trees)
{
	static char names[NAMES][NAME_MAX_LEN];
	static struct tensor tensors[NAMES];

	srand(12);
	for (int round = 0; round < 20; round++) {
		uint64_t count = 0;

		for (uint64_t tries = 0; tries < NAMES; tries++) {
			bool twice = false;

			random_name(names[count]);
			for (uint64_t i = 0; i < count; i++)
				twice |= strcmp(names[i], names[count]) == 0;
			tensors[count].name = names[count];
			count += !twice;
		}
		check_tree(tensors, count);
	}
}

/* What numpy 1.26's numpy.save() writes of such arrays; 8 bits and less as the text in npy.h says. */
Test(npy, headers)
{
	static const struct {
		enum dtype dtype;
		uint32_t axes;
		uint64_t shape[3], bytes;
		const char *want;
		uint64_t len;
	} cases[] = {
		{ DTYPE_F32, 2, { 16, 8 }, 512, "{'descr': '<f4', 'fortran_order': False, 'shape': (16, 8), }", 128 },
		{ DTYPE_I64, 0, { 0 }, 8, "{'descr': '<i8', 'fortran_order': False, 'shape': (), }", 128 },
		{ DTYPE_BOOL, 1, { 3 }, 3, "{'descr': '|b1', 'fortran_order': False, 'shape': (3,), }", 128 },
		{ DTYPE_C64, 3, { 0, 1, 2 }, 0, "{'descr': '<c8', 'fortran_order': False, 'shape': (0, 1, 2), }", 128 },
		{ DTYPE_BF16, 2, { 1234567, 89012 }, 0, "{'descr': '<u2', 'fortran_order': False, 'shape': (1234567, 89012), }", 128 },
		{ DTYPE_F8_E4M3, 1, { 9 }, 9, "{'descr': '|u1', 'fortran_order': False, 'shape': (9,), }", 128 },
		{ DTYPE_F4, 2, { 3, 4 }, 6, "{'descr': '|u1', 'fortran_order': False, 'shape': (6,), }", 128 },
		{ DTYPE_F64, 3, { 1, UINT64_C(1000000000000000001), 11111111111111111 }, 0,
		  "{'descr': '<f8', 'fortran_order': False, 'shape': (1, 1000000000000000001, 11111111111111111), }", 128 },
		{ DTYPE_F64, 3, { 1, UINT64_C(10000000000000000001), 11111111111111111 }, 0,
		  "{'descr': '<f8', 'fortran_order': False, 'shape': (1, 10000000000000000001, 11111111111111111), }", 192 },
	};
	struct arena *arena = arena_new();

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct tensor t = { .dtype = cases[i].dtype, .axes = cases[i].axes, .shape = cases[i].shape, .bytes = cases[i].bytes };
		size_t len = strlen(cases[i].want);
		struct bytes out;

		cr_assert_eq(npy_header(&t, arena, &out), 0);
		cr_assert_eq(out.len, cases[i].len, "case %zu: %zu", i, (size_t)out.len);
		cr_assert_eq(memcmp(out.ptr, "\x93NUMPY\x01", 8), 0);
		cr_assert_eq(out.ptr[8] + 256u * out.ptr[9], out.len - 10);
		cr_assert_eq(memcmp(out.ptr + 10, cases[i].want, len), 0, "%.*s", (int)out.len - 10, out.ptr + 10);
		for (size_t at = 10 + len; at + 1 < out.len; at++)
			cr_assert_eq(out.ptr[at], ' ');
		cr_assert_eq(out.ptr[out.len - 1], '\n');
	}
	arena_free(arena);
}

static int read_zeros(void *arg, uint64_t offset, uint64_t len, uint8_t *dst, struct error *err)
{
	(void)arg;
	(void)offset;
	(void)err;
	memset(dst, 0, len);
	return 0;
}

Test(about, text_and_json)
{
	static const uint32_t cuts[] = { 1, 2 };
	static const uint64_t shape[] = { 2, 4 };
	static const struct piece pieces[] = { { .offset = 4096, .source = 0 }, { .offset = 1000, .source = 1 } };
	static const struct ckpt_splice splices[] = { { 1000, 64, 3 }, { 1003, 80, 5 } };
	static const struct about_source sources[] = { { "/x/rank_0/a.safetensors", 0, NULL, 0 }, { "/x/rank_1/\x1b.ckpt", 1, splices, 2 } };
	struct tensor t = { .name = "w\n", .source_name = "w", .shape = shape, .axes = 2, .dtype = DTYPE_BF16, .bytes = 16, .pieces = pieces,
			    .grid = { .axes = 2, .blocks = 2, .cuts = cuts } };
	struct corners_array array = about_array(&t);
	struct corners_reader reader = { .read = read_zeros };
	struct arena *arena = arena_new();
	struct text text = TEXT_EMPTY, as_json = TEXT_EMPTY;
	struct corners corners;
	struct error err;

	cr_assert_eq(corners_read(&array, &reader, arena, &corners, &err), 0);
	struct about about = { .tensor = &t, .sources = sources, .corners = &corners };

	about_text(&about, &text);
	cr_assert_str_eq(text.ptr,
			 "name      w\\x0A\n"
			 "in files  w\n"
			 "dtype     BF16, 16 bits (numpy has no such type: the .npy file is <u2 of shape (2, 4))\n"
			 "shape     [2, 4]\n"
			 "elements  8\n"
			 "bytes     16\n"
			 "parts     2 (1x2)\n"
			 "\n"
			 "PART         RANK          OFFSET           BYTES  FILE\n"
			 "[0:2, 0:2]      0            4096               8  /x/rank_0/a.safetensors\n"
			 "[0:2, 2:4]      1              64               3  /x/rank_1/\\x1B.ckpt\n"
			 "[0:2, 2:4]      1              80               5  /x/rank_1/\\x1B.ckpt\n"
			 "\n"
			 "[[0. 0. 0. 0.]\n"
			 " [0. 0. 0. 0.]]\n");
	about_json(&about, &as_json);
	cr_assert_str_eq(as_json.ptr,
			 "{\n  \"name\": \"w\\n\",\n  \"dtype\": \"BF16\",\n  \"shape\": [2, 4],\n  \"elements\": 8,\n  \"bytes\": 16,\n"
			 "  \"source_name\": \"w\",\n  \"cuts\": [1, 2],\n  \"parts\": [\n"
			 "    {\"start\": [0, 0], \"count\": [2, 2], \"rank\": 0, \"file\": \"/x/rank_0/a.safetensors\", \"ranges\": [{\"offset\": 4096, \"bytes\": 8}]},\n"
			 "    {\"start\": [0, 2], \"count\": [2, 2], \"rank\": 1, \"file\": \"/x/rank_1/\\u001b.ckpt\", \"ranges\": [{\"offset\": 64, \"bytes\": 3}, "
			 "{\"offset\": 80, \"bytes\": 5}]}\n  ],\n"
			 "  \"corners\": {\"edge\": null, \"shape\": [2, 4], \"values\": [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]},\n"
			 "  \"npy\": {\"descr\": \"<u2\", \"shape\": [2, 4], \"same_type\": false}\n}\n");
	text_free(&text);
	text_free(&as_json);
	arena_free(arena);
}

/* A tensor made of two others: what it is made of is told, and where that lies. */
Test(about, woven)
{
	static const uint64_t half[] = { 1, 2 }, shape[] = { 2, 2 };
	static const struct piece pieces[] = { { .offset = 8, .source = 0 } };
	static const struct about_source sources[] = { { "/x/rank_0/a.safetensors", 0, NULL, 0 } };
	struct tensor parts_of[] = { { .name = "q", .source_name = "q", .shape = half, .axes = 2, .dtype = DTYPE_U8, .bytes = 2, .pieces = pieces },
				     { .name = "k", .source_name = "k", .shape = half, .axes = 2, .dtype = DTYPE_U8, .bytes = 2, .pieces = pieces } };
	struct weave_part parts[] = { { .count = { 1, 2 }, .axis = { 0, 1 }, .step = { 0, 1 } },
				      { .start = { 1, 0 }, .count = { 1, 2 }, .axis = { 0, 1 }, .step = { 0, 1 } } };
	const struct tensor *of[] = { &parts_of[0], &parts_of[1] };
	struct weave weave = { .factors = 2, .shape = { 2, 2 }, .of = { 0, 1 }, .parts = parts, .count = 2 };
	struct tensor t = { .name = "qk", .source_name = "qk", .shape = shape, .axes = 2, .dtype = DTYPE_U8, .bytes = 4, .woven = &(struct woven){ &weave, of }, .grid = box_uncut(2) };
	struct corners_array array = about_array(&t);
	struct corners_reader reader = { .read = read_zeros };
	struct arena *arena = arena_new();
	struct text text = TEXT_EMPTY, as_json = TEXT_EMPTY;
	struct json_doc *doc;
	struct corners corners;
	struct error err;

	parts_of[0].grid = parts_of[1].grid = box_uncut(2);
	cr_assert_eq(corners_read(&array, &reader, arena, &corners, &err), 0);
	struct about about = { .tensor = &t, .sources = sources, .corners = &corners };

	about_text(&about, &text);
	cr_assert_not_null(strstr(text.ptr, "made of   2 parts of other tensors:\n\nname      q\n"));
	cr_assert_not_null(strstr(text.ptr, "\nname      k\n"));
	about_json(&about, &as_json);
	cr_assert_eq(json_parse((struct bytes){ (const uint8_t *)as_json.ptr, as_json.len }, 1000, &doc, &err), 0, "%s\n%s", err.msg, as_json.ptr);
	cr_assert_eq(json_count(json_get(json_root(doc), "woven")), 2);
	cr_assert_eq(json_count(json_get(json_root(doc), "sources")), 2);
	cr_assert_str_eq(json_string(json_get(json_first(json_get(json_root(doc), "sources")), "name")), "q");
	json_free(doc);
	text_free(&text);
	text_free(&as_json);
	arena_free(arena);
}

Test(about, ranks_of_paths)
{
	cr_assert_eq(about_rank("/a/rank_12/x.safetensors"), 12);
	cr_assert_eq(about_rank("rank_3/x"), 3);
	cr_assert_eq(about_rank("/a/rank_x/x"), ABOUT_NO_RANK);
	cr_assert_eq(about_rank("/rank_1/a/x"), ABOUT_NO_RANK);
	cr_assert_eq(about_rank("x"), ABOUT_NO_RANK);
	cr_assert_eq(about_rank("/x"), ABOUT_NO_RANK);
	cr_assert_eq(about_rank(""), ABOUT_NO_RANK);
}
