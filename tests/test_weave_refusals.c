/* SPDX-License-Identifier: Apache-2.0 */
/* What a weave must not be: one that is good spoilt in one place, and the words that refuse it. */
#include <criterion/criterion.h>
#include <errno.h>

#include "layout/names/weave.h"

/* What a weave must not be, each made from a good one of two parts: [2, 6], from "a" [6] and "b" [2, 6]. */
static struct tensor bad_a, bad_b;

static void no_parts(struct weave *w, struct weave_part *p) { (void)p; w->count = 0; }
static void no_factors(struct weave *w, struct weave_part *p) { (void)p; w->factors = 0; }
static void skipped_axis(struct weave *w, struct weave_part *p) { (void)p; w->of[1] = 2; }
static void many_factors(struct weave *w, struct weave_part *p) { (void)p; w->factors = WEAVE_FACTORS + 1; }
static void past_factor(struct weave *w, struct weave_part *p) { (void)w; p[1].start[0] = 2; }
static void far_start(struct weave *w, struct weave_part *p) { (void)w; p[1].start[0] = UINT64_MAX; }
static void empty_part(struct weave *w, struct weave_part *p) { (void)w; p[1].count[0] = 0; }
static void other_axis(struct weave *w, struct weave_part *p) { (void)w; p[0].axis[1] = 1; }
static void wild_axis(struct weave *w, struct weave_part *p) { (void)w; p[0].axis[0] = WEAVE_FACTORS; }
static void past_source(struct weave *w, struct weave_part *p) { (void)w; p[0].base[0] = 1; }
static void no_step(struct weave *w, struct weave_part *p) { (void)w; p[0].step[1] = 0; }
static void long_step(struct weave *w, struct weave_part *p) { (void)w; p[0].step[1] = UINT64_MAX; }
static void overlapping(struct weave *w, struct weave_part *p) { (void)w; p[1].start[0] = 0; }
static void hole(struct weave *w, struct weave_part *p) { (void)p; w->count = 1; }
static void other_type(struct weave *w, struct weave_part *p) { (void)w; (void)p; bad_b.dtype = DTYPE_I32; }
static void half_bytes(struct weave *w, struct weave_part *p) { (void)w; (void)p; bad_a.dtype = bad_b.dtype = DTYPE_F4; }
static void of_woven(struct weave *w, struct weave_part *p) { (void)p; static struct woven any; any.weave = w; bad_a.woven = &any; }
static void huge(struct weave *w, struct weave_part *p) { (void)p; w->shape[0] = w->shape[1] = UINT64_MAX; }

static const struct {
	void (*spoil)(struct weave *w, struct weave_part *p);
	const char *says;
} bad[] = {
	{ no_parts, "tensor \"t\": it has no parts" },
	{ no_factors, "tensor \"t\": its 0 factors are not those of its axes in order" },
	{ skipped_axis, "tensor \"t\": its 2 factors are not those of its axes in order" },
	{ many_factors, "tensor \"t\": its 9 factors are not those of its axes in order" },
	{ past_factor, "tensor \"t\": the part from \"b\" is empty or passes factor 0, which has 2" },
	{ far_start, "tensor \"t\": the part from \"b\" is empty or passes factor 0, which has 2" },
	{ empty_part, "tensor \"t\": the part from \"b\" is empty or passes factor 0, which has 2" },
	{ other_axis, "tensor \"t\": factor 1 steps nowhere in \"a\"" },
	{ wild_axis, "tensor \"t\": factor 0 steps along axis 8 of \"a\"" },
	{ past_source, "tensor \"t\": it needs element 6 on axis 0 of \"a\", which has 6" },
	{ no_step, "tensor \"t\": factor 1 steps nowhere in \"a\"" },
	{ long_step, "tensor \"t\": factor 1 steps nowhere in \"a\"" },
	{ overlapping, "tensor \"t\": the parts from \"a\" and \"b\" overlap" },
	{ hole, "tensor \"t\": its parts give 6 of 12 elements" },
	{ other_type, "tensor \"t\": \"a\" is F32, but \"b\" is I32" },
	{ half_bytes, "tensor \"t\": \"a\" of F4 and 1 axes cannot be a part" },
	{ of_woven, "tensor \"t\": \"a\" of F32 and 1 axes cannot be a part" },
	{ huge, "tensor \"t\": its shape overflows" },
};

Test(weave, refusals)
{
	const uint64_t six[1] = { 6 }, pairs[2] = { 2, 6 };

	for (size_t i = 0; i <= sizeof(bad) / sizeof(*bad); i++) {
		struct weave_part part[2] = {
			{ .start = { 0, 0 }, .count = { 1, 6 }, .axis = { 0, 0 }, .step = { 0, 1 } },
			{ .start = { 1, 0 }, .count = { 1, 6 }, .axis = { 0, 1 }, .step = { 0, 1 } },
		};
		const struct tensor *of[2] = { &bad_a, &bad_b };
		struct weave w = { .factors = 2, .shape = { 2, 6 }, .of = { 0, 1 }, .parts = part, .count = 2 };
		struct woven made_of = { &w, of };
		struct arena *arena = arena_new();
		struct tensor out;
		struct error err;

		bad_a = (struct tensor){ .name = "a", .shape = six, .axes = 1, .dtype = DTYPE_F32 };
		bad_b = (struct tensor){ .name = "b", .shape = pairs, .axes = 2, .dtype = DTYPE_F32 };
		if (i == sizeof(bad) / sizeof(*bad)) {
			cr_assert_eq(weave_make("t", &made_of, arena, &out, &err), 0, "%s", err.msg);
		} else {
			bad[i].spoil(&w, part);
			cr_assert_eq(weave_make("t", &made_of, arena, &out, &err), -EINVAL, "case %zu", i);
			cr_assert_str_eq(err.msg, bad[i].says);
		}
		arena_free(arena);
	}
}
