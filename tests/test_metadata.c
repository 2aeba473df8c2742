/* SPDX-License-Identifier: Apache-2.0 */
/* metadata.json of MindSpore Transformers 2.x: what it says, keys of storage_data, counters, and damage. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "layout/checkpoint/counters.h"
#include "layout/checkpoint/metadata.h"
#include "layout/checkpoint/sharding.h"
#include "layout/formats/shard_id.h"
#include "tests/wire.h"

static struct error err;

#define FOUR "\"alias_name\":[\"dp\",\"mp\"],\"rank_list\":[0,1,2,3]}"
#define LAYOUT(map) "{\"device_matrix\":[2,2],\"tensor_map\":" map ",\"interleaved_parallel\":false," FOUR
#define CHUNK2 "[{\"global_offset\":[0],\"local_shape\":[2,6]},{\"global_offset\":[1],\"local_shape\":[2,6]}]"
#define TENSOR(shape, cuts, layout, chunk) "{\"properties\":{\"dtype\":\"Float32\"},\"global_shape\":" shape ",\"axis_fragmentations\":" cuts ",\"layout\":" layout ",\"chunk\":" chunk "}"
#define PLACE(file, rank) "{\"file_name\":\"" file "\",\"storage_rank\":" rank ",\"rank_group\":[" rank "]}"
#define FILE_OF(rank) PLACE("model-" rank ".safetensors", rank)
#define W TENSOR("[4,6]", "[2,1]", LAYOUT("[0,-1]"), CHUNK2)
#define STORED "\"('w', (0,))\":[" FILE_OF("0") "," FILE_OF("2") "],\"('w', (1,))\":[" FILE_OF("1") "," FILE_OF("3") "]"

static int parse(struct arena *arena, const char *tensors, const char *storage, struct metadata **out)
{
	char text[8192];
	int len = snprintf(text, sizeof(text), "{\"state_dict_metadata\":{%s},\"storage_data\":{%s}}", tensors, storage);

	cr_assert_lt(len, (int)sizeof(text));
	return metadata_parse((struct bytes){ (const uint8_t *)text, (uint64_t)len }, "metadata.json", arena, out, &err);
}

static struct metadata *good(struct arena *arena, const char *tensors, const char *storage)
{
	struct metadata *md = NULL;

	cr_assert_eq(parse(arena, tensors, storage, &md), 0, "%s", err.msg);
	return md;
}

static struct metadata *read_real(struct arena *arena, const char *path)
{
	struct metadata *md = NULL;
	size_t len;
	uint8_t *all = wire_read(path, &len);

	cr_assert_not_null(all, "%s", path);
	cr_assert_eq(metadata_parse((struct bytes){ all, len }, path, arena, &md, &err), 0, "%s", err.msg);
	free(all); /* nothing may point into it */
	return md;
}

/* Types are found whatever their capitals; what is only nearly a type's name is none. */
Test(metadata, types)
{
	static const struct {
		const char *type;
		bool known;
	} cases[] = {
		{ "Float32", true }, { "float32", true }, { "BFLOAT16", true }, { "Float32 ", false }, { "Float32            ", false }, { "Float3", false },
		{ "", false }, { "Float\\u00132", false }, { "Fl\\u004fat32", true }, { "&loat32", false },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		char tensor[1024];
		struct arena *arena = arena_new();

		snprintf(tensor, sizeof(tensor), "\"w\":{\"properties\":{\"dtype\":\"%s\"},\"global_shape\":[4,6],\"axis_fragmentations\":[2,1],"
			 "\"layout\":%s,\"chunk\":%s}", cases[i].type, LAYOUT("[0,-1]"), CHUNK2);
		cr_assert_eq(good(arena, tensor, STORED)->tensors[0].typed, cases[i].known, "\"%s\"", cases[i].type);
		arena_free(arena);
	}
}

Test(metadata, is_a_strategy_and_a_list_of_files)
{
	struct arena *arena = arena_new();
	struct metadata *md = good(arena, "\"w\":" W, STORED);
	const struct strategy *s = md->strategy;

	cr_assert_eq(md->count, 1);
	cr_assert_str_eq(md->tensors[0].name, "w");
	cr_assert(md->tensors[0].typed && md->tensors[0].dtype == DTYPE_F32 && md->tensors[0].slices == 2);
	cr_assert_eq(md->file_count, 4);
	for (uint32_t r = 0; r < 4; r++) {
		char name[32];

		snprintf(name, sizeof(name), "model-%u.safetensors", r);
		cr_assert_str_eq(md->files[r].name, name);
		cr_assert_eq(md->files[r].rank, r);
	}
	cr_assert(s->stages == 1 && s->per_stage == 4 && s->count == 1);
	for (uint32_t r = 0; r < 4; r++)
		cr_assert_eq(sharding_block(s->entries[0].layout, r), r % 2);
	arena_free(arena);
}

Test(metadata, a_list_in_the_map_cuts_one_axis_twice)
{
	struct arena *arena = arena_new();
	struct metadata *md = good(arena, "\"w\":" TENSOR("[8]", "[4]", LAYOUT("[[0,1]]"),
		"[{\"global_offset\":[0],\"local_shape\":[2]},{\"global_offset\":[2],\"local_shape\":[2]},"
		"{\"global_offset\":[1],\"local_shape\":[2]},{\"global_offset\":[3],\"local_shape\":[2]}]"),
		"\"('w', (2,))\":[" FILE_OF("1") "]"); /* mp counts more: rank 1 is dp 0, mp 1 */
	const struct layout *layout = md->strategy->entries[0].layout;
	static const uint32_t slices[] = { 0, 2, 1, 3 };

	for (uint32_t r = 0; r < 4; r++)
		cr_assert_eq(sharding_block(layout, r), slices[r], "rank %u", r);
	arena_free(arena);
}

Test(metadata, lists_of_one_and_of_nothing)
{
	struct arena *arena = arena_new();
	struct metadata *md = good(arena, "\"w\":" TENSOR("[4,6]", "[2,1]", LAYOUT("[[0],[-1]]"), CHUNK2), STORED);

	cr_assert(!md->strategy->entries[0].layout->nested);
	good(arena, "\"w\":" TENSOR("[4,6]", "[2,1]", LAYOUT("[[-1,0],[]]"), CHUNK2), STORED);
	arena_free(arena);
}

#define WHOLE(name, layout) "\"" name "\":" TENSOR("[]", "[]", layout, "[{\"global_offset\":[0],\"local_shape\":[]}]")

Test(metadata, without_a_layout_it_is_whole_where_it_is_stored)
{
	struct arena *arena = arena_new();
	struct metadata *md = good(arena, "\"w\":" W "," WHOLE("s", "null"), STORED ",\"('s', (0,))\":[" FILE_OF("0") "]");

	cr_assert_eq(md->strategy->count, 2);
	cr_assert_eq(md->strategy->entries[0].layout->grid.blocks, 1);
	md = good(arena, WHOLE("s", "null"), "\"('s', (0,))\":[{\"file_name\":\"a.safetensors\",\"storage_rank\":1,\"rank_group\":[0,1,5]}]");
	cr_assert(md->strategy->stages == 1 && md->strategy->per_stage == 6);
	arena_free(arena);
}

Test(metadata, stages_and_short_rank_lists)
{
	struct arena *arena = arena_new();
	struct metadata *md = read_real(arena, "tests/iteration/mp2pp2/iteration_00000007/metadata.json");
	uint64_t count;
	const struct strategy_entry *e = strategy_find(md->strategy, "model.layers.1.w1.weight", &count);

	cr_assert(md->strategy->stages == 2 && md->strategy->per_stage == 2);
	cr_assert(e && count == 1 && e->stage == 1 && md->file_count == 8);
	cr_assert_str_eq(md->files[0].name, "model-0000000-0000004.safetensors");
	cr_assert_str_eq(md->files[1].name, "opt-0000000-0000004.safetensors");

	md = good(arena, "\"w\":" W ",\"v\":" TENSOR("[2]", "[2]", "{\"device_matrix\":[2],\"tensor_map\":[0],\"interleaved_parallel\":false,"
		  "\"alias_name\":[\"mp\"],\"rank_list\":[0,1]}", "[{\"global_offset\":[0],\"local_shape\":[1]},{\"global_offset\":[1],\"local_shape\":[1]}]"),
		  STORED ",\"('v', (1,))\":[" FILE_OF("3") "," FILE_OF("1") "]");
	e = strategy_find(md->strategy, "v", &count);
	for (uint32_t r = 0; r < 4; r++)
		cr_assert_eq(sharding_block(e->layout, r), r % 2);
	arena_free(arena);
}

Test(metadata, files_need_not_be_numbered_by_rank)
{
	struct arena *arena = arena_new();
	struct metadata *md = good(arena, "\"w\":" W, "\"('w', (0,))\":[" PLACE("m-model-0000001-0000002.safetensors", "2") "],\"('w', (1,))\":["
				   PLACE("m-model-0000000-0000002.safetensors", "1") "]");

	cr_assert(md->file_count == 2 && md->files[0].rank == 1 && md->files[1].rank == 2);
	cr_assert_str_eq(md->files[0].name, "m-model-0000000-0000002.safetensors");
	arena_free(arena);
}

static const struct {
	const char *tensors, *storage, *says;
} bad[] = {
	{ "\"w\":" W, "\"('w', (2,))\":[" FILE_OF("0") "]", "slice 2, but axis_fragmentations make 2" },
	{ "\"w\":" W, "\"('w', (1,))\":[" FILE_OF("0") "]", "slice 1 is stored by rank 0, which has slice 0" },
	{ "\"w\":" W, "\"('w', (0,))\":[" FILE_OF("4") "]", "storage_rank is 4, but the layouts are of ranks 0 to 3" },
	{ "\"w\":" W, "\"('w', (0,))\":[" PLACE("a.safetensors", "0") "," PLACE("a.safetensors", "2") "]", "rank 2's here, but rank 0's" },
	{ "\"w\":" W, "\"('w', (0,))\":[" PLACE("x/a.safetensors", "0") "]", "is no name of a .safetensors file" },
	{ "\"w\":" W, "\"('w', (0,))\":[" PLACE("a.ckpt", "0") "]", "is no name of a .safetensors file" },
	{ "\"w\":" W, "\"('w', (0,))\":[" PLACE(".safetensors", "0") "]", "is no name of a .safetensors file" },
	{ "\"w\":" W, "\"w\":[]", "storage_data: key \"w\"" },
	{ "\"w\":" W, "\"('w', (0,))\":[{\"file_name\":\"a.safetensors\",\"storage_rank\":-1}]", "storage_rank: expected a rank below 2^24, found -1" },
	{ "\"w\":" TENSOR("[4,6]", "[2]", LAYOUT("[0,-1]"), CHUNK2), STORED, "axis_fragmentations has 1 entries, but global_shape 2" },
	{ "\"w\":" TENSOR("[5,6]", "[2,1]", LAYOUT("[0,-1]"), CHUNK2), STORED, "cannot be cut into 2 equal parts" },
	{ "\"w\":" TENSOR("[4,6]", "[0,1]", LAYOUT("[0,-1]"), CHUNK2), STORED, "cannot be cut into 0 equal parts" },
	{ "\"w\":" TENSOR("[4,6]", "[2,1]", LAYOUT("[0]"), CHUNK2), STORED, "tensor_map has 1 axes, but global_shape 2" },
	{ "\"w\":" TENSOR("[4,6]", "[2,1]", LAYOUT("[-1,-1]"), CHUNK2), STORED, "axis 0 in 2 parts, but its layout cuts it into 1" },
	{ "\"w\":" TENSOR("[4,6]", "[2,1]", LAYOUT("[0,0]"), CHUNK2), STORED, "device axis 0 cuts the tensor twice" },
	{ "\"w\":" TENSOR("[4,6]", "[2,1]", LAYOUT("[0,\"mp\"]"), CHUNK2), STORED, "tensor_map: axis 1: expected a whole number of 32 bits or an array of them, found \"mp\"" },
	{ "\"w\":" TENSOR("[4,6]", "[2,1]", "{\"device_matrix\":[2,2],\"tensor_map\":[0,-1],\"rank_list\":[2,3,4,5]}", CHUNK2), STORED,
	  "begins with rank 2, but the 4 ranks of a stage begin with a multiple of 4" },
	{ "\"w\":" TENSOR("[4,6]", "[2,1]", "{\"device_matrix\":[2],\"tensor_map\":[0,-1],\"rank_list\":[2,3]}", CHUNK2), STORED, "stage 0 of 0..1 is missing" },
	{ "\"w\":" TENSOR("[4,6]", "[2,1]", "null", CHUNK2), STORED, "layout is null, but axis_fragmentations make 2" },
	{ "\"w\":" TENSOR("[4,6]", "[2,1]", LAYOUT("[0,-1]"), "[{\"global_offset\":[0],\"local_shape\":[2,6]}]"), STORED, "chunk has 1 entries" },
	{ "\"w\":" TENSOR("[4,6]", "[2,1]", LAYOUT("[0,-1]"), "[{\"global_offset\":[0],\"local_shape\":[2,6]},{\"global_offset\":[0],\"local_shape\":[2,6]}]"),
	  STORED, "chunk 1: slice 0 is there twice" },
	{ "\"w\":" TENSOR("[4,6]", "[2,1]", LAYOUT("[0,-1]"), "[{\"global_offset\":[2],\"local_shape\":[2,6]}]"), STORED, "chunk 0: global_offset: slice 2" },
	{ "\"w\":" TENSOR("[4,6]", "[2,1]", LAYOUT("[0,-1]"), "[{\"global_offset\":[0],\"local_shape\":[6,2]}]"), STORED, "local_shape: axis 0 has 6 elements" },
	{ "\"w\":{}", STORED, "tensor \"w\": properties is missing" },
	{ "\"w\":[]", STORED, "tensor \"w\": expected an object, found an array of 0" },
};

Test(metadata, refuses)
{
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct arena *arena = arena_new();
		struct metadata *md;

		cr_expect_eq(parse(arena, bad[i].tensors, bad[i].storage, &md), -EINVAL, "%zu is taken", i);
		cr_expect_not_null(strstr(err.msg, bad[i].says), "%zu: \"%s\" is not in: %s", i, bad[i].says, err.msg);
		arena_free(arena);
	}
}

Test(metadata, keys_are_what_python_writes)
{
	static const struct {
		const char *key, *name;
		uint64_t slice;
	} keys[] = {
		{ "('w', (0,))", "w", 0 }, { "('a.b', (1234567,))", "a.b", 1234567 }, { "(\"it's\", (3,))", "it's", 3 },
		{ "('it\\'s \"x\"', (0,))", "it's \"x\"", 0 }, { "('a\\\\b\\n\\t\\r', (0,))", "a\\b\n\t\r", 0 }, { "('\\x07\\x7f', (0,))", "\x07\x7f", 0 },
		{ "('\\xad\\u200b\\U000e0001', (0,))", "\u00ad\u200b\U000e0001", 0 }, { "('\u00e9\u4e2d', (0,))", "\u00e9\u4e2d", 0 },
		{ "('w', (0, 0))", "w", 0 }, { "('w', (0, 0, 0))", "w", 0 },
	};
	static const char *const none[] = {
		"", "w", "('w')", "('w', 0)", "('w', ())", "('w', (0))", "('w', (0,)) ", "('w', (0,)", "('', (0,))", "('w', (-1,))", "('w', (1, 0))",
		"('w', (0, 1))", "('w\\x00', (0,))", "('w\\xzz', (0,))", "('\\ud800', (0,))", "('w\\", "('w', (99999999999,))", "('w\\q', (0,))",
	};
	struct arena *arena = arena_new();
	struct shard_id id;

	for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++) {
		cr_assert_eq(shard_id_parse(keys[i].key, arena, &id, &err), 0, "%s", err.msg);
		cr_assert_str_eq(id.name, keys[i].name);
		cr_assert_eq(id.slice, keys[i].slice);
	}
	for (size_t i = 0; i < sizeof(none) / sizeof(*none); i++)
		cr_expect_eq(shard_id_parse(none[i], arena, &id, &err), -EINVAL, "\"%s\" is taken", none[i]);
	arena_free(arena);
}

static int counters(const char *text, struct counters *out)
{
	return counters_parse((struct bytes){ (const uint8_t *)text, strlen(text) }, out, &err);
}

Test(metadata, counters)
{
	static const char text[] = "{\n    \"epoch_num\": 1,\n    \"step_num\": 20,\n    \"global_step\": 20,\n    \"loss_scale\": 65536.0,\n"
				   "    \"global_batch_size\": 8,\n    \"consumed_samples\": null,\n    \"ckpt_status\": 0\n}";
	struct arena *arena = arena_new();
	struct checkpoint ckpt = { .count = 0 };
	struct counters c;
	struct bytes out;

	cr_assert_eq(counters(text, &c), 0, "%s", err.msg);
	cr_assert(c.number[COUNTERS_STEP].known && c.number[COUNTERS_STEP].value == 20 && !c.number[COUNTERS_SAMPLES].known);
	cr_assert_eq(counters_write(&c, arena, &out, &err), 0);
	cr_assert(out.len == strlen(text) && memcmp(out.ptr, text, out.len) == 0, "%.*s", (int)out.len, (const char *)out.ptr);
	cr_assert_eq(counters_add(&c, &ckpt, arena, &err), 0);
	cr_assert_eq(ckpt.outside_count, 5);
	cr_assert_str_eq(ckpt.outside[1].name, "global_batch_size");
	cr_assert_str_eq(ckpt.outside[2].name, "global_step");
	cr_assert(ckpt.outside[2].dtype == DTYPE_I32 && ckpt.outside[2].axes == 1 && ckpt.outside[2].bytes == 4 && ckpt.outside[2].literal[0] == 20);
	cr_assert(ckpt.outside[3].dtype == DTYPE_I64 && bytes_le64(ckpt.outside[3].literal) == 65536);
	cr_assert_eq(counters_add(&c, &ckpt, arena, &err), 0);
	cr_assert_eq(ckpt.outside_count, 5, "names that are there stay as they are");
	cr_assert_eq(counters("{\"loss_scale\": 0.5, \"data_plan_state\": {\"a\": [1.5]}}", &c), 0);
	cr_assert(c.scaled && c.loss_scale == 0.5);
	cr_assert_eq(counters("{\"step_num\": \"20\"}", &c), -EINVAL);
	cr_assert_not_null(strstr(err.msg, "step_num"));
	cr_assert_eq(counters("{\"loss_scale\": \"1\"}", &c), -EINVAL);
	cr_assert_eq(counters("[]", &c), -EINVAL);
	arena_free(arena);
}
