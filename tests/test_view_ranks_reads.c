/* SPDX-License-Identifier: Apache-2.0 */
/* Which blocks of a source tensor the rank views of a target strategy read. */
#include <criterion/criterion.h>
#include <string.h>

#include "layout/view/view.h"
#include "tests/small.h"

#define ROWS(name, n) SMALL_PARAM(name, "[" n "]", "[0, -1]")
#define COLS(name, n) SMALL_PARAM(name, "[" n "]", "[-1, 0]")

/* What rank views read of w [4, 8] and x [6, 2]: boxes {start, count} by axis. */
static const struct read {
	const char *target, *name;
	uint32_t ranks[2], count, axes;
	uint64_t shape[2];
	struct box box;
	bool reads;
} reads[] = {
	{ SMALL_STRATEGY(ROWS("0-w", "4")), "w", { 1 }, 1, 2, { 4, 8 }, { 2, { 1, 0 }, { 1, 8 } }, true },
	{ SMALL_STRATEGY(ROWS("0-w", "4")), "w", { 1 }, 1, 2, { 4, 8 }, { 2, { 0, 0 }, { 1, 8 } }, false }, /* boxes that touch share nothing */
	{ SMALL_STRATEGY(ROWS("0-w", "4")), "w", { 1 }, 1, 2, { 4, 8 }, { 2, { 2, 0 }, { 2, 8 } }, false },
	{ SMALL_STRATEGY(ROWS("0-w", "4")), "w", { 1 }, 1, 2, { 4, 8 }, { 2, { 0, 7 }, { 2, 1 } }, true },
	{ SMALL_STRATEGY(ROWS("0-w", "4")), "w", { 0, 2 }, 2, 2, { 4, 8 }, { 2, { 1, 0 }, { 1, 8 } }, false },
	{ SMALL_STRATEGY(ROWS("0-w", "4")), "w", { 0, 2 }, 2, 2, { 4, 8 }, { 2, { 1, 0 }, { 2, 8 } }, true },
	{ SMALL_STRATEGY(SMALL_PARAM("0-w", "[2, 2]", "[1, 0]")), "w", { 3 }, 1, 2, { 4, 8 }, { 2, { 2, 0 }, { 2, 4 } }, false },
	{ SMALL_STRATEGY(SMALL_PARAM("0-w", "[2, 2]", "[1, 0]")), "w", { 3 }, 1, 2, { 4, 8 }, { 2, { 0, 4 }, { 2, 4 } }, false },
	{ SMALL_STRATEGY(SMALL_PARAM("0-w", "[2, 2]", "[1, 0]")), "w", { 3 }, 1, 2, { 4, 8 }, { 2, { 0, 0 }, { 3, 5 } }, true },
	{ SMALL_STRATEGY(ROWS("0-w", "2")), "x", { 0 }, 1, 2, { 6, 2 }, { 2, { 0, 0 }, { 6, 2 } }, false },
	{ SMALL_STRATEGY(ROWS("0-w", "2") ", " COLS("1-w", "2")), "w", { 3 }, 1, 2, { 4, 8 }, { 2, { 0, 0 }, { 4, 4 } }, false },
	{ SMALL_STRATEGY(ROWS("0-w", "2") ", " COLS("1-w", "2")), "w", { 1, 3 }, 2, 2, { 4, 8 }, { 2, { 2, 0 }, { 1, 4 } }, true },
	{ SMALL_STRATEGY(ROWS("0-w", "3")), "w", { 0 }, 1, 2, { 4, 8 }, { 2, { 3, 0 }, { 1, 8 } }, true }, /* does not fit: refused later */
	{ SMALL_STRATEGY(ROWS("0-w", "2")), "w", { 0 }, 1, 1, { 4 }, { 1, { 3 }, { 1 } }, true },
	{ SMALL_STRATEGY(ROWS("0-w", "2")), "w", { 0 }, 1, 2, { 0, 8 }, { 2, { 0, 0 }, { 0, 8 } }, false },
};

Test(view_ranks, reads)
{
	for (size_t i = 0; i < sizeof(reads) / sizeof(*reads); i++) {
		const struct read *r = &reads[i];
		struct arena *arena = arena_new();
		struct view_rank_options o = { .target = small_strategy(r->target, arena), .ranks = r->ranks, .rank_count = r->count };

		cr_expect_eq(view_ranks_reads(&o, r->name, r->shape, r->axes, &r->box), r->reads, "%zu", i);
		cr_expect_eq(view_ranks_reads(&o, r->name, NULL, 0, NULL), strcmp(r->name, "w") == 0, "%zu: at all", i);
		arena_free(arena);
	}
}
