/* SPDX-License-Identifier: Apache-2.0 */
/* The keys' table numbers the pairs; the array beside it doubles. */
#include <errno.h>
#include <string.h>

#include "layout/pairs.h"

struct pairs pairs_new(struct arena *arena)
{
	return (struct pairs){ .names = names_new(arena) };
}

static bool make_room(struct pairs *pairs)
{
	uint32_t have = pairs->names.count, room = have ? have * 2 : 16;

	if (have < pairs->room)
		return true;

	struct pair *bigger = arena_alloc(pairs->names.arena, room, sizeof(*bigger));

	if (!bigger)
		return false;
	if (have)
		memcpy(bigger, pairs->pair, have * sizeof(*bigger));
	pairs->pair = bigger;
	pairs->room = room;
	return true;
}

int pairs_add(struct pairs *pairs, const char *key, const char *value)
{
	if (names_find(&pairs->names, key) != NAMES_NONE)
		return 0;

	char *own = arena_strndup(pairs->names.arena, key, strlen(key));
	char *text = arena_strndup(pairs->names.arena, value, strlen(value));

	if (!own || !text || !make_room(pairs) || names_add(&pairs->names, own) == NAMES_NONE)
		return -ENOMEM;
	pairs->pair[pairs->names.count - 1] = (struct pair){ own, text };
	return 0;
}
