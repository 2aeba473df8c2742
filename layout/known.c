/* SPDX-License-Identifier: Apache-2.0 */
/* Files come by rank, so that the header of the last file is usually the one that is looked for. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "layout/known.h"
#include "layout/sharding.h"

static int by_address(const void *a, const void *b)
{
	const struct layout *x = *(const struct layout *const *)a, *y = *(const struct layout *const *)b;

	return (x > y) - (x < y);
}

/* Leaves the distinct ones of a sorted list. */
static uint32_t distinct(const struct layout **list, uint64_t count)
{
	uint32_t n = 0;

	for (uint64_t i = 0; i < count; i++)
		if (n == 0 || list[n - 1] != list[i])
			list[n++] = list[i];
	return n;
}

int known_new(const struct strategy *s, struct arena *arena, struct known *out)
{
	uint64_t count = s ? s->count : 0;

	*out = (struct known){ .arena = arena };
	out->layouts = arena_alloc(arena, count, sizeof(*out->layouts));
	out->layout_of = arena_alloc(arena, count, sizeof(*out->layout_of));
	if (!out->layouts || !out->layout_of)
		return -ENOMEM;
	for (uint64_t i = 0; i < count; i++)
		out->layouts[i] = s->entries[i].layout;
	qsort(out->layouts, count, sizeof(*out->layouts), by_address);
	out->layout_count = distinct(out->layouts, count);
	for (uint64_t i = 0; i < count; i++) {
		const struct layout **at = bsearch(&s->entries[i].layout, out->layouts, out->layout_count, sizeof(*at), by_address);

		out->layout_of[i] = (uint32_t)(at - out->layouts);
	}
	out->block = arena_alloc(arena, out->layout_count, sizeof(*out->block));
	return out->block ? 0 : -ENOMEM;
}

void known_set_rank(struct known *known, uint32_t local)
{
	for (uint32_t i = 0; i < known->layout_count; i++)
		known->block[i] = sharding_block(known->layouts[i], local);
}

const struct known_header *known_find(const struct known *known, uint64_t entries, uint32_t stage, uint64_t count)
{
	const struct known_header *h = entries ? known->newest : NULL;

	while (h && (h->entries != entries || h->stage != stage || h->count != count))
		h = h->older;
	return h;
}

struct known_header *known_make(struct known *known, uint64_t entries, uint32_t stage, uint64_t count)
{
	struct known_header *made = NULL;
	uint64_t bytes;

	if (__builtin_mul_overflow(count, sizeof(*made->number), &bytes) || __builtin_add_overflow(bytes, sizeof(*made), &bytes))
		return NULL;
	made = arena_alloc(known->arena, 1, bytes);
	if (made) {
		made->entries = entries;
		made->count = count;
		made->stage = stage;
	}
	return made;
}

void known_add(struct known *known, struct known_header *made)
{
	if (!made->entries)
		return;
	made->older = known->newest;
	known->newest = made;
}
