/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers of names: dense, in the order of first appearance, through every growth of the table. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "layout/base/names.h"

Test(names, an_empty_table_has_none)
{
	struct arena *arena = arena_new();
	struct names names = names_new(arena);

	cr_assert_eq(names_find(&names, ""), NAMES_NONE);
	cr_assert_eq(names_find(&names, "a"), NAMES_NONE);
	cr_assert_eq(names.count, 0);
	arena_free(arena);
}

Test(names, the_first_of_equal_names_stays)
{
	struct arena *arena = arena_new();
	struct names names = names_new(arena);
	char a[] = "model.w", same[] = "model.w";

	cr_assert_eq(names_add(&names, a), 0);
	cr_assert_eq(names_add(&names, "model.w.bias"), 1);
	cr_assert_eq(names_add(&names, ""), 2);
	cr_assert_eq(names_add(&names, same), 0);
	cr_assert_eq(names_find(&names, same), 0);
	cr_assert_eq(names_find(&names, ""), 2);
	cr_assert_eq(names_find(&names, "model."), NAMES_NONE);
	cr_assert(names.name[0] == a && names.count == 3);
	arena_free(arena);
}

/* Odd numbers are added, even ones are not there: after each growth, all of them are looked up again. */
Test(names, numbers_survive_growth)
{
	enum { COUNT = 20000 };
	struct arena *arena = arena_new();
	struct names names = names_new(arena);

	for (uint32_t i = 0; i < COUNT; i++) {
		cr_assert_eq(names_add(&names, arena_printf(arena, "layers.%u.weight", 2 * i + 1)), i);
		if ((i & (i + 1)) != 0 && i + 1 != COUNT)
			continue;
		for (uint32_t j = 0; j <= i; j++) {
			char name[64];

			snprintf(name, sizeof(name), "layers.%u.weight", 2 * j + 1);
			cr_assert_eq(names_find(&names, name), j);
			snprintf(name, sizeof(name), "layers.%u.weight", 2 * j);
			cr_assert_eq(names_find(&names, name), NAMES_NONE);
		}
	}
	cr_assert_eq(names.count, COUNT);
	for (uint32_t i = 0; i < COUNT; i++)
		cr_assert_eq(names_find(&names, names.name[i]), i);
	arena_free(arena);
}

/* A copy of the table is a table of its own only until it grows; the builder copies empty ones. */
Test(names, copies_of_an_empty_table_are_apart)
{
	struct arena *arena = arena_new();
	struct names a = names_new(arena), b = a;

	names_add(&a, "a");
	cr_assert_eq(names_find(&b, "a"), NAMES_NONE);
	cr_assert_eq(names_add(&b, "b"), 0);
	cr_assert_eq(names_find(&a, "b"), NAMES_NONE);
	arena_free(arena);
}
