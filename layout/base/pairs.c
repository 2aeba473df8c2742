/* SPDX-License-Identifier: Apache-2.0 */
/* The keys' table numbers the pairs; the array beside it doubles. */
#include <errno.h>
#include <string.h>

#include "layout/base/pairs.h"

struct pairs pairs_new(struct arena *arena)
{
	return (struct pairs){ .names = names_new(arena) };
}

int pairs_add(struct pairs *pairs, const char *key, const char *value)
{
	if (names_find(&pairs->names, key) != NAMES_NONE)
		return 0;

	char *own = arena_strndup(pairs->names.arena, key, strlen(key));
	char *text = arena_strndup(pairs->names.arena, value, strlen(value));
	struct pair *pair = arena_grow(pairs->names.arena, pairs->pair, pairs->names.count, &pairs->room, sizeof(*pair));

	if (!own || !text || !pair || names_add(&pairs->names, own) == NAMES_NONE)
		return -ENOMEM;
	pairs->pair = pair;
	pairs->pair[pairs->names.count - 1] = (struct pair){ own, text };
	return 0;
}
