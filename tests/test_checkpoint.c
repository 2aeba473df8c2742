/* SPDX-License-Identifier: Apache-2.0 */
/* Which file serves which block, and every refusal with its whole message: tables of small files. Rank l of [2, 2]: block l % 2 by map 0. */
#include <errno.h>
#include <stdio.h>

#include "layout/base/natural.h"
#include "tests/small.h"

#define F16(name, ...) { name, DTYPE_F16, sizeof((uint64_t[]){ __VA_ARGS__ }) / 8, { __VA_ARGS__ } }
#define F32(name, ...) { name, DTYPE_F32, sizeof((uint64_t[]){ __VA_ARGS__ }) / 8, { __VA_ARGS__ } }
#define ROWS2 SMALL_STRATEGY(SMALL_PARAM("0-w", "[2]", "[0, -1]"))
#define COLS2 SMALL_STRATEGY(SMALL_PARAM("0-w", "[2]", "[-1, 0]"))
#define DP2TP2 SMALL_STRATEGY(SMALL_PARAM("0-w", "[2, 2]", "[0, -1]"))
/* w is shared: stage 0 (ranks 0, 1) cuts its rows, stage 1 (ranks 2, 3) its columns; v is stage 1's alone. */
#define SHARED SMALL_STRATEGY(SMALL_PARAM("0-w", "[2]", "[0, -1]") ", " SMALL_PARAM("1-w", "[2]", "[-1, 0]") ", " \
			      SMALL_PARAM("1-v", "[2]", "[-1]"))

static const struct refusal {
	const char *message;
	int code;
	struct small small;
} refusals[] = {
	{ "rank_1: tensor \"w\": dtype F32, but rank_0 has it as F16", -EINVAL,
	  { .strategy = ROWS2, .file = { { "rank_0", 0, { F16("w", 2, 3) } }, { "rank_1", 1, { F32("w", 2, 3) } } } } },
	{ "rank_1: tensor \"w\": shape [2, 4], but rank_0 has it as [2, 3]", -EINVAL,
	  { .strategy = ROWS2, .file = { { "rank_0", 0, { F16("w", 2, 3) } }, { "rank_1", 1, { F16("w", 2, 4) } } } } },
	{ "rank_1: tensor \"w\": shape [2, 4], but rank_0 has it as [2, 3]", -EINVAL,
	  { .kind = CHECKPOINT_REPLICATED, .file = { { "rank_0", 0, { F16("w", 2, 3) } }, { "rank_1", 1, { F16("w", 2, 4) } } } } },
	{ "rank_1: tensor \"w\": shape [2, 3], but rank_0 has it as [2, 3, 1]", -EINVAL,
	  { .kind = CHECKPOINT_REPLICATED, .file = { { "rank_0", 0, { F16("w", 2, 3, 1) } }, { "rank_1", 1, { F16("w", 2, 3) } } } } },
	{ "rank_0: tensor \"w\": shape [2, 3, 1] has 3 axes, but its tensor map in the strategy has 2", -EINVAL,
	  { .strategy = ROWS2, .file = { { "rank_0", 0, { F16("w", 2, 3, 1) } } } } },
	{ "rank_2: rank 2, but the strategy is for ranks 0 to 1", -EINVAL,
	  { .strategy = ROWS2, .file = { { "rank_0", 0, { F16("w", 2, 3) } }, { "rank_2", 2, { F16("w", 2, 3) } } } } },
	{ "tensor \"w\": no rank that is here holds block 1 of 2; it belongs on rank_1, rank_3", -ENODATA,
	  { .strategy = DP2TP2, .file = { { "rank_0", 0, { F16("w", 2, 3) } }, { "rank_1", 1 }, { "rank_2", 2, { F16("w", 2, 3) } } } } },
	{ "tensor \"w\": no rank that is here holds block 0 of 2; it belongs on rank_2", -ENODATA,
	  { .strategy = SHARED, .file = { { "rank_3", 3, { F16("w", 4, 3) } } } } },
	{ "tensor \"w\": no rank that is here holds block 1 of 2; it belongs on rank_1", -ENODATA, /* of two parts, the lower stage's */
	  { .strategy = SHARED, .file = { { "rank_0", 0, { F16("w", 2, 6) } }, { "rank_3", 3, { F16("w", 4, 3), F16("v", 4) } } } } },
	{ "rank_0: tensor \"x\": 1048580 bytes, but a tensor that is not in the strategy may have at most 1048576 (it may be a slice; "
	  "-o outside=rank0 takes rank 0's as the whole)", -EINVAL,
	  { .strategy = ROWS2, .file = { { "rank_0", 0, { F16("w", 2, 3), F32("x", 262145) } } } } },
	{ "rank_1: tensor \"x\": shape [5], but rank_0 has it as [4]", -EINVAL,
	  { .strategy = ROWS2, .file = { { "rank_0", 0, { F16("w", 2, 3), F32("x", 4) } }, { "rank_1", 1, { F16("w", 2, 3), F32("x", 5) } } } } },
	{ "rank_1: tensor \"x\": dtype F16, but rank_0 has it as F32", -EINVAL,
	  { .strategy = ROWS2, .file = { { "rank_0", 0, { F16("w", 2, 3), F32("x", 4) } }, { "rank_1", 1, { F16("w", 2, 3), F16("x", 4) } } } } },
	{ "tensor \"w\": F4 [2, 6] is cut inside a byte", -EINVAL,
	  { .strategy = COLS2, .file = { { "rank_0", 0, { { "w", DTYPE_F4, 2, { 2, 3 } } } }, { "rank_1", 1, { { "w", DTYPE_F4, 2, { 2, 3 } } } } } } },
	{ "nothing to show: the strategy and the files have no tensor in common", -EINVAL,
	  { .strategy = ROWS2, .file = { { "rank_0", 0, { F32("x", 4) } } } } },
	{ "nothing to show: the files hold no tensor that is not dropped", -EINVAL,
	  { .kind = CHECKPOINT_UNIFIED, .filter = "x", .file = { { "a", 0, { F32("xy", 4) } } } } },
	{ "b: tensor \"x\" is in a too", -EINVAL,
	  { .kind = CHECKPOINT_UNIFIED, .file = { { "a", 0, { F32("x", 4) } }, { "b", 0, { F32("x", 4) } } } } },
	{ "tensor \"w\": shape [4, 8] in stage 1 (rank_2), but [4, 6] in another", -EINVAL,
	  { .strategy = SHARED, .file = { { "rank_0", 0, { F16("w", 2, 6) } }, { "rank_1", 1, { F16("w", 2, 6) } }, { "rank_2", 2, { F16("w", 4, 4) } } } } },
	{ "tensor \"w\": dtype F32 in stage 1 (rank_2), but F16 in another", -EINVAL,
	  { .strategy = SHARED, .file = { { "rank_0", 0, { F16("w", 2, 6) } }, { "rank_1", 1, { F16("w", 2, 6) } }, { "rank_2", 2, { F32("w", 4, 3) } } } } },
	{ "tensor \"v\": rank_0 has it, but the strategy gives it to stage 1, whose files lack it", -ENODATA,
	  { .strategy = SHARED, .file = { { "rank_0", 0, { F16("w", 2, 6), F16("v", 4) } }, { "rank_1", 1, { F16("w", 2, 6) } }, { "rank_2", 2 } } } },
	{ "tensor \"v\": no file that is here has it, but only 0 of 2 ranks of its stage 1 (rank_2 to rank_3) are here", -ENODATA,
	  { .strategy = SHARED, .file = { { "rank_0", 0, { F16("w", 2, 6) } }, { "rank_1", 1, { F16("w", 2, 6) } } } } },
	{ "tensor \"v\": no file that is here has it, but only 1 of 2 ranks of its stage 1 (rank_2 to rank_3) are here", -ENODATA,
	  { .strategy = SHARED, .file = { { "rank_0", 0, { F16("w", 2, 6) } }, { "rank_1", 1, { F16("w", 2, 6) } },
					  { "rank_3", 3, { F16("w", 4, 3) }, { { "remove_redundancy", "True" } } } } } },
	{ "tensor \"y\": with it, the checkpoint has more than 1152921504606846976 bytes", -EINVAL,
	  { .kind = CHECKPOINT_UNIFIED, .file = { { "a", 0, { F16("x", UINT64_C(1) << 58), F16("y", UINT64_C(1) << 58), F16("z", 1) } },
						  { "b", 0, { F16("x1", 1) } } } } },
};

Test(checkpoint, refuses)
{
	for (size_t i = 0; i < sizeof(refusals) / sizeof(*refusals); i++) {
		struct arena *arena = arena_new();
		struct checkpoint *ckpt;
		struct error err;
		int code = small_build(&refusals[i].small, arena, &ckpt, &err);

		cr_expect_str_eq(err.msg, refusals[i].message, "got:  %s\nwant: %s", err.msg, refusals[i].message);
		cr_expect_eq(code, refusals[i].code);
		arena_free(arena);
	}
}

/* A block that many ranks would hold: the list is cut between two names. */
Test(checkpoint, names_some_of_many_holders)
{
	struct small small = { .strategy = SMALL_STRATEGY(SMALL_PARAM("0-w", "[500, 2]", "[0]")), .file = { { "rank_0", 0, { F16("w", 2) } } } };
	struct arena *arena = arena_new();
	struct checkpoint *ckpt;
	struct error err;
	char *at;

	cr_assert_eq(small_build(&small, arena, &ckpt, &err), -ENODATA);
	at = strstr(err.msg, "rank_1, rank_3, rank_5, ");
	cr_assert(at);
	for (unsigned want = 1, rank; sscanf(at, "rank_%u, ", &rank) == 1; at = strchr(at, ' ') + 1, want += 2)
		cr_assert_eq(rank, want, "%s", err.msg);
	cr_assert_str_eq(at, "...", "%s", err.msg);
	arena_free(arena);
}

/* Builds, or fails with the message. */
static const struct checkpoint *build(const struct small *small, struct arena *arena)
{
	struct checkpoint *ckpt;
	struct error err;

	cr_assert_eq(small_build(small, arena, &ckpt, &err), 0, "%s", err.msg);
	return ckpt;
}

static const char *noted(const struct checkpoint *ckpt, const char *name)
{
	for (uint64_t i = 0; i < ckpt->note_count; i++)
		if (strcmp(ckpt->notes[i].key, name) == 0)
			return ckpt->notes[i].value;
	return "";
}

#define W23 F16("w", 2, 3)
#define W43 F16("w", 4, 3)

/* Whose piece each block of w is, as sources; w is [4, 3] of F16, or [4, 6] where SHARED. */
static const struct served {
	const char *what;
	uint32_t blocks, source[4];
	struct small small;
} served[] = {
	{ "the first rank of each replica group", 2, { 10, 11 },
	  { .strategy = DP2TP2, .file = { { "0", 0, { W23 } }, { "1", 1, { W23 } }, { "2", 2, { W23 } }, { "3", 3, { W23 } } } } },
	{ "a block only on a later rank", 2, { 10, 13 },
	  { .strategy = DP2TP2, .file = { { "0", 0, { W23 } }, { "1", 1 }, { "2", 2, { W23 } }, { "3", 3, { W23 } } } } },
	{ "rank 0 not there at all", 2, { 11, 10 }, { .strategy = DP2TP2, .file = { { "1", 1, { W23 } }, { "2", 2, { W23 } } } } },
	{ "optimizer shards: rank l has rows (l % 2) * 2 + l / 2", 4, { 10, 12, 11, 13 },
	  { .strategy = SMALL_STRATEGY(SMALL_OPT("0-w", "[2, 2]", "[0, -1]")),
	    .file = { { "0", 0, { F16("w", 1, 3) } }, { "1", 1, { F16("w", 1, 3) } }, { "2", 2, { F16("w", 1, 3) } }, { "3", 3, { F16("w", 1, 3) } } } } },
	{ "the lowest of two whole stages", 2, { 10, 11 },
	  { .strategy = SHARED, .file = { { "0", 0, { F16("w", 2, 6) } }, { "1", 1, { F16("w", 2, 6) } }, { "2", 2, { W43 } }, { "3", 3, { W43 } } } } },
	{ "stage 0 has a part only", 2, { 11, 12 },
	  { .strategy = SHARED, .file = { { "1", 1, { F16("w", 2, 6) } }, { "2", 2, { W43 } }, { "3", 3, { W43 } } } } },
	{ "stage 1 has a part only", 2, { 10, 11 },
	  { .strategy = SHARED, .file = { { "0", 0, { F16("w", 2, 6) } }, { "1", 1, { F16("w", 2, 6) } }, { "3", 3, { W43 } } } } },
	{ "whole tensors on every rank", 1, { 11 },
	  { .kind = CHECKPOINT_REPLICATED, .file = { { "0", 0, { F16("v", 1) } }, { "1", 1, { W43 } }, { "2", 2, { W43 } } } } },
};

Test(checkpoint, serves_blocks_from)
{
	for (size_t i = 0; i < sizeof(served) / sizeof(*served); i++) {
		struct arena *arena = arena_new();
		const struct checkpoint *ckpt = build(&served[i].small, arena);
		const struct tensor *w = checkpoint_find(ckpt->tensors, ckpt->count, "w");
		uint64_t columns = served[i].small.strategy && strcmp(served[i].small.strategy, SHARED) == 0 ? 6 : 3;

		cr_assert(w && w->axes == 2 && w->shape[0] == 4 && w->shape[1] == columns && w->bytes == 8 * columns, "%s", served[i].what);
		cr_assert_eq(w->grid.blocks, served[i].blocks, "%s", served[i].what);
		for (uint32_t b = 0; b < w->grid.blocks; b++)
			cr_assert(w->pieces[b].source == served[i].source[b] && w->pieces[b].offset == SMALL_DATA, "%s: block %u", served[i].what, b);
		arena_free(arena);
	}
}

/* Stages that cut a shared parameter differently: the grid is that of the stage that serves it. */
Test(checkpoint, grid_is_of_the_serving_stage)
{
	for (size_t i = 4; i <= 5; i++) {
		struct arena *arena = arena_new();
		const struct checkpoint *ckpt = build(&served[i].small, arena);
		const struct tensor *w = checkpoint_find(ckpt->tensors, ckpt->count, "w");
		bool columns = i == 5;

		cr_assert(w->grid.axes == 2 && w->grid.cuts[0] == (columns ? 1 : 2) && w->grid.cuts[1] == (columns ? 2 : 1));
		arena_free(arena);
	}
}

Test(checkpoint, offsets_are_those_in_the_file)
{
	struct small small = { .strategy = ROWS2, .file = { { "0", 0, { F32("x", 5), W23 } }, { "1", 1, { W23 } } } };
	struct arena *arena = arena_new();
	const struct checkpoint *ckpt = build(&small, arena);

	cr_assert(ckpt->count == 1 && ckpt->outside_count == 1);
	cr_assert(ckpt->tensors[0].pieces[0].offset == SMALL_DATA + 20 && ckpt->tensors[0].pieces[1].offset == SMALL_DATA);
	cr_assert(ckpt->outside[0].pieces[0].offset == SMALL_DATA && ckpt->outside[0].bytes == 20 && ckpt->outside[0].pieces[0].source == 10);
	arena_free(arena);
}

Test(checkpoint, says_what_it_leaves_out)
{
	struct small small = {
		.strategy = SMALL_STRATEGY(SMALL_PARAM("0-w", "[2]", "[0, -1]") ", " SMALL_PARAM("0-moment1.w", "[2]", "[0, -1]") ", "
					   SMALL_PARAM("0-adam.w", "[2]", "[0, -1]") ", " SMALL_PARAM("1-w2", "[2]", "[0, -1]") ", "
					   SMALL_PARAM("0-accu_grads.w", "[2]", "[0, -1]")),
		.filter = "adam.",
		.file = { { "0", 0, { W23, F16("adam.w", 2, 3), F16("accu_grads.w", 9, 9), F16("accu_grads.x", 2, 3), F16("w2", 9) } },
			  { "1", 1, { W23, F16("adam.w", 7), F16("late", 1) } }, { "2", 2, { F16("w2", 2, 3) } }, { "3", 3, { F16("w2", 2, 3) } } },
	};
	struct arena *arena = arena_new();
	const struct checkpoint *ckpt = build(&small, arena);

	cr_assert(ckpt->count == 2 && ckpt->outside_count == 0);
	cr_expect_str_eq(noted(ckpt, "moment1.w"), "in the strategy, but in no file");
	cr_expect_str_eq(noted(ckpt, "adam.w"), "dropped by -o filter");
	cr_expect_str_eq(noted(ckpt, "accu_grads.w"), "a gradient accumulator belongs to no model");
	cr_expect_str_eq(noted(ckpt, "accu_grads.x"), "a gradient accumulator belongs to no model");
	cr_expect_str_eq(noted(ckpt, "late"), "outside the strategy, and not on the first rank");
	cr_expect(strstr(noted(ckpt, "w2"), "another stage's is shown"));
	cr_expect_eq(ckpt->note_count, 6);
	arena_free(arena);
}

Test(checkpoint, outside_tensors_are_the_first_ranks)
{
	struct small small = {
		.strategy = ROWS2, .outside_rank0 = true,
		.file = { { "0", 0, { W23, F32("x", 262145), F32("c", 1) } }, { "1", 1, { W23, F32("x", 7), F16("late", 600000), F16("c", 2) } } },
	};
	struct arena *arena = arena_new();
	const struct checkpoint *ckpt = build(&small, arena);

	cr_assert(ckpt->count == 1 && ckpt->outside_count == 2 && ckpt->note_count == 1);
	cr_expect_str_eq(ckpt->outside[0].name, "c");
	cr_expect(strcmp(ckpt->outside[1].name, "x") == 0 && ckpt->outside[1].shape[0] == 262145);
	cr_expect_str_eq(ckpt->notes[0].key, "late");
	arena_free(arena);
}

/* A filter that takes the only tensors of a stage makes its ranks unneeded. */
Test(checkpoint, a_dropped_parameter_needs_no_rank)
{
	struct small small = { .strategy = SHARED, .filter = "v", .file = { { "0", 0, { F16("w", 2, 6) } }, { "1", 1, { F16("w", 2, 6) } } } };
	struct arena *arena = arena_new();
	const struct checkpoint *ckpt = build(&small, arena);

	cr_assert(ckpt->count == 1);
	cr_expect_str_eq(noted(ckpt, "v"), "dropped by -o filter");
	arena_free(arena);
}

Test(checkpoint, keeps_the_copies_of_outside_tensors)
{
	struct small small = {
		.strategy = DP2TP2, .outside_rank0 = true,
		.file = { { "1", 1, { F32("c", 1), W23, F32("b", 2) } }, { "2", 2, { W23, F32("c", 1), F32("b", 3) } }, { "3", 3, { F32("c", 1) } } },
	};
	struct arena *arena = arena_new();
	const struct checkpoint *ckpt = build(&small, arena);
	const struct checkpoint_copies *c = &ckpt->copies[1];

	cr_assert(ckpt->outside_count == 2 && ckpt->copies[0].count == 1 && c->count == 3); /* b, whose second copy differs in shape, and c */
	cr_expect(c->list[0].rank == 1 && c->list[0].piece.source == 10 && c->list[0].piece.offset == SMALL_DATA);
	cr_expect(c->list[1].rank == 2 && c->list[1].piece.source == 11 && c->list[1].piece.offset == SMALL_DATA + 12);
	cr_expect(c->list[2].rank == 3 && c->list[2].piece.source == 12 && c->list[2].piece.offset == SMALL_DATA);
	arena_free(arena);
}

/* A tensor of exactly the limit passes; without a rank 0 the lowest rank there is serves the counters. */
Test(checkpoint, outside_limit_is_inclusive)
{
	struct small small = { .strategy = DP2TP2, .file = { { "2", 2, { W23, F32("x", 262144) } }, { "3", 3, { W23, F32("x", 262144) } } } };
	struct arena *arena = arena_new();
	const struct checkpoint *ckpt = build(&small, arena);

	cr_assert(ckpt->outside_count == 1 && ckpt->outside[0].bytes == CHECKPOINT_OUTSIDE_MAX && ckpt->outside[0].pieces[0].source == 10);
	arena_free(arena);
}

Test(checkpoint, counters_are_outside_where_no_strategy_says_so)
{
	struct small small = {
		.kind = CHECKPOINT_REPLICATED,
		.file = { { "0", 0, { W43, F32("epoch_num", 1), F32("step_num", 1), F32("global_step", 1), F32("loss_scale", 1),
				      F32("learning_rate", 1), F32("step_num.weight", 1), F32("global_batch_size", 1) } } },
	};
	struct arena *arena = arena_new();
	const struct checkpoint *ckpt = build(&small, arena);

	cr_assert(ckpt->count == 2 && ckpt->outside_count == 6);
	cr_expect_str_eq(ckpt->tensors[0].name, "step_num.weight");
	arena_free(arena);
}

Test(checkpoint, unified_files_say_what_is_outside)
{
	struct small small = {
		.kind = CHECKPOINT_UNIFIED,
		.file = { { "a", 0, { W43, F32("step_num", 1) }, { { "format", "ms" }, { "w", "Int4" } } },
			  { "b", 0, { F32("lr", 1), F32("accu_grads.w", 1) }, { { "format", "pt" }, { "b", "1" } }, true } },
	};
	struct arena *arena = arena_new();
	const struct checkpoint *ckpt = build(&small, arena);

	cr_assert(ckpt->count == 2 && ckpt->outside_count == 1 && ckpt->meta_count == 3);
	cr_expect_str_eq(ckpt->outside[0].name, "lr");
	cr_expect_str_eq(ckpt->meta[0].value, "ms"); /* the first file's stays */
	cr_expect_str_eq(ckpt->meta[2].key, "b");
	arena_free(arena);
}

Test(checkpoint, natural_order_and_find)
{
	struct small small = {
		.kind = CHECKPOINT_UNIFIED,
		.file = { { "a", 0, { F16("l.10.b", 1), F16("l.9.w", 1), F16("l.10.a", 1), F16("l.09.w", 1), F16("k", 1), F16("l.100", 1), F16("l.2", 1) } } },
	};
	struct arena *arena = arena_new();
	const struct checkpoint *ckpt = build(&small, arena);

	for (uint64_t i = 0; i < ckpt->count; i++) {
		cr_assert_eq(checkpoint_find(ckpt->tensors, ckpt->count, ckpt->tensors[i].name), &ckpt->tensors[i]);
		cr_assert(i == 0 || natural_compare(ckpt->tensors[i - 1].name, ckpt->tensors[i].name) < 0);
	}
	cr_assert_str_eq(ckpt->tensors[0].name, "k");
	cr_assert_str_eq(ckpt->tensors[1].name, "l.2");
	cr_assert_str_eq(ckpt->tensors[ckpt->count - 1].name, "l.100");
	cr_assert_null(checkpoint_find(ckpt->tensors, ckpt->count, "l.1"));
	cr_assert_null(checkpoint_find(NULL, 0, "k"));
	arena_free(arena);
}

/* Asserts that a holding is of `stage` and has these ranks, of these files and blocks. */
static void holds(const struct checkpoint_holding *h, uint32_t stage, uint32_t count, const uint32_t (*want)[3])
{
	cr_assert_eq(h->stage, stage);
	cr_assert_eq(h->copies.count, count);
	for (uint32_t i = 0; i < count; i++) {
		cr_expect_eq(h->copies.list[i].rank, want[i][0]);
		cr_expect_eq(h->copies.list[i].piece.source, want[i][1]);
		cr_expect_eq(checkpoint_block(h, want[i][0]), want[i][2], "rank %u", want[i][0]);
	}
}

Test(checkpoint, keeps_copies)
{
	struct small small = { .strategy = SHARED, .keep_copies = true,
			       .file = { { "rank_0", 0, { F16("w", 2, 6), F32("x", 4) } }, { "rank_1", 1, { F16("w", 2, 6) } },
					 { "rank_2", 2, { F16("w", 4, 3), F16("v", 4), F32("x", 4) } }, { "rank_3", 3, { F16("v", 4) } } } };
	static const uint32_t w0[][3] = { { 0, 10, 0 }, { 1, 11, 1 } }, w1[][3] = { { 2, 12, 0 } }, v[][3] = { { 2, 12, 0 }, { 3, 13, 0 } },
			      x[][3] = { { 0, 10, 0 }, { 2, 12, 0 } };
	struct arena *arena = arena_new();
	const struct checkpoint *ckpt = build(&small, arena);
	const struct tensor *t = checkpoint_find(ckpt->tensors, ckpt->count, "w");

	cr_assert_eq(t->holding_count, 2);
	holds(&t->holdings[0], 0, 2, w0);
	holds(&t->holdings[1], 1, 1, w1);
	t = checkpoint_find(ckpt->tensors, ckpt->count, "v");
	cr_assert_eq(t->holding_count, 1);
	holds(&t->holdings[0], 1, 2, v);
	cr_assert_eq(t->holdings[0].copies.list[0].piece.offset, SMALL_DATA + 24);
	cr_assert_eq(ckpt->outside[0].holding_count, 1);
	holds(&ckpt->outside[0].holdings[0], 0, 2, x);
	small.keep_copies = false;
	ckpt = build(&small, arena);
	cr_assert_eq(ckpt->tensors[0].holding_count, 0);
	arena_free(arena);
}

/* Names in the order of natural_compare(), each still with what belongs to it. `near`: they are in order before, but for a few places. */
static void sort(uint64_t near)
{
	enum { COUNT = 3000 };
	static struct tensor list[COUNT];
	static char names[COUNT][32];
	uint64_t seed = 20261201;
	struct error err;

	for (uint64_t i = 0; i < COUNT; i++) {
		seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
		if (near)
			snprintf(names[i], sizeof(names[i]), "l.%u.w", (unsigned)(i / near * near + (i % near * 3 + (i / near & 1)) % near));
		else
			snprintf(names[i], sizeof(names[i]), "l.%0*u.%c%u", (int)(seed >> 60) % 4, (unsigned)(seed >> 33) % 300,
				 "ab.0"[seed >> 40 & 3], (unsigned)i);
		list[i] = (struct tensor){ .name = names[i], .bytes = i };
	}
	cr_assert_eq(checkpoint_sort(list, COUNT, &err), 0);
	for (uint64_t i = 0; i < COUNT; i++) {
		cr_assert_str_eq(list[i].name, names[list[i].bytes]);
		cr_assert(i == 0 || natural_compare(list[i - 1].name, list[i].name) < 0, "\"%s\" before \"%s\"", list[i - 1].name, list[i].name);
		cr_assert_eq(checkpoint_find(list, COUNT, names[i])->bytes, i);
	}
	cr_assert_eq(checkpoint_sort(list, 0, &err), 0);
}

Test(checkpoint, sorting)
{
	static const uint64_t near[] = { 0, 1, 2, 5, 10, 20, 100 }; /* no multiples of 3 */

	for (size_t i = 0; i < sizeof(near) / sizeof(*near); i++)
		sort(near[i]);
}
