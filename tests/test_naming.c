/* SPDX-License-Identifier: Apache-2.0 */
/* Which line of a recipe the names of a checkpoint are taken for; test_convert.c compares that with a search for all recipes there are. */
#include <criterion/criterion.h>

#include "layout/names/naming.h"

/* Names that two lines have are the first one's, and names that begin as optimizer state are that, whatever the names before them were. */
Test(naming, names_that_two_lines_have)
{
	static const char text[] = "family f\noptimizer s1.\nindex i 0 2\nindex k 0 4\nnames legacy\na.{i} x.{i}\na.{k} y.{k}\ns{k}.w z.{k}\nw v\n";
	static const struct {
		const char *name;
		uint64_t line; /* 0: state, which has none */
	} tensors[] = { { "a.2", 7 }, { "a.3", 7 }, { "a.0", 6 }, { "a.1", 6 }, { "s0.w", 8 }, { "s2.w", 8 }, { "s1.w", 0 }, { "w", 9 } };
	enum { COUNT = sizeof(tensors) / sizeof(*tensors) };
	struct arena *arena = arena_new();
	struct naming_match matches[COUNT];
	struct tensor t[COUNT] = { 0 };
	struct figures_config config = { 0 };
	struct naming_form form;
	struct figures figures;
	struct recipe *r;
	struct error err;

	for (int i = 0; i < COUNT; i++)
		t[i].name = tensors[i].name;
	cr_assert_eq(recipe_parse((struct bytes){ (const uint8_t *)text, strlen(text) }, arena, &r, &err), 0, "%s", err.msg);
	cr_assert_eq(figures_read(r, &config, arena, &figures, &err), 0, "%s", err.msg);
	cr_assert_eq(naming_recognise(&figures, t, COUNT, RECIPE_LEGACY, matches, &form, &err), 0, "%s", err.msg);
	for (int i = 0; i < COUNT; i++)
		cr_assert_eq(matches[i].line ? matches[i].line->number : 0, tensors[i].line, "%s", tensors[i].name);
	arena_free(arena);
}
