/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Parsing, uniting, finding and writing strategies: files that MindSpore's compiler wrote, and files made by hand.
 */
#include <criterion/criterion.h>
#include <errno.h>

#include "tests/strategies.h"

static struct error err;

#define LAYS(...) (const struct lay[]){ __VA_ARGS__, { 0 } }

static int parse(struct arena *arena, struct wire w, const char *path, struct strategy_file *out)
{
	int code = strategy_parse_pb(wire_bytes(&w), arena, out, &err);

	out->path = path;
	return code;
}

static struct strategy_file good(struct arena *arena, struct wire w, const char *path)
{
	struct strategy_file file;

	cr_assert_eq(parse(arena, w, path, &file), 0, "%s: %s", path, err.msg);
	return file;
}

static void refuse(struct arena *arena, const struct strategy_file *files, uint64_t count)
{
	struct strategy *s;

	cr_assert_eq(strategy_unite(files, count, arena, &s, &err), -EINVAL);
}

Test(strategy, layouts)
{
	static const struct {
		struct lay lay;
		const char *want;
	} table[] = {
		{ { "w", "2,4", "0,-1", 0, 0 }, "2,4|(1)()|0|0|4,1" },
		{ { "w", "2,4", "-1,1", 4, 2 }, "2,4|()(0)|4|2|2,2" },
		{ { "w", "4,2,2", "2,1", 1, -1 }, "4,2,2|(0)(1)|1|-1|8,2" },
		{ { "w", "2,2,2", "1,0;", 4, -1 }, "2,2,2|nested (1,2)|4|-1|8" },
		{ { "w", "2,2,2", ";1,0", 4, -1 }, "2,2,2|nested (1,2)|4|-1|8" },
		{ { "w", "2,2,2", "1,0;-1", 0, 0 }, "2,2,2|nested (1,2)()|0|0|4,1" },
		{ { "w", "2,2,2", "-1;-1", 0, 0 }, "2,2,2|nested ()()|0|0|1,1" },
		{ { "w", "8", "", 0, 0 }, "8||0|0|" },
		{ { "w", "8", NULL, 0, 5 }, "8||0|5|" },
		{ { "w", "1", "-1", 1, -1 }, "1|()|1|-1|1" },
		{ { "w", "4", "-1", -3, 4 }, "4|()|-3|4|4" },
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
		struct arena *arena = arena_new();
		struct strategy_file f = good(arena, wire_file(2, 3, LAYS(table[i].lay)), "a");

		cr_assert(f.count == 1 && f.entries[0].stage == 3 && !f.merged);
		cr_assert_str_eq(strategies_text(f.entries[0].layout), table[i].want, "layout %zu: %s", i, strategies_text(f.entries[0].layout));
		arena_free(arena);
	}
}

Test(strategy, layouts_that_are_wrong)
{
	static const struct {
		struct lay lay;
		const char *says[3];
	} table[] = {
		{ { "net.w", NULL, "0", 0, 0 }, { "dev_matrix", "missing" } },
		{ { "net.w", "", "0", 0, 0 }, { "dev_matrix", "no entry" } },
		{ { "net.w", "2,0", "0", 0, 0 }, { "dev_matrix", "entry 1 is 0" } },
		{ { "net.w", "-2", "0", 0, 0 }, { "dev_matrix", "entry 0 is -2" } },
		{ { "net.w", "1073741824,1073741824,1073741824", "0", 0, 0 }, { "dev_matrix", "product" } },
		{ { "net.w", "4096,4096,2", "0", 0, 0 }, { "dev_matrix", "product" } },
		{ { "net.w", "2,4", "2", 0, 0 }, { "tensor_map", "entry 2", "0 to 1" } },
		{ { "net.w", "2,4", "-2", 0, 0 }, { "tensor_map", "entry -2" } },
		{ { "net.w", "2,4", "2147483647", 0, 0 }, { "tensor_map", "entry 2147483647" } },
		{ { "net.w", "2,4", "1,1", 0, 0 }, { "tensor_map", "device axis 1", "twice" } },
		{ { "net.w", "2,4", "1,0;1", 0, 0 }, { "tensor_map", "device axis 1", "twice" } },
		{ { "net.w", "2,4", "0,0;", 0, 0 }, { "tensor_map", "device axis 0", "twice" } },
		{ { "net.w", "2,4", "1,-1;", 0, 0 }, { "tensor_map", "-1" } },
		{ { "net.w", "2,4", "-1,-1;-1", 0, 0 }, { "tensor_map", "-1" } },
		{ { "net.w", "2", "-1,-1,-1,-1,-1,-1,-1,-1,-1,-1,-1,-1,-1,-1,-1,-1,-1,-1,-1,-1,-1,-1,-1,-1,-1,-1,-1,-1,-1,-1,-1,-1,-1", 0, 0 },
		  { "tensor_map", "32" } },
		{ { "net.w", "2,4", "0", 1, 4 }, { "opt_weight_shard_size is 4", "2 ranks" } },
		{ { "net.w", "6", "-1", 1, 4 }, { "opt_weight_shard_size is 4", "6 ranks" } },
		{ { "net.w", "2,4", "0", 1, -2 }, { "opt_weight_shard_size is -2" } },
		{ { "net.w", "2,4", "0", 0, -2 }, { "opt_weight_shard_size is -2" } },
		{ { "net.w", "2,4", "", 1, -1 }, { "opt_weight_shard_size", "8 shards", "no axis" } },
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
		struct arena *arena = arena_new();
		struct strategy_file f;

		cr_assert_eq(parse(arena, wire_file(2, 0, LAYS({ "ok", "2", "-1", 0, 0 }, table[i].lay)), "a", &f), -EINVAL, "layout %zu", i);
		SAYS("parameter \"net.w\": ", table[i].says[0], table[i].says[1] ? table[i].says[1] : "",
		     table[i].says[2] ? table[i].says[2] : "");
		arena_free(arena);
	}
}

Test(strategy, files_that_are_empty_or_of_no_stage)
{
	struct wire w = { .len = 0 }, no_layouts = wire_file(2, 0, LAYS({ 0 }));
	struct arena *arena = arena_new();
	struct strategy_file f;

	cr_assert_eq(parse(arena, w, "a", &f), -EINVAL);
	SAYS("is empty");
	wire_number(&w, 1, 2);
	wire_layout_item(&w, &(struct lay){ "w", "2", "0", 0, 0 }, false);
	cr_assert_eq(parse(arena, w, "a", &f), -EINVAL);
	SAYS("is empty", "parallel_strategy_item");
	cr_assert_eq(parse(arena, no_layouts, "a", &f), -EINVAL);
	SAYS("is empty", "parallel_layout_item");
	cr_assert_eq(parse(arena, wire_file(2, -1, LAYS({ "w", "2", "0", 0, 0 })), "a", &f), -EINVAL);
	SAYS("stage is -1");
	cr_assert_eq(parse(arena, wire_file(2, INT64_C(1) << 40, LAYS({ "w", "2", "0", 0, 0 })), "a", &f), -EINVAL);
	SAYS("stage is 1099511627776");
	arena_free(arena);
}

Test(strategy, merged_or_not)
{
	static const struct {
		int64_t current_stage;
		const char *names[4];
		const char *want; /* "STAGE NAME ..." of a merged file, "no", or the start of the refusal */
	} table[] = {
		{ 1, { "0-w" }, "0 w " },
		{ 2, { "0-w" }, "0 w " }, /* MindSpore reads it so too, whatever current_stage says */
		{ 1, { "0-w", "1-w", "0-v" }, "0 w 1 w 0 v " },
		{ 1, { "2-a", "0-a", "1-a-b" }, "2 a 0 a 1 a-b " },
		{ 1, { "0-w-1", "00-v" }, "0 w-1 0 v " },
		{ 1, { "w", "v" }, "no" },
		{ 1, { "0-w", "v" }, "no" },
		{ 1, { "w-1" }, "no" },
		{ 1, { "0-" }, "no" },
		{ 1, { "-w" }, "no" },
		{ 2, { "1-w" }, "no" },
		{ 7, { "1-w", "3-w" }, "no" },
		{ 1, { "1-w" }, "stage 0 of 0..1 is missing" },
		{ 1, { "0-w", "2-w" }, "stage 1 of 0..2 is missing" },
		{ 1, { "0-w", "99999999999999999999-w" }, "stage 1 of 0.." },
		{ 2, { "0-w", "99999999999999999999-w" }, "no" },
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
		struct arena *arena = arena_new();
		struct lay lays[5] = { 0 };
		struct strategy_file f;
		char got[64] = "no";
		int code;

		for (int n = 0; n < 4 && table[i].names[n]; n++)
			lays[n] = (struct lay){ table[i].names[n], "2", "0", 0, 0 };
		code = parse(arena, wire_file(table[i].current_stage, 4, lays), "a", &f);
		if (code == 0 && f.merged)
			*got = 0;
		for (uint64_t n = 0; code == 0 && n < f.count; n++) {
			if (f.merged)
				sprintf(got + strlen(got), "%u %s ", f.entries[n].stage, f.entries[n].name);
			else
				cr_assert(f.entries[n].stage == 4 && strcmp(f.entries[n].name, table[i].names[n]) == 0, "file %zu", i);
		}
		if (code == 0)
			cr_assert_str_eq(got, table[i].want, "file %zu: %s", i, got);
		else
			cr_assert(strncmp(err.msg, table[i].want, strlen(table[i].want)) == 0, "file %zu: %s", i, err.msg);
		arena_free(arena);
	}
}

Test(strategy, real_files)
{
	struct arena *arena = arena_new();
	struct strategy_file files[2] = { strategies_read(arena, REAL "layout_opt.ckpt") };
	struct strategy *s = strategies_unite(arena, files, 1);

	cr_assert(s->count == 12 && s->stages == 1 && s->per_stage == 8);
	cr_assert_str_eq(strategies_text(strategies_only(s, "net.b")), "2,2,2|nested (1,2)|4|-1|8");
	cr_assert_str_eq(strategies_text(strategies_only(s, "net.w")), "2,2,2|()(2)|2|-1|4,2");
	cr_assert_str_eq(strategies_text(strategies_only(s, "moment2.net.w2")), "2,2,2|nested (1,2)()|4|-1|8,1");
	cr_assert_eq(strategies_only(s, "net.w2"), strategies_only(s, "moment2.net.w2"), "equal layouts must be one object");

	files[0] = strategies_read(arena, REAL "moe_mp2.ckpt");
	s = strategies_unite(arena, files, 1);
	cr_assert(s->count == 6 && s->per_stage == 8);
	cr_assert_str_eq(strategies_text(strategies_only(s, "m.w")), "4,2|(0)()(1)|0|0|4,1,2");
	cr_assert_str_eq(strategies_text(strategies_only(s, "moment1.m.w4")), "2,2,2|(0)()(1)()|0|0|2,1,2,1");

	files[0] = strategies_read(arena, REAL "stack_pp2_opt2_stage1.ckpt");
	files[1] = strategies_read(arena, REAL "stack_pp2_opt2_stage0.ckpt");
	s = strategies_unite(arena, files, 2);
	cr_assert(s->count == 84 && s->stages == 2 && s->per_stage == 4);
	cr_assert_str_eq(strategies_text(strategies_only(s, "moment2.net.blocks.0.g")), "2,2|()|1|2|2");
	cr_assert_eq(strategy_find(s, "net.blocks.2.w2", &(uint64_t){ 0 })->stage, 1);
	arena_free(arena);
}

Test(strategy, every_parameter_is_found)
{
	struct arena *arena = arena_new();
	struct strategy_file file = strategies_read(arena, REAL "stack_dp2mp4.ckpt");
	struct strategy *s = strategies_unite(arena, &file, 1);
	uint64_t count;

	cr_assert_eq(file.count, 63);
	for (uint64_t i = 0; i < file.count; i++) {
		const struct strategy_entry *e = strategy_find(s, file.entries[i].name, &count);

		cr_assert(e && count == 1 && strcmp(e->name, file.entries[i].name) == 0, "%s", file.entries[i].name);
		cr_assert(i == 0 || strcmp(s->entries[i - 1].name, s->entries[i].name) < 0, "not sorted at %s", s->entries[i].name);
	}
	cr_assert_null(strategy_find(s, "net.blocks.0", &count));
	cr_assert_eq(count, 0);
	cr_assert_null(strategy_find(s, "", &count));
	arena_free(arena);
}

Test(strategy, shared_parameters)
{
	struct arena *arena = arena_new();
	struct strategy_file files[] = {
		good(arena, wire_file(2, 2, LAYS({ "emb", "2", "-1", 0, 0 }, { "z", "2", "0", 0, 0 })), "two"),
		good(arena, wire_file(2, 0, LAYS({ "emb", "2", "0", 0, 0 }, { "a", "2", "0", 0, 0 })), "zero"),
		good(arena, wire_file(2, 1, LAYS({ "b", "2", "0", 0, 0 })), "one"),
	};
	struct strategy *s = strategies_unite(arena, files, 3);
	uint64_t count;
	const struct strategy_entry *e = strategy_find(s, "emb", &count);

	cr_assert(s->stages == 3 && s->per_stage == 2 && s->count == 5);
	cr_assert(e && count == 2 && e[0].stage == 0 && e[1].stage == 2);
	cr_assert_neq(e[0].layout, e[1].layout);
	cr_assert_eq(e[0].layout, strategies_only(s, "b"));
	arena_free(arena);
}

Test(strategy, files_of_one_stage_in_any_order_and_form)
{
	struct arena *arena = arena_new();
	struct strategy_file files[] = {
		good(arena, wire_file(2, 0, LAYS({ "a", "4", "0", 0, 0 }, { "b", "4", "-1", 1, -1 })), "rank_0"),
		good(arena, wire_file(2, 0, LAYS({ "b", "4", "-1", 1, -1 }, { "a", "4", "0", 0, 0 })), "rank_1"),
		good(arena, wire_file(2, 1, LAYS({ "c", "2,2", "1,0;", 0, 0 })), "rank_4"),
		good(arena, wire_file(1, 0, LAYS({ "1-c", "2,2", "1,0;", 0, 0 }, { "0-b", "4", "-1", 1, -1 }, { "0-a", "4", "0", 0, 0 })), "merged"),
	};
	struct strategy *all = strategies_unite(arena, files, 4);

	cr_assert(all->count == 3 && all->stages == 2 && all->per_stage == 4);
	strategies_same(all, strategies_unite(arena, files + 1, 2));
	strategies_same(all, strategies_unite(arena, files + 3, 1));
	strategies_same(all, strategies_unite(arena, files + 2, 2)); /* a merged file and a rank file of one stage */
	arena_free(arena);
}

Test(strategy, files_that_disagree)
{
	static const struct {
		struct lay lays[3];
		const char *says;
	} table[] = {
		{ { { "a", "2,2", "0", 0, 0 }, { "b", "4", "-1", 1, 4 } }, "dev_matrix of parameter \"a\"" },
		{ { { "a", "4", "-1", 0, 0 }, { "b", "4", "-1", 1, 4 } }, "tensor_map of parameter \"a\"" },
		{ { { "a", "4", "0,-1", 0, 0 }, { "b", "4", "-1", 1, 4 } }, "tensor_map of parameter \"a\"" },
		{ { { "a", "4", "0;", 0, 0 }, { "b", "4", "-1", 1, 4 } }, "tensor_map of parameter \"a\"" },
		{ { { "a", "4", "0", 0, 0 }, { "b", "4", "-1", 1, 2 } }, "opt_weight_shard_size of parameter \"b\"" },
		{ { { "a", "4", "0", 0, 0 }, { "b", "4", "-1", 2, 4 } }, "opt_weight_shard_step of parameter \"b\"" },
		{ { { "a", "4", "0", 0, 0 } }, "parameter \"b\" of stage 0 is in first, but not in second" },
		{ { { "a", "4", "0", 0, 0 }, { "c", "4", "0", 0, 0 } }, "parameter \"b\" of stage 0 is in first, but not in second" },
		{ { { "a", "4", "0", 0, 0 }, { "aa", "4", "0", 0, 0 } }, "parameter \"aa\" of stage 0 is in second, but not in first" },
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
		struct arena *arena = arena_new();
		struct lay lays[4] = { 0 };
		struct strategy_file files[2];

		files[0] = good(arena, wire_file(2, 0, LAYS({ "a", "4", "0", 0, 0 }, { "b", "4", "-1", 1, 4 })), "first");
		memcpy(lays, table[i].lays, sizeof(table[i].lays));
		files[1] = good(arena, wire_file(2, 0, lays), "second");
		refuse(arena, files, 2);
		SAYS("first", "second", table[i].says);
		arena_free(arena);
	}
}

Test(strategy, sets_that_cannot_be_united)
{
	struct arena *arena = arena_new();
	struct strategy_file files[] = {
		good(arena, wire_file(2, 0, LAYS({ "a", "4", "0", 0, 0 })), "zero"),
		good(arena, wire_file(2, 2, LAYS({ "c", "4", "0", 0, 0 })), "two"),
		good(arena, wire_file(2, 1, LAYS({ "b", "2", "0", 0, 0 })), "one"),
		good(arena, wire_file(1, 0, LAYS({ "0-a", "4", "-1", 0, 0 }, { "1-b", "4", "0", 0, 0 })), "merged"),
		good(arena, wire_file(2, 0, LAYS({ "a", "4", "0", 0, 0 }, { "b", "4", "0", 0, 0 }, { "a", "4", "-1", 0, 0 })), "doubled"),
		good(arena, wire_file(1, 0, LAYS({ "0-a", "4", "0", 0, 0 }, { "00-a", "4", "0", 0, 0 })), "padded"),
	};

	refuse(arena, files, 2);
	SAYS("strategy: stage 1 of 0..2 is missing: no file has it");
	refuse(arena, files + 1, 1);
	SAYS("stage 0 of 0..2 is missing");
	refuse(arena, files, 3);
	SAYS("parameter \"b\" of stage 1", "2 devices", "\"a\" has 4");
	refuse(arena, (struct strategy_file[]){ files[3], files[0] }, 2);
	SAYS("merged", "zero", "tensor_map of parameter \"a\"", "[-1]", "[0]");
	refuse(arena, files + 4, 1);
	SAYS("doubled", "\"a\"", "twice");
	refuse(arena, files + 5, 1);
	SAYS("padded", "\"a\"", "twice");
	refuse(arena, files, 0);
	SAYS("is empty");
	arena_free(arena);
}

Test(strategy, written_and_read_again)
{
	static const char *const paths[] = {
		REAL "layout_opt.ckpt", REAL "moe_mp2.ckpt", REAL "stack_dp2mp4.ckpt", REAL "stack_pp2_opt2_stage0.ckpt",
		CASES "pp4_shared/strategy/src_merged.ckpt", CASES "nested_opt/strategy/src_merged.ckpt",
		CASES "scalar_in_strategy/strategy/src_merged.ckpt", CASES "name_dash/strategy/src_merged.ckpt",
		CASES "json_strategy/strategy/src_merged.json", CASES "json_strategy/strategy/src/ckpt_strategy_rank_0.json",
	};

	for (size_t i = 0; i < sizeof(paths) / sizeof(*paths); i++) {
		struct arena *arena = arena_new();
		struct strategy_file file = strategies_read(arena, paths[i]);

		strategies_write_again(arena, strategies_unite(arena, &file, 1));
		arena_free(arena);
	}
}
