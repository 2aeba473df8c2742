/* SPDX-License-Identifier: Apache-2.0 */
/* The unified view of small checkpoints: which tensors lie in which part, headers read back, and indexes as Python writes them. */
#include <stdio.h>

#include "layout/view/view.h"
#include "tests/small.h"

#define U8(name, n) { name, DTYPE_U8, 1, { n } }

struct shown {
	struct arena *arena;
	struct checkpoint *ckpt;
	struct view view;
};

static struct shown show(const struct small *small, uint64_t part_size, enum view_index index)
{
	struct view_options options = { .part_size = part_size, .index = index };
	struct shown s = { .arena = arena_new() };
	struct error err;

	cr_assert_eq(small_build(small, s.arena, &s.ckpt, &err), 0, "%s", err.msg);
	cr_assert_eq(view_unified(s.ckpt, &options, s.arena, &s.view, &err), 0, "%s", err.msg);
	return s;
}

static const struct image *file(const struct shown *s, const char *path)
{
	for (uint64_t i = 0; i < s->view.count; i++)
		if (strcmp(s->view.files[i].path, path) == 0)
			return s->view.files[i].image;
	return NULL;
}

/* The paths of the view, each with a blank behind it. */
static const char *paths(const struct shown *s)
{
	const char *all = "";

	for (uint64_t i = 0; i < s->view.count; i++)
		all = arena_printf(s->arena, "%s%s ", all, s->view.files[i].path);
	return all;
}

/* Reads the header of a file back, having checked that the data follows it on a page. */
static struct safetensors header(const struct shown *s, const char *path)
{
	const struct image *image = file(s, path);
	struct safetensors st;
	struct bytes json;
	struct error err;

	cr_assert(image && image->count && image->extents[0].kind == EXTENT_LITERAL, "%s", path);
	json = (struct bytes){ image->extents[0].literal, image_extent_len(image, 0) };
	cr_assert_eq(safetensors_length((struct bytes){ json.ptr, 8 }, image->size, &json.len, &err), 0, "%s", err.msg);
	json.ptr += 8;
	cr_assert_eq(safetensors_parse(json, image->size, s->arena, &st, &err), 0, "%s", err.msg);
	cr_assert_eq(st.data_start % SAFETENSORS_ALIGN, 0);
	cr_assert_eq(st.data_start, image_extent_len(image, 0));
	return st;
}

/* "a b|c": the tensors of each model part in the order of their data. */
static const char *parts(const struct shown *s)
{
	const char *all = "";

	for (uint64_t f = 0; f < s->view.count; f++) {
		const char *path = s->view.files[f].path, *end = strrchr(path, '.');

		if (strncmp(path, "model", 5) != 0 || strcmp(end, ".safetensors") != 0)
			continue;
		struct safetensors st = header(s, path);
		all = arena_printf(s->arena, "%s%s", all, *all ? "|" : "");
		for (uint64_t i = 0; i < st.count; i++)
			all = arena_printf(s->arena, "%s%s%s", all, i ? " " : "", st.entries[i].name);
	}
	return all;
}

static const struct parted {
	const char *what, *parts;
	uint64_t part_size;
	struct small_tensor t[SMALL_MOST];
} parted[] = {
	{ "all in one", "a b c", 300, { U8("a", 100), U8("b", 100), U8("c", 100) } },
	{ "a byte too many", "a b|c", 299, { U8("a", 100), U8("b", 100), U8("c", 100) } },
	{ "exactly full, twice", "a b|c", 200, { U8("a", 100), U8("b", 100), U8("c", 200) } },
	{ "a larger one is alone, in front", "a|b c", 200, { U8("a", 201), U8("b", 100), U8("c", 100) } },
	{ "a larger one is alone, between", "a|b|c", 200, { U8("a", 1), U8("b", 500), U8("c", 1) } },
	{ "a larger one is alone, at the end", "a b|c", 200, { U8("a", 1), U8("b", 1), U8("c", 500) } },
	{ "order of layers, not of sizes", "a|b c|d", 100, { U8("a", 60), U8("b", 60), U8("c", 40), U8("d", 40) } },
	{ "zero-size tensors take no room in a full part", "a b c|d", 100, { U8("a", 100), U8("b", 0), U8("c", 0), U8("d", 1) } },
	{ "only zero-size tensors", "a b", 100, { U8("a", 0), U8("b", 0) } },
	{ "a zero-size tensor leaves a larger one alone", "a|b c", 100, { U8("a", 101), U8("b", 0), U8("c", 0) } },
	{ "natural order, not the files'", "l.2 l.9 l.10", 100, { U8("l.10", 1), U8("l.9", 1), U8("l.2", 1) } },
	{ "wider types first, then natural order", "b e c d a", 100,
	  { U8("a", 1), { "b", DTYPE_F64, 1, { 1 } }, { "c", DTYPE_F32, 0, { 0 } }, { "d", DTYPE_F32, 1, { 2 } }, { "e", DTYPE_I64, 1, { 1 } } } },
	{ "parts are by layers, their order by width", "b a|c", 9, { U8("a", 1), { "b", DTYPE_F64, 1, { 1 } }, { "c", DTYPE_F64, 1, { 1 } } } },
	{ "below a byte comes last", "c b a", 100, { { "a", DTYPE_F4, 1, { 2 } }, { "b", DTYPE_F6_E2M3, 1, { 4 } }, U8("c", 1) } },
};

Test(view_unified, parts)
{
	for (size_t i = 0; i < sizeof(parted) / sizeof(*parted); i++) {
		struct small small = { .kind = CHECKPOINT_UNIFIED, .file = { { "in", 0 } } };

		memcpy(small.file[0].t, parted[i].t, sizeof(parted[i].t));
		for (int hf = 0; hf < 2; hf++) {
			struct shown s = show(&small, parted[i].part_size, hf ? VIEW_INDEX_HF : VIEW_INDEX_MS);

			cr_expect_str_eq(parts(&s), parted[i].parts, "%s: %s", parted[i].what, parts(&s));
			arena_free(s.arena);
		}
	}
}

/* Two tensors of a checkpoint cut by rows, with a counter: shapes and types are the whole tensors', extents go to their pieces. */
static const struct small sharded = {
	.strategy = SMALL_STRATEGY(SMALL_PARAM("0-w", "[2]", "[0, -1]") ", " SMALL_PARAM("0-b", "[2]", "[-1]")),
	.file = { { "rank_0", 0, { { "w", DTYPE_BF16, 2, { 2, 3 } }, { "b", DTYPE_F32, 1, { 5 } }, { "step_num", DTYPE_I64, 0, { 0 } } },
		    { { "format", "ms" }, { "remove_redundancy", "True" }, { "crc_num", "123" }, { "w", "Int4" }, { "step_num", "Int4" }, { "kept", "1" } } },
		  { "rank_1", 1, { { "w", DTYPE_BF16, 2, { 2, 3 } } } } },
};

Test(view_unified, a_part_holds_whole_tensors)
{
	struct shown s = show(&sharded, 1 << 20, VIEW_INDEX_MS);
	const struct image *image = file(&s, "model-00001-of-00001.safetensors");
	struct safetensors st = header(&s, "model-00001-of-00001.safetensors");
	const struct safetensors_entry *b = &st.entries[0], *w = &st.entries[1];

	cr_assert_str_eq(paths(&s), "model-00001-of-00001.safetensors hyper_param.safetensors param_name_map.json ");
	cr_assert(st.count == 2 && strcmp(b->name, "b") == 0 && strcmp(w->name, "w") == 0);
	cr_assert(b->dtype == DTYPE_F32 && b->axes == 1 && b->shape[0] == 5 && b->begin == 0 && b->end == 20);
	cr_assert(w->dtype == DTYPE_BF16 && w->axes == 2 && w->shape[0] == 4 && w->shape[1] == 3 && w->begin == 20 && w->end == 44);
	cr_assert(image->count == 3 && image->size == st.data_start + 44);
	for (int i = 0; i < 2; i++) {
		const struct extent *e = &image->extents[i + 1];

		cr_assert(e->kind == EXTENT_BLOCK && e->block == 0 && e->grid->blocks == 1 && e->grid->axes == e->tensor->axes);
		cr_assert(e->tensor == &s.ckpt->tensors[i] && e->offset == st.data_start + st.entries[i].begin);
	}
	arena_free(s.arena);
}

static const char *meta(const struct shown *s, const char *path, const char *key)
{
	struct safetensors st = header(s, path);
	const char *value = safetensors_meta_get(&st, key);

	return value ? value : "none";
}

Test(view_unified, metadata_of_parts)
{
	struct shown s = show(&sharded, 23, VIEW_INDEX_MS);
	const char *b = "model-00001-of-00002.safetensors", *w = "model-00002-of-00002.safetensors", *hyper = "hyper_param.safetensors";

	cr_assert_str_eq(parts(&s), "b|w");
	for (int i = 0; i < 2; i++) {
		const char *path = i ? w : b;

		cr_expect_str_eq(meta(&s, path, "format"), "ms");
		cr_expect_str_eq(meta(&s, path, "remove_redundancy"), "False");
		cr_expect_str_eq(meta(&s, path, "crc_num"), "none");
		cr_expect_str_eq(meta(&s, path, "kept"), "1");
		cr_expect_str_eq(meta(&s, path, "step_num"), "none");
	}
	cr_expect_str_eq(meta(&s, b, "w"), "none");
	cr_expect_str_eq(meta(&s, w, "w"), "Int4");
	cr_expect_str_eq(meta(&s, hyper, "format"), "ms");
	cr_expect_str_eq(meta(&s, hyper, "w"), "none");
	arena_free(s.arena);
}

/* `format`: that of the sources with index=ms, "ms" where they have none; always "pt" for Hugging Face's readers. */
Test(view_unified, format)
{
	static const struct {
		const char *format, *ms, *hf;
	} cases[] = { { "ms", "ms", "pt" }, { "pt", "pt", "pt" }, { NULL, "ms", "pt" }, { "tf", "tf", "pt" } };

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct small small = { .kind = CHECKPOINT_UNIFIED, .file = { { "in", 0, { U8("a", 1) }, { { "other", "x" } } } } };

		if (cases[i].format)
			small.file[0].meta[1] = (struct pair){ "format", cases[i].format };
		for (int hf = 0; hf < 2; hf++) {
			struct shown s = show(&small, 100, hf ? VIEW_INDEX_HF : VIEW_INDEX_MS);

			cr_expect_str_eq(meta(&s, s.view.files[0].path, "format"), hf ? cases[i].hf : cases[i].ms);
			cr_expect_str_eq(meta(&s, s.view.files[0].path, "other"), "x");
			arena_free(s.arena);
		}
	}
}

Test(view_unified, hyper_param_is_for_mindspore_and_only_where_there_is_one)
{
	struct small none = { .kind = CHECKPOINT_UNIFIED, .file = { { "in", 0, { U8("a", 1), U8("b", 1) } } } };
	struct shown s = show(&sharded, 1 << 20, VIEW_INDEX_MS);
	struct safetensors st = header(&s, "hyper_param.safetensors");

	cr_assert(st.count == 1 && strcmp(st.entries[0].name, "step_num") == 0 && st.entries[0].axes == 0 && st.entries[0].dtype == DTYPE_I64);
	arena_free(s.arena);

	s = show(&none, 1, VIEW_INDEX_MS);
	cr_assert_str_eq(paths(&s), "model-00001-of-00002.safetensors model-00002-of-00002.safetensors param_name_map.json ");
	arena_free(s.arena);

	s = show(&sharded, 1 << 20, VIEW_INDEX_HF);
	cr_assert_str_eq(paths(&s), "model.safetensors model.safetensors.index.json ");
	arena_free(s.arena);

	s = show(&none, 1, VIEW_INDEX_HF);
	cr_assert_str_eq(paths(&s), "model-00001-of-00002.safetensors model-00002-of-00002.safetensors model.safetensors.index.json ");
	arena_free(s.arena);
}

/* Names that JSON must escape, in natural order; the texts below are what Python 3.11 wrote of them. */
static const struct small odd_names = {
	.kind = CHECKPOINT_UNIFIED,
	.file = { { "in", 0, { U8("l.10.😀", 7), U8("l.2\t\n\x01\x7f", 7), { "embedding.学习率", DTYPE_F64, 1, { 1 } }, U8("a\"b\\c", 12) } } },
};

static void check_text(const struct shown *s, const char *path, const char *want)
{
	const struct image *image = file(s, path);

	cr_assert(image && image->count == 1);
	cr_expect(image->size == strlen(want) && memcmp(image->extents[0].literal, want, image->size) == 0, "%.*s", (int)image->size,
		  (const char *)image->extents[0].literal);
}

Test(view_unified, param_name_map_is_what_python_writes)
{
	struct shown s = show(&odd_names, 20, VIEW_INDEX_MS);

	/* json.dumps({"metadata": {"total_size": 34}, "weight_map": {...}}, indent=4) */
	check_text(&s, "param_name_map.json",
		   "{\n"
		   "    \"metadata\": {\n"
		   "        \"total_size\": 34\n"
		   "    },\n"
		   "    \"weight_map\": {\n"
		   "        \"a\\\"b\\\\c\": \"model-00001-of-00002.safetensors\",\n"
		   "        \"embedding.\\u5b66\\u4e60\\u7387\": \"model-00001-of-00002.safetensors\",\n"
		   "        \"l.2\\t\\n\\u0001\\u007f\": \"model-00002-of-00002.safetensors\",\n"
		   "        \"l.10.\\ud83d\\ude00\": \"model-00002-of-00002.safetensors\"\n"
		   "    }\n"
		   "}");
	arena_free(s.arena);
}

Test(view_unified, hugging_face_index_is_what_python_writes)
{
	struct shown s = show(&odd_names, 1000, VIEW_INDEX_HF);

	/* json.dumps({"metadata": {"total_size": 34}, "weight_map": {...}}, indent=2) + "\n" */
	check_text(&s, "model.safetensors.index.json",
		   "{\n"
		   "  \"metadata\": {\n"
		   "    \"total_size\": 34\n"
		   "  },\n"
		   "  \"weight_map\": {\n"
		   "    \"a\\\"b\\\\c\": \"model.safetensors\",\n"
		   "    \"embedding.\\u5b66\\u4e60\\u7387\": \"model.safetensors\",\n"
		   "    \"l.2\\t\\n\\u0001\\u007f\": \"model.safetensors\",\n"
		   "    \"l.10.\\ud83d\\ude00\": \"model.safetensors\"\n"
		   "  }\n"
		   "}\n");
	arena_free(s.arena);
}

Test(view_unified, odd_names_come_back_from_the_header)
{
	struct shown s = show(&odd_names, 1000, VIEW_INDEX_HF);
	struct safetensors st = header(&s, "model.safetensors");
	static const char *const want[] = { "embedding.学习率", "a\"b\\c", "l.2\t\n\x01\x7f", "l.10.😀" };

	cr_assert_eq(st.count, 4);
	for (int i = 0; i < 4; i++)
		cr_assert_str_eq(st.entries[i].name, want[i]);
	arena_free(s.arena);
}

Test(view_unified, same_bytes_every_time)
{
	struct shown a = show(&sharded, 23, VIEW_INDEX_MS), b = show(&sharded, 23, VIEW_INDEX_MS);

	cr_assert_eq(a.view.count, b.view.count);
	for (uint64_t i = 0; i < a.view.count; i++) {
		const struct image *x = a.view.files[i].image, *y = b.view.files[i].image;

		cr_assert_str_eq(a.view.files[i].path, b.view.files[i].path);
		cr_assert(x->size == y->size && x->count == y->count);
		cr_assert_arr_eq(x->extents[0].literal, y->extents[0].literal, image_extent_len(x, 0));
	}
	arena_free(a.arena);
	arena_free(b.arena);
}

/* A header must stay under the readers' limit: many long names start a new part, however small the tensors are. */
Test(view_unified, headers_stay_under_the_limit)
{
	enum { NAMES = 4, LENGTH = 5000000 }; /* a NUL-free control character takes six bytes of JSON: 30 MB for a name */
	struct small small = { .kind = CHECKPOINT_UNIFIED, .file = { { "in", 0 } } };
	struct arena *arena = arena_new();
	struct shown s;

	for (int i = 0; i < NAMES; i++) {
		char *name = arena_alloc(arena, LENGTH + 1, 1);

		memset(name, '\x01', LENGTH);
		name[0] = (char)('a' + i);
		small.file[0].t[i] = (struct small_tensor)U8(name, 1);
	}
	s = show(&small, 1 << 20, VIEW_INDEX_HF);
	cr_assert_eq(s.view.count, 3); /* three names, one, and the index */
	for (uint64_t i = 0; i + 1 < s.view.count; i++)
		cr_assert_leq(s.view.files[i].image->extents[1].offset, SAFETENSORS_HEADER_MAX);
	arena_free(s.arena);
	arena_free(arena);
}
