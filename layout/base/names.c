/* SPDX-License-Identifier: Apache-2.0 */
/* Open addressing over XXH3, at most half full. Growing leaves the old arrays to the arena: twice the size in all. */
#include <string.h>
#include <xxhash.h>

#include "layout/base/names.h"

struct names names_new(struct arena *arena)
{
	return (struct names){ .arena = arena };
}

/* The slot that holds `name`, or the empty one where it belongs. */
static uint32_t *probe(const struct names *names, const char *name)
{
	uint64_t mask = (UINT64_C(1) << names->bits) - 1, at = XXH3_64bits(name, strlen(name)) & mask;

	while (names->slot[at] && strcmp(names->name[names->slot[at] - 1], name) != 0)
		at = (at + 1) & mask;
	return &names->slot[at];
}

uint32_t names_find(const struct names *names, const char *name)
{
	return names->capacity ? *probe(names, name) - 1 : NAMES_NONE;
}

static bool grow(struct names *names)
{
	struct names next = *names;

	next.bits = names->bits ? names->bits + 1 : 6;
	next.capacity = UINT32_C(1) << (next.bits - 1);
	next.name = arena_alloc(names->arena, next.capacity, sizeof(*next.name));
	next.slot = arena_alloc(names->arena, UINT64_C(1) << next.bits, sizeof(*next.slot));
	if (!next.name || !next.slot)
		return false;
	for (uint32_t i = 0; i < names->count; i++) {
		next.name[i] = names->name[i];
		*probe(&next, next.name[i]) = i + 1;
	}
	*names = next;
	return true;
}

uint32_t names_add(struct names *names, const char *name)
{
	uint32_t *slot = names->capacity ? probe(names, name) : NULL;

	if (slot && *slot)
		return *slot - 1;
	if (names->count == names->capacity) {
		if (names->bits == 31 || !grow(names))
			return NAMES_NONE;
		slot = probe(names, name);
	}
	names->name[names->count] = name;
	*slot = names->count + 1;
	return names->count++;
}
