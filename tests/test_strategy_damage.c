/* SPDX-License-Identifier: Apache-2.0 */
/* Strategy files cut off and damaged anywhere. */
#include <criterion/criterion.h>
#include <errno.h>

#include "tests/strategies.h"

static struct error err;

/* A copy that ends where the bytes end, so that a sanitizer sees a read behind them. */
static int parse_copy(const uint8_t *ptr, size_t len, struct arena *arena, struct strategy_file *f)
{
	uint8_t *copy = malloc(len ? len : 1);
	int code;

	memcpy(copy, ptr, len);
	code = strategy_parse_pb((struct bytes){ .ptr = copy, .len = len }, arena, f, &err);
	free(copy);
	return code;
}

/* A file that was cut off parses only where a parameter ends: as many times as there are parameters, the whole file included. */
Test(strategy, cut_off_anywhere)
{
	static const char *const paths[] = { REAL "layout_opt.ckpt", REAL "moe_mp2.ckpt", REAL "stack_pp2_opt2_stage1.ckpt" };

	for (size_t i = 0; i < sizeof(paths) / sizeof(*paths); i++) {
		uint64_t accepted = 0, last = 0;
		size_t len;
		uint8_t *all = wire_read(paths[i], &len);

		for (size_t n = 0; n <= len; n++) {
			struct arena *arena = arena_new();
			struct strategy_file f;
			int code = parse_copy(all, n, arena, &f);

			cr_assert(code == 0 || (code == -EINVAL && *err.msg), "%s, %zu bytes", paths[i], n);
			if (code == 0) {
				cr_assert_eq(f.count, ++accepted, "%s, %zu bytes", paths[i], n);
				last = n;
			}
			arena_free(arena);
		}
		cr_assert(last == len && accepted >= 6, "%s", paths[i]);
		free(all);
	}
}

/* Damaged files are refused or understood, never worse. */
Test(strategy, damaged_anywhere)
{
	uint64_t seed = 1, understood = 0;
	size_t len;
	uint8_t *all = wire_read(REAL "layout_opt.ckpt", &len);

	for (int i = 0; i < 20000; i++) {
		struct arena *arena = arena_new();
		struct strategy_file f;
		struct strategy *s;
		uint8_t *bad = malloc(len);

		memcpy(bad, all, len);
		for (int n = 0; n <= i % 3; n++) {
			seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
			bad[(seed >> 33) % len] = (uint8_t)(seed >> 25);
		}
		if (parse_copy(bad, len, arena, &f) == 0) {
			f.path = "damaged";
			if (strategy_unite(&f, 1, arena, &s, &err) == 0) {
				strategies_write_again(arena, s);
				understood++;
			}
		}
		free(bad);
		arena_free(arena);
	}
	cr_assert(understood > 100 && understood < 20000, "%d", (int)understood);
	free(all);
}
