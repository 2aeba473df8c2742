/* SPDX-License-Identifier: Apache-2.0 */
/* What is refused, and in which words: the rules that no other test of a module makes speak. */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "layout/base/json.h"
#include "layout/checkpoint/counters.h"
#include "layout/checkpoint/metadata.h"
#include "layout/names/convert.h"
#include "layout/names/weave.h"

/* What a message says was found, for each kind of value. */
Test(refusals, json_found)
{
	static const char *const cases[][2] = {
		{ "-2", "-2" },
		{ "2.5", "2.5" },
		{ "-0", "-0" },
		{ "7.0", "7 with a fraction or an exponent" },
		{ "1e3", "1000 with a fraction or an exponent" },
		{ "9007199254740991", "9007199254740991" },
		{ "9007199254740993", "about 9007199254740992" },
		{ "\"two\"", "\"two\"" },
		{ "\"0123456789012345678901234567890123456789012345678901234567890123\"",
		  "\"0123456789012345678901234567890123456789012345678901234567890123\"" },
		{ "\"01234567890123456789012345678901234567890123456789012345678901234\"",
		  "\"0123456789012345678901234567890123456789012345678901234567890123\"..." },
		{ "null", "null" },
		{ "true", "true" },
		{ "false", "false" },
		{ "[1, [2]]", "an array of 2" },
		{ "{\"a\": 1}", "an object" },
	};
	char found[JSON_FOUND];
	struct json_doc *doc;
	struct error err;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct bytes text = { .ptr = (const uint8_t *)cases[i][0], .len = strlen(cases[i][0]) };

		cr_assert_eq(json_parse(text, 10, &doc, &err), 0, "%s: %s", cases[i][0], err.msg);
		cr_assert_str_eq(json_found(json_root(doc), found), cases[i][1]);
		json_free(doc);
	}
}

/* metadata.json of an iteration: "w" is [4, 6], cut into two on four ranks. */
#define LAYOUT(matrix, map, ranks) "{\"device_matrix\":" matrix ",\"tensor_map\":" map ",\"rank_list\":" ranks "}"
#define GOOD_LAYOUT LAYOUT("[2,2]", "[0,-1]", "[0,1,2,3]")
#define GOOD_CHUNK "[{\"global_offset\":[0],\"local_shape\":[2,6]},{\"global_offset\":[1],\"local_shape\":[2,6]}]"
#define TENSOR_OF(type, shape, cuts, layout, chunk) \
	"{\"properties\":" type ",\"global_shape\":" shape ",\"axis_fragmentations\":" cuts ",\"layout\":" layout ",\"chunk\":" chunk "}"
#define TENSOR(shape, cuts, layout, chunk) TENSOR_OF("{\"dtype\":\"Float32\"}", shape, cuts, layout, chunk)
#define W_LAYOUT(layout) TENSOR("[4,6]", "[2,1]", layout, GOOD_CHUNK)
#define W_CHUNK(chunk) TENSOR("[4,6]", "[2,1]", GOOD_LAYOUT, chunk)
#define STORED "\"('w', (0,))\":[{\"file_name\":\"a.safetensors\",\"storage_rank\":0}]"
#define BOTH(w, stored) "{\"state_dict_metadata\":{\"w\":" w "},\"storage_data\":{" stored "}}"
#define ONLY(w) BOTH(w, STORED)
#define SEVEN(n) n "," n "," n "," n "," n "," n "," n

static const struct refused {
	const char *text, *says;
} metadata[] = {
	{ "[]", "state_dict_metadata is missing" },
	{ "{\"state_dict_metadata\":[]}", "state_dict_metadata: expected an object, found an array of 0" },
	{ "{\"state_dict_metadata\":{}}", "storage_data is missing" },
	{ ONLY(TENSOR_OF("{}", "[4,6]", "[2,1]", GOOD_LAYOUT, GOOD_CHUNK)), "tensor \"w\": properties: dtype is missing" },
	{ ONLY(TENSOR_OF("{\"dtype\":32}", "[4,6]", "[2,1]", GOOD_LAYOUT, GOOD_CHUNK)), "tensor \"w\": properties: dtype: expected a string, found 32" },
	{ ONLY(TENSOR_OF("32", "[4,6]", "[2,1]", GOOD_LAYOUT, GOOD_CHUNK)), "tensor \"w\": properties: expected an object, found 32" },
	{ ONLY("{\"properties\":{\"dtype\":\"Float32\"}}"), "tensor \"w\": global_shape is missing" },
	{ ONLY(TENSOR("4", "[2,1]", GOOD_LAYOUT, GOOD_CHUNK)), "tensor \"w\": global_shape: expected an array, found 4" },
	{ ONLY(TENSOR("[" SEVEN("1,1,1,1,1") "]", "[2,1]", GOOD_LAYOUT, GOOD_CHUNK)), "tensor \"w\": global_shape has more than 32 entries" },
	{ ONLY(TENSOR("[4,-6]", "[2,1]", GOOD_LAYOUT, GOOD_CHUNK)), "tensor \"w\": global_shape: entry 1: expected a whole number, found -6" },
	{ ONLY(TENSOR("[33554432]", "[33554432]", GOOD_LAYOUT, GOOD_CHUNK)), "tensor \"w\": axis_fragmentations make more than 16777216 slices" },
	{ ONLY(W_CHUNK("{}")), "tensor \"w\": chunk: expected an array, found an object" },
	{ ONLY("{\"properties\":{\"dtype\":\"Float32\"},\"global_shape\":[4,6],\"axis_fragmentations\":[2,1],\"layout\":" GOOD_LAYOUT "}"),
	  "tensor \"w\": chunk is missing" },
	{ ONLY(W_CHUNK("[1]")), "tensor \"w\": chunk 0: expected an object, found 1" },
	{ ONLY(W_CHUNK("[{\"global_offset\":[],\"local_shape\":[2,6]}]")), "tensor \"w\": chunk 0: global_offset is empty" },
	{ ONLY(W_CHUNK("[{\"global_offset\":[0,1],\"local_shape\":[2,6]}]")), "chunk 0: global_offset has 2 entries" },
	{ ONLY(W_CHUNK("[{\"global_offset\":[0],\"local_shape\":[2]}]")), "tensor \"w\": chunk 0: local_shape has 1 axes, but global_shape 2" },
	{ BOTH(W_CHUNK(GOOD_CHUNK), "\"('w', (0,))\":{}"), "storage_data: tensor \"w\", slice 0: expected an array, found an object" },
	{ BOTH(W_CHUNK(GOOD_CHUNK), "\"('w', (0,))\":[{\"storage_rank\":0}]"), "slice 0: file_name is missing" },
	{ BOTH(W_CHUNK(GOOD_CHUNK), "\"('w', (0,))\":[{\"file_name\":1}]"), "slice 0: file_name: expected a string, found 1" },
	{ BOTH(W_CHUNK(GOOD_CHUNK), "\"('w', (0,))\":[{\"file_name\":\"a.safetensors\"}]"), "slice 0: storage_rank is missing" },
	{ BOTH(W_CHUNK(GOOD_CHUNK), "\"('w', (0,))\":[{\"file_name\":\"a.safetensors\",\"storage_rank\":0,\"rank_group\":1}]"), "rank_group: expected an array, found 1" },
	{ BOTH(W_CHUNK(GOOD_CHUNK), "\"('w', (0,))\":[{\"file_name\":\"a.safetensors\",\"storage_rank\":0,\"rank_group\":[-1]}]"),
	  "slice 0: rank_group: an entry: expected a rank below 2^24, found -1" },
	{ BOTH(W_CHUNK(GOOD_CHUNK) ",\"v\":" TENSOR("[1]", "[1]", LAYOUT("[3]", "[-1]", "[0,1,2]"), "[{\"global_offset\":[0],\"local_shape\":[1]}]"), STORED),
	  "tensor \"v\": layout: rank_list has 3 ranks, which does not divide the 4 of \"w\"" },
	{ ONLY(W_LAYOUT("[]")), "tensor \"w\": layout: expected an object or null, found an array of 0" },
	{ ONLY(W_LAYOUT("{\"interleaved_parallel\":true}")), "tensor \"w\": layout: interleaved_parallel cannot be read" },
	{ ONLY(W_LAYOUT("{}")), "tensor \"w\": layout: device_matrix is missing" },
	{ ONLY(W_LAYOUT(LAYOUT("2", "[0,-1]", "[0,1]"))), "tensor \"w\": layout: device_matrix: expected an array, found 2" },
	{ ONLY(W_LAYOUT(LAYOUT("[" SEVEN("1,1,1,1,1,1,1,1,1,1") "]", "[0,-1]", "[0,1]"))), "layout: device_matrix: more than 64 numbers" },
	{ ONLY(W_LAYOUT(LAYOUT("[2,0.5]", "[0,-1]", "[0,1]"))), "layout: device_matrix: entry 1: expected a whole number of 32 bits, found 0.5" },
	{ ONLY(W_LAYOUT(LAYOUT("[2,0]", "[0,-1]", "[0,1]"))), "layout: device_matrix: entry 1 is 0" },
	{ ONLY(W_LAYOUT(LAYOUT("[4]", "[0,-1]", "[0,1]"))), "layout: device_matrix has 4 devices, but rank_list 2 ranks" },
	{ ONLY(W_LAYOUT(LAYOUT("[2]", "0", "[0,1]"))), "layout: tensor_map: expected an array, found 0" },
	{ ONLY(W_LAYOUT(LAYOUT("[2]", "[" SEVEN("-1,-1,-1,-1,-1") "]", "[0,1]"))), "layout: tensor_map has more than 32 axes" },
	{ ONLY(W_LAYOUT(LAYOUT("[2]", "[[0.5],-1]", "[0,1]"))), "layout: tensor_map: axis 0: entry 0: expected a whole number of 32 bits, found 0.5" },
	{ ONLY(W_LAYOUT(LAYOUT("[2]", "[0,-1]", "[0,-1]"))), "layout: rank_list: entry 1: expected a rank below 2^24, found -1" },
	{ ONLY(W_LAYOUT(LAYOUT("[2]", "[0,-1]", "[0,2]"))), "layout: rank_list: entry 1 is 2, but only ranks that follow each other can be read (1 expected)" },
	{ ONLY(W_LAYOUT(LAYOUT("[2]", "[0,-1]", "[]"))), "layout: rank_list is empty" },
	/* 64 entries are as many as a device matrix may have; spread over a longer stage there is one more */
	{ BOTH(W_LAYOUT(LAYOUT("[" SEVEN("1,1,1,1,1,1,1,1,1") ",2]", "[0,-1]", "[0,1]")) ",\"v\":"
	       TENSOR("[1]", "[1]", LAYOUT("[4]", "[-1]", "[0,1,2,3]"), "[{\"global_offset\":[0],\"local_shape\":[1]}]"), STORED),
	  "tensor \"w\": dev_matrix: more than 64 entries" },
};

Test(refusals, metadata)
{
	for (size_t i = 0; i < sizeof(metadata) / sizeof(*metadata); i++) {
		struct arena *arena = arena_new();
		struct bytes text = { .ptr = (const uint8_t *)metadata[i].text, .len = strlen(metadata[i].text) };
		struct metadata *md;
		struct error err = { "" };

		cr_expect_eq(metadata_parse(text, "metadata.json", arena, &md, &err), -EINVAL, "%zu is taken", i);
		cr_expect_not_null(strstr(err.msg, metadata[i].says), "%zu: \"%s\" is not in: %s", i, metadata[i].says, err.msg);
		arena_free(arena);
	}
}

/* common.json. */
Test(refusals, counters)
{
	static const struct refused cases[] = {
		{ "{\"epoch_num\": -1}", "epoch_num: expected a whole number, found -1" },
		{ "{\"loss_scale\": \"1\"}", "loss_scale: expected a number, found \"1\"" },
		{ "[]", "the JSON text: expected an object, found an array of 0" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct counters c;
		struct error err = { "" };

		cr_expect_eq(counters_parse((struct bytes){ (const uint8_t *)cases[i].text, strlen(cases[i].text) }, &c, &err), -EINVAL);
		cr_expect_str_eq(err.msg, cases[i].says);
	}
}

/* Recipes whose lines do not fit each other, or the tensors, under the naming that is asked for. "n" is 4, and so long is each tensor. */
#define HEAD "family f\nnumber n n\noptimizer adam.\nindex i 0 2\nnumber most | 70000\nindex k 0 most\nnames legacy\n"

static const struct {
	const char *recipe;
	enum recipe_naming to;
	const char *have[3], *marked, *outside, *says;
} recipes[] = {
	{ "a.{i} x", RECIPE_LEGACY, { "a.0", "a.1" }, 0, 0, "recipe \"f\", line 8: {i} is in one name only, but has 2 values" },
	{ "weave x : n\nof a : n\nweave x : n\nof b : n", RECIPE_LEGACY, { "a", "b" }, 0, 0, "tensor \"x\" would come twice: \"b\" gives it too" },
	{ "a x\nnames mcore\nb y", RECIPE_MCORE, { "x" }, 0, 0, "tensor \"a\" matches no line of recipe \"f\" for mcore names" },
	{ "weave x : n\nof a : n\nnames mcore\nweave y : n\nof a : n", RECIPE_MCORE, { "x" }, 0, 0,
	  "tensor \"y\" would be made of \"a\", itself a part of the fused \"x\": take these apart with names=hf, and mount that mount with names=mcore" },
	{ "a x\nb x", RECIPE_LEGACY, { "a", "b" }, 0, 0, "two tensors would have the name \"x\"" },
	{ "a x", RECIPE_LEGACY, { "a" }, 0, "x", "a tensor would get the name \"x\", which a parameter outside the strategy has" },
	{ "weave x : n\nof a : n", RECIPE_LEGACY, { "a" }, "a", 0, "tensor \"a\" is marked \"yes\" in the metadata, and cannot become another" },
	{ "a x\ncopy a b", RECIPE_HF, { "x" }, "x", 0, "tensor \"x\" is marked \"yes\" in the metadata, and cannot become two" },
	{ "a x\ncopy c b", RECIPE_LEGACY, { "a", "b" }, 0, 0, "tensor \"c\" is missing: by recipe \"f\" \"b\" is a copy of it" },
	{ "a x\ncopy c b", RECIPE_HF, { "x" }, 0, 0, "tensor \"c\" is missing: \"b\" is a copy of it" },
	{ "a x\ncopy a b.{k}", RECIPE_HF, { "x" }, 0, 0, "recipe \"f\", line 9: more than 65536 copies" },
	{ "weave x : (n 1+1)\nof a : n\nof b : n", RECIPE_LEGACY, { "a", "adam.a", "b" }, 0, 0, "tensor \"adam.b\" is missing: \"adam.x\" is made of it" },
};

static void try_recipe(size_t i, struct arena *arena)
{
	static const uint64_t shape[] = { 4 };
	static const struct piece pieces[3];
	struct tensor tensors[3], outside = { .name = recipes[i].outside };
	struct pair own = { "n", "4" }, mark = { recipes[i].marked, "yes" };
	struct checkpoint ckpt = { .tensors = tensors, .outside = &outside, .outside_count = outside.name != NULL, .meta = &mark,
				   .meta_count = mark.key != NULL };
	struct figures_config config = { .own = &own, .own_count = 1 };
	char *text = arena_printf(arena, "%s%s", HEAD, recipes[i].recipe);
	struct convert_done done;
	struct recipe *recipe;
	struct figures figures;
	struct error err = { "" };

	for (; ckpt.count < 3 && recipes[i].have[ckpt.count]; ckpt.count++)
		tensors[ckpt.count] = (struct tensor){ .name = recipes[i].have[ckpt.count], .shape = shape, .axes = 1, .dtype = DTYPE_F32, .bytes = 16,
						       .grid = box_uncut(1), .pieces = &pieces[ckpt.count] };
	cr_assert_eq(recipe_parse((struct bytes){ (const uint8_t *)text, strlen(text) }, arena, &recipe, &err), 0, "%zu: %s", i, err.msg);
	cr_assert_eq(figures_read(recipe, &config, arena, &figures, &err), 0, "%zu: %s", i, err.msg);

	struct convert_options options = { .figures = &figures, .to = recipes[i].to };

	cr_expect_eq(convert_checkpoint(&ckpt, &options, arena, &done, &err), -EINVAL, "%zu is taken", i);
	cr_expect_str_eq(err.msg, recipes[i].says, "%zu: \"%s\" was expected, and said: %s", i, recipes[i].says, err.msg);
}

Test(refusals, convert)
{
	for (size_t i = 0; i < sizeof(recipes) / sizeof(*recipes); i++) {
		struct arena *arena = arena_new();

		try_recipe(i, arena);
		arena_free(arena);
	}
}

/* Limits of a recipe. */
Test(refusals, recipe_limits)
{
	static const struct {
		const char *begin, *line; /* `times` times */
		int times;
		const char *says;
	} cases[] = {
		{ "", "\n", 4096, "more than 4096 lines" },
		{ "", "expect k 1\n", 17, "line 17: more than 16 of them" },
		{ "index a 0 2\nindex b 0 2\nindex c 0 2\nindex d 0 2\nindex e 0 2\nnames legacy\n", "x.{a}.{b}.{c}.{d}.{e} y\n", 1,
		  "line 7: more than 4 indexes in one name" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct arena *arena = arena_new();
		size_t len = strlen(cases[i].begin), one = strlen(cases[i].line);
		char *text = arena_alloc(arena, len + one * (size_t)cases[i].times + 1, 1);
		struct recipe *recipe;
		struct error err = { "" };

		memcpy(text, cases[i].begin, len);
		for (int n = 0; n < cases[i].times; n++, len += one)
			memcpy(text + len, cases[i].line, one);
		cr_expect_eq(recipe_parse((struct bytes){ (const uint8_t *)text, len }, arena, &recipe, &err), -EINVAL, "%zu is taken", i);
		cr_expect_str_eq(err.msg, cases[i].says);
		arena_free(arena);
	}
}

/* A woven tensor too large to be counted. */
Test(refusals, weave_sizes)
{
	static const uint64_t huge[] = { UINT64_C(1) << 62 };
	struct tensor source = { .name = "s", .shape = huge, .axes = 1, .dtype = DTYPE_F64 }, out;
	struct weave_part part = { .count = { huge[0] }, .step = { 1 } };
	struct weave weave = { .factors = 1, .shape = { huge[0] }, .parts = &part, .count = 1 };
	const struct tensor *of[] = { &source };
	struct arena *arena = arena_new();
	struct error err;

	cr_expect_eq(weave_make("w", &(struct woven){ &weave, of }, arena, &out, &err), -EINVAL);
	cr_expect_str_eq(err.msg, "tensor \"w\": its bytes overflow");
	weave = (struct weave){ .factors = 2, .shape = { huge[0], 8 }, .parts = &part, .count = 1 };
	cr_expect_eq(weave_make("w", &(struct woven){ &weave, of }, arena, &out, &err), -EINVAL);
	cr_expect_str_eq(err.msg, "tensor \"w\": axis 0 overflows");
	weave = (struct weave){ .factors = 2, .of = { 0, 1 }, .shape = { huge[0], 8 }, .parts = &part, .count = 1 };
	cr_expect_eq(weave_make("w", &(struct woven){ &weave, of }, arena, &out, &err), -EINVAL);
	cr_expect_str_eq(err.msg, "tensor \"w\": its shape overflows");
	arena_free(arena);
}
