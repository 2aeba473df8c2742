/* SPDX-License-Identifier: Apache-2.0 */
/* Copies of blocks: how they are walked, grouped, cut into chunks and put into the order of the files. */
#include "layout/checkpoint/describe.h"
#include "layout/checkpoint/replicas.h"
#include "tests/small.h"

#define F32(name, ...) { name, DTYPE_F32, sizeof((uint64_t[]){ __VA_ARGS__ }) / 8, { __VA_ARGS__ } }

/* w is shared by two stages of two ranks that cut it alike, v cut differently; x is outside. */
#define SHARED SMALL_STRATEGY(SMALL_PARAM("0-w", "[2]", "[0, -1]") ", " SMALL_PARAM("1-w", "[2]", "[0, -1]") ", " \
			      SMALL_PARAM("0-v", "[2]", "[0, -1]") ", " SMALL_PARAM("1-v", "[2]", "[-1, 0]"))

static struct checkpoint *build(const struct small *small, struct arena *arena)
{
	struct checkpoint *ckpt;
	struct error err;

	cr_assert_eq(small_build(small, arena, &ckpt, &err), 0, "%s", err.msg);
	return ckpt;
}

static const struct small shared = {
	.strategy = SHARED, .keep_copies = true,
	.file = { { "rank_0", 0, { F32("w", 2, 4), F32("v", 2, 4), F32("x", 3) } }, { "rank_1", 1, { F32("w", 2, 4), F32("v", 2, 4) } },
		  { "rank_2", 2, { F32("w", 2, 4), F32("v", 4, 2), F32("x", 3) } }, { "rank_3", 3, { F32("w", 2, 4), F32("v", 4, 2) } } }
};

Test(replicas, groups)
{
	static const struct {
		const char *name;
		uint32_t rank, block;
		uint64_t group;
		bool outside;
	} want[] = {
		{ "v", 2, 0, 0, false }, { "v", 3, 1, 1, false }, { "v", 0, 0, 2, false }, { "v", 1, 1, 3, false }, /* cuts 1x2, then 2x1 */
		{ "w", 0, 0, 4, false }, { "w", 2, 0, 4, false }, { "w", 1, 1, 6, false }, { "w", 3, 1, 6, false },
		{ "x", 0, 0, 8, true }, { "x", 2, 0, 8, true },
	};
	struct arena *arena = arena_new();
	struct replicas r;

	cr_assert_eq(replicas_make(build(&shared, arena), arena, &r), 0);
	cr_assert_eq(r.count, sizeof(want) / sizeof(*want));
	for (uint64_t i = 0; i < r.count; i++) {
		cr_expect_str_eq(r.list[i].tensor->name, want[i].name);
		cr_expect_eq(r.list[i].copy.rank, want[i].rank, "%llu: rank %u", (unsigned long long)i, r.list[i].copy.rank);
		cr_expect_eq(r.list[i].copy.block, want[i].block);
		cr_expect_eq(r.list[i].group, want[i].group, "%llu: group %llu", (unsigned long long)i, (unsigned long long)r.list[i].group);
		cr_expect_eq(r.list[i].outside, want[i].outside);
		cr_expect_eq(replicas_is_compared(&r, i), i >= 4);
	}
	cr_expect_eq(replicas_group_end(&r, 4), 6);
	cr_expect_eq(replicas_group_end(&r, 8), 10);
	cr_expect_eq(r.bytes, 8 * 32 + 2 * 12);
	arena_free(arena);
}

/* A large tensor, a small one and an empty one, of two files. */
Test(replicas, chunks_and_tasks)
{
	struct small small = { .kind = CHECKPOINT_REPLICATED, .keep_copies = true,
			       .file = { { "rank_0", 0, { F32("small", 5), F32("large", 13, 1 << 20), F32("none", 0) } },
					 { "rank_1", 1, { F32("large", 13, 1 << 20) } } } };
	struct arena *arena = arena_new();
	uint64_t at = 0, chunk = 0;
	struct replicas r;

	cr_assert_eq(replicas_make(build(&small, arena), arena, &r), 0);
	cr_assert_eq(r.count, 4);
	cr_assert_eq(r.chunk_count, 2 * 9 + 1); /* 52 MiB in chunks of 6 */
	for (uint64_t i = 0; i < r.count; i++) {
		cr_assert_eq(r.list[i].first_chunk, chunk);
		for (at = 0; chunk < r.list[i + 1].first_chunk; at += r.chunks[chunk++].len) {
			cr_expect_eq(r.chunks[chunk].replica, i);
			cr_expect_eq(r.chunks[chunk].at, at);
			cr_expect_eq(r.chunks[chunk].address, r.list[i].copy.piece.offset + at);
			cr_expect(r.chunks[chunk].len == REPLICAS_CHUNK || at + r.chunks[chunk].len == r.list[i].bytes);
		}
		cr_assert_eq(at, r.list[i].bytes);
	}
	for (uint64_t i = 1; i < r.chunk_count; i++) {
		const struct replica_chunk *a = &r.chunks[r.order[i - 1]], *b = &r.chunks[r.order[i]];

		cr_expect(a->source < b->source || (a->source == b->source && a->address + a->len <= b->address), "order %llu", (unsigned long long)i);
	}
	cr_assert_eq(r.tasks[0], 0);
	cr_assert_eq(r.tasks[r.task_count], r.chunk_count);
	cr_assert_eq(r.task_count, 2 * 3);
	for (uint64_t t = 0; t < r.task_count; t++)
		for (uint64_t i = r.tasks[t] + 1; i < r.tasks[t + 1]; i++)
			cr_expect_eq(r.chunks[r.order[i]].source, r.chunks[r.order[r.tasks[t]]].source);
	arena_free(arena);
}

Test(replicas, index_of_an_element)
{
	struct arena *arena = arena_new();
	uint64_t index[BOX_AXES];
	struct replicas r;

	cr_assert_eq(replicas_make(build(&shared, arena), arena, &r), 0);
	replicas_index(&r.list[1], 5, index); /* v of rank 3: the columns 2, 3 */
	cr_expect(index[0] == 2 && index[1] == 3);
	replicas_index(&r.list[7], 6, index); /* w of rank 3: the rows 2, 3 */
	cr_expect(index[0] == 3 && index[1] == 2);
	arena_free(arena);
}

Test(replicas, difference)
{
	static const struct {
		enum dtype dtype;
		uint64_t bit, element;
	} cases[] = {
		{ DTYPE_F32, 0, 0 }, { DTYPE_F32, 31, 0 }, { DTYPE_F32, 32, 1 }, { DTYPE_F64, 191, 2 }, { DTYPE_U8, 17, 2 }, { DTYPE_BF16, 16, 1 },
		{ DTYPE_F4, 0, 0 }, { DTYPE_F4, 3, 0 }, { DTYPE_F4, 4, 1 }, { DTYPE_F4, 191, 47 },
		{ DTYPE_F6_E2M3, 5, 0 }, { DTYPE_F6_E2M3, 6, 1 }, { DTYPE_F6_E2M3, 11, 1 }, { DTYPE_F6_E2M3, 12, 2 }, { DTYPE_F6_E3M2, 191, 31 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		uint8_t a[24] = { 1, 2, 3 }, b[24] = { 1, 2, 3 };

		cr_expect_eq(replicas_difference(cases[i].dtype, a, b, sizeof(a)), UINT64_MAX);
		b[cases[i].bit / 8] ^= (uint8_t)(1 << cases[i].bit % 8);
		cr_expect_eq(replicas_difference(cases[i].dtype, a, b, sizeof(a)), cases[i].element, "%s bit %llu", dtype_name(cases[i].dtype),
			     (unsigned long long)cases[i].bit);
	}
}

/* What a tensor has where its holdings are not known: its pieces. */
Test(replicas, copies_without_holdings)
{
	struct small small = shared;
	struct arena *arena = arena_new();
	const struct checkpoint *ckpt;
	struct copies walk;
	struct copies_one one;

	small.keep_copies = false;
	ckpt = build(&small, arena);
	walk = copies_of(&ckpt->tensors[1]);
	cr_assert_eq(copies_count(&ckpt->tensors[1]), 2);
	for (uint32_t i = 0; i < 2; i++) {
		cr_assert(copies_next(&walk, &one));
		cr_expect(one.block == i && one.rank == COPIES_NO_RANK && one.serves && one.piece.source == 10 + i);
	}
	cr_expect(!copies_next(&walk, &one));
	arena_free(arena);
}

static void says(void (*describe)(struct text *, const struct tensor *), const struct tensor *t, const char *want)
{
	struct text text = TEXT_EMPTY;

	describe(&text, t);
	cr_expect_str_eq(text.ptr, want, "got \"%s\", want \"%s\"", text.ptr, want);
	text_free(&text);
}

Test(replicas, described)
{
	struct arena *arena = arena_new();
	const struct checkpoint *ckpt = build(&shared, arena);
	static const uint32_t ranks[] = { 0, 2, 3, 4, 9 };
	struct text text = TEXT_EMPTY;

	says(describe_ranks, &ckpt->tensors[1], "0-3");
	says(describe_ranks, &ckpt->outside[0], "0+2");
	says(describe_json, &ckpt->tensors[0], "\"name\": \"v\", \"dtype\": \"F32\", \"shape\": [4, 4], \"elements\": 16, \"bytes\": 64, \"cuts\": [2, 1], "
	     "\"holdings\": [{\"stage\": 0, \"device_matrix\": [2], \"tensor_map\": [[0], []], \"opt_shards\": 1, \"ranks\": [0, 1]}, "
	     "{\"stage\": 1, \"device_matrix\": [2], \"tensor_map\": [[], [0]], \"opt_shards\": 1, \"ranks\": [2, 3]}]");
	cr_expect_eq(describe_held_bytes(&ckpt->tensors[0]), 128);
	describe_rank_list(&text, ranks, 5);
	describe_rank_list(&text, ranks, 0);
	describe_cuts(&text, &ckpt->tensors[0].grid);
	describe_cuts(&text, &ckpt->outside[0].grid);
	cr_expect_str_eq(text.ptr, "0+2-4+9-2x1whole");
	text_free(&text);
	arena_free(arena);
}
