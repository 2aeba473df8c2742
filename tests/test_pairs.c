/* SPDX-License-Identifier: Apache-2.0 */
/* Pairs: the first value of a key stays, the order is that of first appearance, and everything is copied. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "layout/base/pairs.h"

Test(pairs, first_value_stays)
{
	struct arena *arena = arena_new();
	struct pairs pairs = pairs_new(arena);

	cr_assert_eq(pairs.names.count, 0);
	cr_assert_eq(pairs_add(&pairs, "format", "ms"), 0);
	cr_assert_eq(pairs_add(&pairs, "", "empty"), 0);
	cr_assert_eq(pairs_add(&pairs, "format", "pt"), 0);
	cr_assert_eq(pairs_add(&pairs, "w", ""), 0);
	cr_assert_eq(pairs.names.count, 3);
	cr_assert_str_eq(pairs.pair[0].key, "format");
	cr_assert_str_eq(pairs.pair[0].value, "ms");
	cr_assert_str_eq(pairs.pair[1].key, "");
	cr_assert_str_eq(pairs.pair[1].value, "empty");
	cr_assert_str_eq(pairs.pair[2].value, "");
	arena_free(arena);
}

Test(pairs, what_is_added_is_copied)
{
	struct arena *arena = arena_new();
	struct pairs pairs = pairs_new(arena);
	char key[] = "key", value[] = "value";

	cr_assert_eq(pairs_add(&pairs, key, value), 0);
	memset(key, 'x', 3);
	memset(value, 'x', 5);
	cr_assert_str_eq(pairs.pair[0].key, "key");
	cr_assert_str_eq(pairs.pair[0].value, "value");
	cr_assert_eq(names_find(&pairs.names, "key"), 0);
	arena_free(arena);
}

Test(pairs, many)
{
	enum { COUNT = 5000 };
	struct arena *arena = arena_new();
	struct pairs pairs = pairs_new(arena);

	for (int round = 0; round < 2; round++)
		for (uint32_t i = 0; i < COUNT; i++) {
			char key[32], value[32];

			snprintf(key, sizeof(key), "k%u", i);
			snprintf(value, sizeof(value), "%d.%u", round, i);
			cr_assert_eq(pairs_add(&pairs, key, value), 0);
		}
	cr_assert_eq(pairs.names.count, COUNT);
	for (uint32_t i = 0; i < COUNT; i++) {
		char key[32], value[32];

		snprintf(key, sizeof(key), "k%u", i);
		snprintf(value, sizeof(value), "0.%u", i);
		cr_assert_str_eq(pairs.pair[i].key, key);
		cr_assert_str_eq(pairs.pair[i].value, value);
	}
	arena_free(arena);
}
