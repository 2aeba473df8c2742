/* SPDX-License-Identifier: Apache-2.0 */
/* Strategies as JSON: files that MindSpore wrote, and texts that are refused. */
#include <criterion/criterion.h>
#include <errno.h>

#include "tests/strategies.h"

static struct error err;

Test(strategy, json_files)
{
	struct arena *arena = arena_new();
	struct strategy_file files[] = { strategies_read(arena, CASES "json_strategy/strategy/src/ckpt_strategy_rank_0.json"),
					 strategies_read(arena, CASES "json_strategy/strategy/src_merged.json") };
	struct strategy *s = strategies_unite(arena, files, 2);

	cr_assert(!files[0].merged && files[1].merged && files[0].count == 15 && s->count == 15);
	cr_assert(s->stages == 1 && s->per_stage == 4);
	cr_assert_str_eq(strategies_text(strategies_only(s, "model.layers.0.attn.wo.weight")), "2,2|()(1)|2|-1|2,2");
	cr_assert_str_eq(strategies_text(strategies_only(s, "model.layers.0.norm.gain")), "2,2|()|1|-1|4");
	strategies_same(s, strategies_unite(arena, files, 1));
	strategies_same(s, strategies_unite(arena, files + 1, 1));
	arena_free(arena);
}

#define HEAD "{\"current_stage\": 2, \"parallel_strategy_item\": {\"op\": {\"stage\": 0}}, \"parallel_layout_item\": "
#define NUMBERS "\"opt_weight_shard_step\": 0, \"opt_weight_shard_size\": 0"
#define LISTS "\"dev_matrix\": [2], \"tensor_map\": [0]"

Test(strategy, json_files_that_are_wrong)
{
	static const struct {
		const char *text, *says[2];
	} table[] = {
		{ "", { "is empty" } },
		{ "{\"parallel_strategy_item\": {", { "byte" } },
		{ "[]", { "expected an object, found an array of 0" } },
		{ "{\"current_stage\": 2}", { "is empty", "parallel_strategy_item" } },
		{ "{\"parallel_strategy_item\": {}, \"parallel_layout_item\": {}}", { "is empty", "parallel_strategy_item" } },
		{ "{\"parallel_strategy_item\": {\"op\": {\"stage\": 0}}}", { "is empty", "parallel_layout_item" } },
		{ HEAD "{}}", { "is empty", "parallel_layout_item" } },
		{ HEAD "[]}", { "parallel_layout_item: expected an object, found an array of 0" } },
		{ HEAD "{\"net.w\": 5}}", { "\"net.w\"", "expected an object, found 5" } },
		{ HEAD "{\"net.w\": {\"tensor_map\": [0], " NUMBERS "}}}", { "\"net.w\"", "dev_matrix is missing" } },
		{ HEAD "{\"net.w\": {\"dev_matrix\": [2], " NUMBERS "}}}", { "\"net.w\"", "tensor_map is missing" } },
		{ HEAD "{\"net.w\": {\"dev_matrix\": 2, \"tensor_map\": [0], " NUMBERS "}}}", { "\"net.w\"", "dev_matrix: expected an array, found 2" } },
		{ HEAD "{\"net.w\": {\"dev_matrix\": [], \"tensor_map\": [0], " NUMBERS "}}}", { "\"net.w\"", "dev_matrix" } },
		{ HEAD "{\"net.w\": {\"dev_matrix\": [2, \"2\"], \"tensor_map\": [0], " NUMBERS "}}}", { "\"net.w\"", "dev_matrix: entry 1: expected a whole number of 32 bits, found \"2\"" } },
		{ HEAD "{\"net.w\": {\"dev_matrix\": [2.0], \"tensor_map\": [0], " NUMBERS "}}}", { "\"net.w\"", "dev_matrix: entry 0" } },
		{ HEAD "{\"net.w\": {\"dev_matrix\": [4294967296], \"tensor_map\": [0], " NUMBERS "}}}", { "\"net.w\"", "dev_matrix: entry 0" } },
		{ HEAD "{\"net.w\": {\"dev_matrix\": [2], \"tensor_map\": [[0], [-1]], " NUMBERS "}}}", { "\"net.w\"", "tensor_map: entry 0" } },
		{ HEAD "{\"net.w\": {\"dev_matrix\": [2], \"tensor_map\": [1], " NUMBERS "}}}", { "\"net.w\"", "tensor_map: entry 1" } },
		{ HEAD "{\"net.w\": {" LISTS ", \"opt_weight_shard_step\": 0}}}", { "\"net.w\"", "opt_weight_shard_size is missing" } },
		{ HEAD "{\"net.w\": {" LISTS ", \"opt_weight_shard_step\": \"0\", \"opt_weight_shard_size\": 0}}}",
		  { "\"net.w\"", "opt_weight_shard_step: expected a whole number of 32 bits, found \"0\"" } },
		{ HEAD "{\"net.w\": {" LISTS ", " NUMBERS "}, \"net.w\": {" LISTS ", " NUMBERS "}}}", { "net.w", "twice" } },
		{ HEAD "{\"\": {" LISTS ", " NUMBERS "}}}", { "name is empty" } },
		{ "{\"parallel_strategy_item\": {\"op\": {}}, \"parallel_layout_item\": {\"w\": {}}}", { "\"op\"", "stage is missing" } },
		{ "{\"parallel_strategy_item\": {\"op\": {\"stage\": -1}}, \"parallel_layout_item\": {\"w\": {" LISTS ", " NUMBERS "}}}", { "stage is -1" } },
		{ "{\"parallel_strategy_item\": {\"op\": 0}, \"parallel_layout_item\": {\"w\": {}}}", { "\"op\"", "expected an object, found 0" } },
		{ "{\"current_stage\": [], \"parallel_strategy_item\": {\"op\": {\"stage\": 0}}, \"parallel_layout_item\": {}}", { "current_stage" } },
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
		struct bytes text = { .ptr = (const uint8_t *)table[i].text, .len = strlen(table[i].text) };
		struct arena *arena = arena_new();
		struct strategy_file f;

		cr_assert_eq(strategy_parse_json(text, arena, &f, &err), -EINVAL, "text %zu", i);
		SAYS(table[i].says[0], table[i].says[1] ? table[i].says[1] : "");
		arena_free(arena);
	}
}

Test(strategy, json_lists_that_are_too_long)
{
	struct arena *arena = arena_new();
	struct wire w = { .len = 0 };
	struct strategy_file f;

	w.len += (size_t)sprintf((char *)w.b, HEAD "{\"net.w\": {\"dev_matrix\": [2");
	for (int i = 0; i < 64; i++)
		w.len += (size_t)sprintf((char *)w.b + w.len, ", 1");
	w.len += (size_t)sprintf((char *)w.b + w.len, "], \"tensor_map\": [0], " NUMBERS "}}}");
	cr_assert_eq(strategy_parse_json(wire_bytes(&w), arena, &f, &err), -EINVAL);
	SAYS("\"net.w\"", "dev_matrix", "more than 64");
	arena_free(arena);
}

Test(strategy, json_unknown_fields_are_ignored)
{
	static const char json[] = HEAD "{\"net.w\": {" LISTS ", " NUMBERS ", \"field\": [\"?\"], \"more\": {}}}, \"more\": null}";
	struct arena *arena = arena_new();
	struct strategy_file f;

	cr_assert_eq(strategy_parse_json((struct bytes){ (const uint8_t *)json, sizeof(json) - 1 }, arena, &f, &err), 0, "%s", err.msg);
	cr_assert(f.count == 1 && f.entries[0].stage == 0);
	cr_assert_str_eq(strategies_text(f.entries[0].layout), "2|(0)|0|0|2");
	arena_free(arena);
}
