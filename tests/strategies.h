/* SPDX-License-Identifier: Apache-2.0 */
/* Strategies for tests: read from the files of the source tree, united, described in one line, compared, and written again. */
#ifndef TESTS_STRATEGIES_H
#define TESTS_STRATEGIES_H

#include <criterion/criterion.h>

#include "layout/formats/strategy.h"
#include "tests/wire.h"

#define REAL "tests/oracle/real_strategies/"
#define CASES "tests/oracle/cases/"

static inline void strategies_says(const struct error *err, const char *const *parts)
{
	for (; *parts; parts++)
		cr_assert_not_null(strstr(err->msg, *parts), "\"%s\" is not in: %s", *parts, err->msg);
}

/* The message in the caller's `err` has all of these. */
#define SAYS(...) strategies_says(&err, (const char *const[]){ __VA_ARGS__, NULL })

static inline struct strategy_file strategies_read(struct arena *arena, const char *path)
{
	size_t len, n = strlen(path);
	uint8_t *all = wire_read(path, &len);
	struct bytes bytes = { .ptr = all, .len = len };
	struct strategy_file file;
	struct error err;
	bool json = strcmp(path + n - 5, ".json") == 0;

	cr_assert_not_null(all, "%s", path);
	cr_assert_eq((json ? strategy_parse_json : strategy_parse_pb)(bytes, arena, &file, &err), 0, "%s: %s", path, err.msg);
	free(all); /* nothing may point into it */
	file.path = path;
	return file;
}

static inline struct strategy *strategies_unite(struct arena *arena, const struct strategy_file *files, uint64_t count)
{
	struct strategy *s;
	struct error err;

	cr_assert_eq(strategy_unite(files, count, arena, &s, &err), 0, "%s", err.msg);
	return s;
}

static inline const struct layout *strategies_only(const struct strategy *s, const char *name)
{
	uint64_t count;
	const struct strategy_entry *e = strategy_find(s, name, &count);

	cr_assert(e && count == 1, "%s", name);
	return e->layout;
}

/* "dev|lists of positions, from the left|step|size|cuts" of a layout. */
static inline const char *strategies_text(const struct layout *l)
{
	static char out[256];
	const uint32_t *map = l->map;
	size_t at = 0;

	for (uint32_t i = 0; i < l->matrix_axes; i++)
		at += (size_t)sprintf(out + at, "%s%u", i ? "," : "", l->matrix[i]);
	at += (size_t)sprintf(out + at, l->nested ? "|nested " : "|");
	for (uint32_t a = 0; a < l->axes; a++) {
		at += (size_t)sprintf(out + at, "(");
		for (uint32_t i = 0; i < l->map_len[a]; i++)
			at += (size_t)sprintf(out + at, i ? ",%u" : "%u", *map++);
		at += (size_t)sprintf(out + at, ")");
	}
	at += (size_t)sprintf(out + at, "|%d|%d|", l->opt_step, l->opt_size);
	for (uint32_t a = 0; a < l->axes; a++)
		at += (size_t)sprintf(out + at, "%s%u", a ? "," : "", l->grid.cuts[a]);
	return out;
}

static inline void strategies_same(const struct strategy *a, const struct strategy *b)
{
	cr_assert(a->count == b->count && a->stages == b->stages && a->per_stage == b->per_stage);
	for (uint64_t i = 0; i < a->count; i++) {
		char one[256];

		cr_assert_str_eq(a->entries[i].name, b->entries[i].name);
		cr_assert_eq(a->entries[i].stage, b->entries[i].stage);
		strcpy(one, strategies_text(a->entries[i].layout));
		cr_assert_str_eq(one, strategies_text(b->entries[i].layout), "%s", a->entries[i].name);
	}
}

/* What is written is a merged file, and says the same as what was read. */
static inline void strategies_write_again(struct arena *arena, const struct strategy *s)
{
	struct strategy_file file;
	struct bytes out;
	struct error err;

	cr_assert_eq(strategy_write(s, arena, &out, &err), 0, "%s", err.msg);
	cr_assert_eq(strategy_parse_pb(out, arena, &file, &err), 0, "%s", err.msg);
	file.path = "written";
	cr_assert(file.merged);
	strategies_same(s, strategies_unite(arena, &file, 1));
}

#endif
