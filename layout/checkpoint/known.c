/* SPDX-License-Identifier: Apache-2.0 */
/* Files come by rank, so that the header of the last file is usually the one that is looked for. */
#include <errno.h>

#include "layout/checkpoint/known.h"
#include "layout/checkpoint/sharding.h"

int known_new(const struct strategy *s, struct arena *arena, struct known *out)
{
	uint32_t count = s ? s->layout_count : 0;

	*out = (struct known){ .arena = arena, .layout_count = count };
	out->layouts = arena_alloc(arena, count, sizeof(*out->layouts));
	out->block = arena_alloc(arena, count, sizeof(*out->block));
	if (!out->layouts || !out->block)
		return -ENOMEM;
	for (uint64_t i = 0; s && i < s->count; i++)
		out->layouts[s->entries[i].layout->number] = s->entries[i].layout;
	return 0;
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

	if (__builtin_mul_overflow(count, sizeof(*made->entry), &bytes) || __builtin_add_overflow(bytes, sizeof(*made), &bytes))
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
