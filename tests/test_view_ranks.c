/* SPDX-License-Identifier: Apache-2.0 */
/* The rank view of small checkpoints: which block of which tensor each rank has, names, meta.json, and refusals with their whole messages. */
#include <errno.h>
#include <stdio.h>

#include "layout/names/rename.h"
#include "layout/view/view.h"
#include "tests/small.h"

#define F32(name, ...) { name, DTYPE_F32, sizeof((uint64_t[]){ __VA_ARGS__ }) / 8, { __VA_ARGS__ } }
#define ROWS(name, n) SMALL_PARAM(name, "[" n "]", "[0, -1]")
#define COLS(name, n) SMALL_PARAM(name, "[" n "]", "[-1, 0]")
#define WHOLE(name, n) SMALL_PARAM(name, "[" n "]", "[-1, -1]")

struct shown {
	struct arena *arena;
	struct checkpoint *ckpt;
	struct view view;
	struct error err;
	int code;
};

static const uint32_t first_eight[] = { 0, 1, 2, 3, 4, 5, 6, 7 };

/* Shows `count` ranks from 0 on. `target` NULL: as the source is cut. */
static struct shown show(const struct small *small, const char *target, uint64_t count)
{
	struct view_rank_options o = { .ranks = first_eight, .rank_count = count, .prefix = "net", .counted = true, .epoch = 3, .step = 14 };
	struct shown s = { .arena = arena_new() };

	cr_assert_eq(small_build(small, s.arena, &s.ckpt, &s.err), 0, "%s", s.err.msg);
	o.source = small->strategy ? small_strategy(small->strategy, s.arena) : NULL;
	o.target = target ? small_strategy(target, s.arena) : o.source;
	s.code = view_ranks(s.ckpt, &o, s.arena, &s.view, &s.err);
	return s;
}

static const struct image *file(const struct shown *s, const char *path)
{
	for (uint64_t i = 0; i < s->view.count; i++)
		if (strcmp(s->view.files[i].path, path) == 0)
			return s->view.files[i].image;
	cr_assert_fail("no %s", path);
	return NULL;
}

static const struct image *weights(const struct shown *s, uint32_t rank)
{
	return file(s, arena_printf(s->arena, "rank_%u/net_rank_%u-3_14.safetensors", rank, rank));
}

/* "w0[2, 4] v1[3]": the tensors of a rank in the order of the data, each with the number of its block and the slice's shape. */
static const char *blocks(const struct shown *s, uint32_t rank)
{
	const struct image *image = weights(s, rank);
	struct bytes json = { .ptr = image->extents[0].literal };
	const char *all = "";
	uint64_t at = 1;
	struct safetensors st;
	struct error err;
	char shape[200];

	cr_assert_eq(safetensors_length((struct bytes){ json.ptr, 8 }, image->size, &json.len, &err), 0, "%s", err.msg);
	json.ptr += 8;
	cr_assert_eq(safetensors_parse(json, image->size, s->arena, &st, &err), 0, "%s", err.msg);
	for (uint64_t i = 0; i < st.count; i++) {
		const struct safetensors_entry *e = &st.entries[i];
		int n = 0;

		for (uint32_t a = 0; a < e->axes; a++)
			n += snprintf(shape + n, sizeof(shape) - (size_t)n, a ? ", %d" : "%d", (int)e->shape[a]);
		shape[n] = 0;
		if (e->begin == e->end) {
			all = arena_printf(s->arena, "%s%s%s[%s]", all, *all ? " " : "", e->name, shape);
			continue;
		}
		cr_assert_eq(image_extent(image, at).kind, EXTENT_BLOCK);
		cr_assert_str_eq(image_extent(image, at).tensor->name, e->name);
		cr_assert_eq(image->extents[at].offset, st.data_start + e->begin);
		all = arena_printf(s->arena, "%s%s%s%u[%s]", all, *all ? " " : "", e->name, image_extent(image, at++).block, shape);
	}
	cr_assert_eq(at, image->count);
	return all;
}

/* A whole model of two matrices and a vector, cut by nothing. */
static const struct small unified = {
	.kind = CHECKPOINT_UNIFIED,
	.file = { { "in", 0, { F32("v", 6), F32("w", 4, 8), F32("x", 6, 2) } } },
};

static const struct sliced {
	const char *target, *blocks[8];
	uint64_t ranks;
} sliced[] = {
	{ SMALL_STRATEGY(ROWS("0-w", "2") ", " COLS("0-x", "2")), { "w0[2, 8] x0[6, 1]", "w1[2, 8] x1[6, 1]" }, 2 },
	{ SMALL_STRATEGY(ROWS("0-w", "1")), { "w0[4, 8]" }, 1 },
	/* [dp, tp]: rank l has block l % tp; with optimizer shards over dp, piece l / tp of it */
	{ SMALL_STRATEGY(SMALL_PARAM("0-w", "[2, 2]", "[0, -1]")), { "w0[2, 8]", "w1[2, 8]", "w0[2, 8]", "w1[2, 8]" }, 4 },
	{ SMALL_STRATEGY(SMALL_OPT("0-w", "[2, 2]", "[0, -1]")), { "w0[1, 8]", "w2[1, 8]", "w1[1, 8]", "w3[1, 8]" }, 4 },
	{ SMALL_STRATEGY(SMALL_PARAM("0-w", "[2, 2]", "[1, 0]")), { "w0[2, 4]", "w1[2, 4]", "w2[2, 4]", "w3[2, 4]" }, 4 },
	{ SMALL_STRATEGY(SMALL_PARAM("0-w", "[2, 2]", "[0, 1]")), { "w0[2, 4]", "w2[2, 4]", "w1[2, 4]", "w3[2, 4]" }, 4 },
	/* stages: a parameter of each, and one of both, which they cut each in its way */
	{ SMALL_STRATEGY(ROWS("0-w", "2") ", " COLS("1-w", "2") ", " ROWS("1-x", "2")),
	  { "w0[2, 8]", "w1[2, 8]", "w0[4, 4] x0[3, 2]", "w1[4, 4] x1[3, 2]" }, 4 },
	/* three ranks of a stage, and what the checkpoint does not have */
	{ SMALL_STRATEGY(ROWS("0-x", "3") ", " SMALL_PARAM("0-v", "[3]", "[0]") ", " ROWS("0-none", "3")),
	  { "v0[2] x0[2, 2]", "v1[2] x1[2, 2]", "v2[2] x2[2, 2]" }, 3 },
	/* a stage that has nothing of the checkpoint is there all the same */
	{ SMALL_STRATEGY(ROWS("0-w", "2") ", " ROWS("1-none", "2")), { "w0[2, 8]", "w1[2, 8]", "", "" }, 4 },
};

Test(view_ranks, slices)
{
	for (size_t i = 0; i < sizeof(sliced) / sizeof(*sliced); i++) {
		struct shown s = show(&unified, sliced[i].target, sliced[i].ranks);

		cr_assert_eq(s.code, 0, "%zu: %s", i, s.err.msg);
		cr_assert_eq(s.view.count, 2 * sliced[i].ranks);
		for (uint32_t r = 0; r < sliced[i].ranks; r++)
			cr_expect_str_eq(blocks(&s, r), sliced[i].blocks[r], "%zu: rank %u: %s", i, r, blocks(&s, r));
		arena_free(s.arena);
	}
}

static const struct refusal {
	const char *target, *message;
} refusals[] = {
	{ SMALL_STRATEGY(ROWS("0-none", "2")), "the target strategy and the checkpoint have no tensor in common" },
	{ SMALL_STRATEGY(WHOLE("0-w", "3") ", " ROWS("0-x", "3") ", " SMALL_PARAM("0-v", "[3]", "[-1, -1]")),
	  "target strategy: tensor \"v\": 1 axes, but its tensor map in the strategy has 2" },
	{ SMALL_STRATEGY(ROWS("0-w", "3")), "target strategy: tensor \"w\": axis 0: 4 elements cannot be cut into the 3 equal parts of the strategy" },
	{ SMALL_STRATEGY(COLS("0-w", "3")), "target strategy: tensor \"w\": axis 1: 8 elements cannot be cut into the 3 equal parts of the strategy" },
	{ SMALL_STRATEGY(ROWS("0-w", "2") ", " COLS("1-w", "2") ", " WHOLE("0-x", "2") ", " SMALL_PARAM("1-x", "[2]", "[0]")),
	  "target strategy: tensor \"x\": 2 axes, but its tensor map in the strategy has 1" },
};

Test(view_ranks, refusals)
{
	for (size_t i = 0; i < sizeof(refusals) / sizeof(*refusals); i++) {
		struct shown s = show(&unified, refusals[i].target, 1);

		cr_expect_eq(s.code, -EINVAL, "%zu", i);
		cr_expect_str_eq(s.err.msg, refusals[i].message, "%zu: %s", i, s.err.msg);
		arena_free(s.arena);
	}
}

Test(view_ranks, no_cut_inside_a_byte)
{
	static const struct small small = { .kind = CHECKPOINT_UNIFIED, .file = { { "in", 0, { { "w", DTYPE_F4, 2, { 4, 6 } } } } } };
	struct shown s = show(&small, SMALL_STRATEGY(COLS("0-w", "2")), 1);

	cr_assert_eq(s.code, -EINVAL);
	cr_assert_str_eq(s.err.msg, "target strategy: tensor \"w\" of F4 would be cut inside a byte");
	arena_free(s.arena);
	s = show(&small, SMALL_STRATEGY(COLS("0-w", "3")), 3);
	cr_assert_eq(s.code, 0, "%s", s.err.msg);
	cr_assert_str_eq(blocks(&s, 2), "w2[4, 2]");
	arena_free(s.arena);
}

Test(view_ranks, zero_size_tensors_and_scalars)
{
	static const struct small small = { .kind = CHECKPOINT_UNIFIED, .file = { { "in", 0, { F32("e", 0, 4), { "s", DTYPE_F32, 0, { 0 } } } } } };
	struct shown s = show(&small, SMALL_STRATEGY(COLS("0-e", "2") ", " SMALL_PARAM("0-s", "[2]", "[]")), 2);

	cr_assert_eq(s.code, 0, "%s", s.err.msg);
	cr_assert_str_eq(blocks(&s, 1), "e[0, 2] s0[]");
	arena_free(s.arena);
}

/* Two ranks of two stages, each with counters of its own; the file number is the rank's. */
static const struct small staged = {
	.strategy = SMALL_STRATEGY(ROWS("0-w", "2") ", " COLS("1-x", "2")),
	.file = { { "rank_0", 0, { F32("w", 2, 8), F32("c", 2) }, { { "w", "Int4" }, { "x", "Int4" }, { "crc_num", "1" }, { "remove_redundancy", "True" } } },
		  { "rank_1", 1, { F32("w", 2, 8), F32("c", 2) } }, { "rank_2", 2, { F32("x", 6, 1), F32("c", 2) } },
		  { "rank_3", 3, { F32("x", 6, 1), F32("c", 2) } } },
};

/* The source rank that a rank's counter comes from. */
static uint32_t counter_of(const struct shown *s, uint32_t rank)
{
	const struct image *image = weights(s, rank);

	for (uint64_t i = 0; i < image->count; i++)
		if (image_extent(image, i).kind == EXTENT_BLOCK && strcmp(image_extent(image, i).tensor->name, "c") == 0)
			return image_extent(image, i).tensor->pieces[0].source - 10;
	cr_assert_fail("no counter");
	return 0;
}

static const struct counted {
	const char *target;
	uint64_t ranks;
	uint32_t from[8];
} counted[] = {
	{ NULL, 4, { 0, 1, 2, 3 } },
	{ SMALL_STRATEGY(ROWS("0-w", "1")), 1, { 0 } },
	{ SMALL_STRATEGY(ROWS("0-w", "4")), 4, { 0, 1, 0, 1 } },
	{ SMALL_STRATEGY(WHOLE("0-w", "3") ", " WHOLE("1-x", "3")), 6, { 0, 1, 0, 2, 3, 2 } },
	{ SMALL_STRATEGY(ROWS("0-w", "1") ", " ROWS("1-x", "1") ", " WHOLE("2-x", "1")), 3, { 0, 2, 2 } },
};

Test(view_ranks, counters_of_one_source_rank)
{
	for (size_t i = 0; i < sizeof(counted) / sizeof(*counted); i++) {
		struct shown s = show(&staged, counted[i].target, counted[i].ranks);

		cr_assert_eq(s.code, 0, "%zu: %s", i, s.err.msg);
		for (uint32_t r = 0; r < counted[i].ranks; r++)
			cr_expect_eq(counter_of(&s, r), counted[i].from[r], "%zu: rank %u has rank %u's", i, r, counter_of(&s, r));
		arena_free(s.arena);
	}
}

Test(view_ranks, metadata_follow_the_tensors)
{
	struct shown s = show(&staged, NULL, 4);

	for (uint32_t r = 0; r < 4; r++) {
		const struct image *image = weights(&s, r);
		struct bytes json = { .ptr = image->extents[0].literal + 8 };
		struct safetensors st;
		struct error err;

		cr_assert_eq(safetensors_length((struct bytes){ json.ptr - 8, 8 }, image->size, &json.len, &err), 0);
		cr_assert_eq(safetensors_parse(json, image->size, s.arena, &st, &err), 0, "%s", err.msg);
		cr_expect_str_eq(safetensors_meta_get(&st, "format"), "ms");
		cr_expect_str_eq(safetensors_meta_get(&st, "remove_redundancy"), "False");
		cr_expect_eq(safetensors_meta_get(&st, "w") != NULL, r < 2);
		cr_expect_eq(safetensors_meta_get(&st, "x") != NULL, r >= 2);
		cr_expect_eq(st.meta_count, 3);
	}
	arena_free(s.arena);
}

/* Renamed tensors: the source's own strategy knows the old names, any other the new ones. */
Test(view_ranks, names_of_the_target)
{
	static const char *const rules = "^w$ y\n^x$ w\n^y$ x"; /* w and x change places */
	struct view_rank_options o = { .ranks = first_eight, .rank_count = 4, .prefix = "net", .counted = true, .epoch = 3, .step = 14 };
	struct shown s = { .arena = arena_new() };
	struct rename *rename;

	cr_assert_eq(small_build(&staged, s.arena, &s.ckpt, &s.err), 0, "%s", s.err.msg);
	cr_assert_eq(rename_parse((struct bytes){ (const uint8_t *)rules, strlen(rules) }, &rename, &s.err), 0, "%s", s.err.msg);
	cr_assert_eq(rename_checkpoint(s.ckpt, rename, s.arena, &s.err), 0, "%s", s.err.msg);
	rename_free(rename);
	o.source = o.target = small_strategy(staged.strategy, s.arena);
	cr_assert_eq(view_ranks(s.ckpt, &o, s.arena, &s.view, &s.err), 0, "%s", s.err.msg);
	cr_assert_str_eq(blocks(&s, 1), "x1[2, 8] c0[2]");
	cr_assert_str_eq(blocks(&s, 3), "w1[6, 1] c0[2]");
	o.target = small_strategy(SMALL_STRATEGY(ROWS("0-w", "2") ", " COLS("0-x", "2")), s.arena);
	o.rank_count = 2;
	cr_assert_eq(view_ranks(s.ckpt, &o, s.arena, &s.view, &s.err), 0, "%s", s.err.msg);
	cr_assert_str_eq(blocks(&s, 1), "w1[3, 2] x1[4, 4] c0[2]");
	arena_free(s.arena);
}

/* Without a strategy on either side every rank has every tensor, and the counters that were its own. */
Test(view_ranks, replicated)
{
	static const struct small small = {
		.kind = CHECKPOINT_REPLICATED,
		.file = { { "rank_0", 0, { F32("w", 4), F32("loss_scale", 1) } }, { "rank_5", 5, { F32("v", 2), F32("loss_scale", 1) } } },
	};
	static const uint32_t ranks[] = { 0, 5 };
	struct view_rank_options o = { .ranks = ranks, .rank_count = 2, .prefix = "net", .counted = true, .epoch = 3, .step = 14 };
	struct shown s = { .arena = arena_new() };

	cr_assert_eq(small_build(&small, s.arena, &s.ckpt, &s.err), 0, "%s", s.err.msg);
	cr_assert_eq(view_ranks(s.ckpt, &o, s.arena, &s.view, &s.err), 0, "%s", s.err.msg);
	cr_assert_eq(s.view.count, 4);
	for (int i = 0; i < 2; i++) {
		const struct image *image = weights(&s, ranks[i]);

		cr_assert_str_eq(blocks(&s, ranks[i]), "v0[2] w0[4] loss_scale0[1]");
		cr_assert_eq(image_extent(image, 3).tensor->pieces[0].source, 10u + (uint32_t)i);
	}
	arena_free(s.arena);
}

static const struct named {
	const char *prefix, *file, *meta; /* meta NULL: no meta.json */
	uint64_t epoch, step;
	bool counted;
} named[] = {
	{ "net", "rank_0/net_rank_0.safetensors", NULL, 0, 0, false },
	{ "tiny", "rank_0/tiny_rank_0-0_0.safetensors", "{\"last_epoch\": 0, \"last_step\": 0, \"last_ckpt_file\": \"tiny_rank_0-0_0.safetensors\"}", 0, 0, true },
	{ "a\"b", "rank_0/a\"b_rank_0-1_2.safetensors", "{\"last_epoch\": 1, \"last_step\": 2, \"last_ckpt_file\": \"a\\\"b_rank_0-1_2.safetensors\"}", 1, 2, true },
	{ "模", "rank_0/模_rank_0-1_2.safetensors", "{\"last_epoch\": 1, \"last_step\": 2, \"last_ckpt_file\": \"\\u6a21_rank_0-1_2.safetensors\"}", 1, 2, true },
	{ "n", "rank_0/n_rank_0-9223372036854775807_18446744073709551615.safetensors",
	  "{\"last_epoch\": 9223372036854775807, \"last_step\": 18446744073709551615, \"last_ckpt_file\": "
	  "\"n_rank_0-9223372036854775807_18446744073709551615.safetensors\"}", INT64_MAX, UINT64_MAX, true },
};

Test(view_ranks, names)
{
	for (size_t i = 0; i < sizeof(named) / sizeof(*named); i++) {
		const struct named *n = &named[i];
		struct view_rank_options o = { .ranks = first_eight, .rank_count = 1, .prefix = n->prefix, .counted = n->counted, .epoch = n->epoch, .step = n->step };
		struct shown s = { .arena = arena_new() };

		cr_assert_eq(small_build(&unified, s.arena, &s.ckpt, &s.err), 0);
		cr_assert_eq(view_ranks(s.ckpt, &o, s.arena, &s.view, &s.err), 0, "%s", s.err.msg);
		cr_assert_eq(s.view.count, n->meta ? 2 : 1);
		cr_expect_str_eq(s.view.files[0].path, n->file);
		if (n->meta) {
			const struct image *image = file(&s, "rank_0/meta.json");

			cr_expect_eq(image->size, strlen(n->meta));
			cr_expect_eq(memcmp(image->extents[0].literal, n->meta, image->size), 0, "%.*s", (int)image->size, image->extents[0].literal);
		}
		arena_free(s.arena);
	}
}

/* Some ranks only, in any world; none at all is no error of the view's. */
Test(view_ranks, some_ranks)
{
	static const uint32_t some[] = { 1, 3 };
	struct view_rank_options o = { .ranks = some, .rank_count = 2, .prefix = "net", .counted = true, .epoch = 3, .step = 14 };
	struct shown s = { .arena = arena_new() };

	cr_assert_eq(small_build(&unified, s.arena, &s.ckpt, &s.err), 0);
	o.target = small_strategy(SMALL_STRATEGY(ROWS("0-w", "4")), s.arena);
	cr_assert_eq(view_ranks(s.ckpt, &o, s.arena, &s.view, &s.err), 0, "%s", s.err.msg);
	cr_assert_eq(s.view.count, 4);
	cr_assert_str_eq(blocks(&s, 1), "w1[1, 8]");
	cr_assert_str_eq(blocks(&s, 3), "w3[1, 8]");
	arena_free(s.arena);
}

/* Two rows of four are there; a view that reads no others takes the tensor with its holes, and any other does not. */
Test(view_ranks, holes)
{
	static const struct small_file files[] = { { .path = "rank_1", .rank = 1, .t = { F32("w", 1, 8) } },
						   { .path = "rank_2", .rank = 2, .t = { F32("w", 1, 8) } } };
	static const uint32_t ranks[] = { 1, 2, 3 };
	struct arena *arena = arena_new();
	const struct strategy *s = small_strategy(SMALL_STRATEGY(ROWS("0-w", "4") ", " ROWS("0-gone", "4")), arena);
	struct view_rank_options o = { .target = s, .source = s, .ranks = ranks, .prefix = "net", .counted = true, .epoch = 3, .step = 14 };
	struct checkpoint_needs needs = { view_ranks_reads, &o };
	struct checkpoint_options options = { .kind = CHECKPOINT_SHARDED, .strategy = s, .needs = &needs };
	struct shown shown = { .arena = arena };

	for (o.rank_count = 0; o.rank_count <= 3; o.rank_count++) {
		struct checkpoint_builder *b = checkpoint_begin(arena, &options);

		for (uint32_t i = 0; i < 2; i++)
			cr_assert_eq(small_add(b, &files[i], 10 + i, &shown.err), 0, "%s", shown.err.msg);
		shown.code = checkpoint_finish(b, &shown.ckpt, &shown.err);
		if (o.rank_count == 3) {
			cr_assert_eq(shown.code, -ENODATA);
			cr_assert_str_eq(shown.err.msg, "tensor \"w\": no rank that is here holds block 3 of 4; it belongs on rank_3");
			break;
		}
		cr_assert_eq(shown.code, 0, "%s", shown.err.msg);
		cr_assert_eq(shown.ckpt->tensors[0].holes, 2);
		cr_assert_eq(view_ranks(shown.ckpt, &o, arena, &shown.view, &shown.err), 0, "%s", shown.err.msg);
		for (uint32_t r = 1; r <= o.rank_count; r++)
			cr_expect_str_eq(blocks(&shown, r), r == 1 ? "w1[1, 8]" : "w2[1, 8]");
	}
	arena_free(arena);
}
