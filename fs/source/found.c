/* SPDX-License-Identifier: Apache-2.0 */
/* See found.h. */
#include <stdlib.h>
#include <string.h>

#include "fs/source/found.h"

/* One file of one rank folder. */
struct item {
	struct step step;
	uint64_t folder;
	const char *name;
};

/* Newest first, then in the order of the folders and their names. */
static int compare(const void *left, const void *right)
{
	const struct item *a = left, *b = right;
	int order = step_compare(&b->step, &a->step);

	if (order == 0)
		order = a->folder < b->folder ? -1 : a->folder > b->folder;
	return order ? order : strcmp(a->name, b->name);
}

static struct item *list_all(const struct ranks *ranks, struct arena *arena, uint64_t *count)
{
	struct item *items;
	uint64_t n = 0;

	for (uint64_t i = 0; i < ranks->count; i++)
		n += ranks->folders[i].count;
	*count = n;
	items = arena_alloc(arena, n, sizeof(*items));
	n = 0;
	for (uint64_t i = 0; items && i < ranks->count; i++)
		for (uint64_t j = 0; j < ranks->folders[i].count; j++) {
			const char *name = ranks->folders[i].names[j];

			items[n++] = (struct item){ step_parse(name), i, name };
		}
	return items;
}

static bool begin(struct found_step *s, const struct item *item, const struct ranks *ranks, struct arena *arena)
{
	s->step = item->step;
	s->name = ranks_step_name(&item->step, arena);
	s->paths = arena_alloc(arena, ranks->count, sizeof(*s->paths));
	if (!item->step.counted)
		s->problem = "its files have no EPOCH_STEP in their names";
	return s->name && s->paths;
}

static bool add(struct found_step *s, const struct item *item, const struct ranks *ranks, struct arena *arena)
{
	const char *folder = ranks->folders[item->folder].path, **path = &s->paths[item->folder];

	if (*path) {
		s->problem = arena_printf(arena, "%s and %s in %s are of one step", strrchr(*path, '/') + 1, item->name, folder);
		return s->problem;
	}
	*path = arena_printf(arena, "%s/%s", folder, item->name);
	s->count++;
	return *path;
}

int found_steps(const struct ranks *ranks, struct arena *arena, struct found *out, struct error *err)
{
	uint64_t count;
	struct item *items = list_all(ranks, arena, &count);

	out->count = 0;
	out->steps = arena_alloc(arena, count, sizeof(*out->steps));
	if (!items || !out->steps)
		return error_nomem(err);
	qsort(items, count, sizeof(*items), compare);
	for (uint64_t i = 0; i < count; i++) {
		bool first = i == 0 || step_compare(&items[i].step, &items[i - 1].step) != 0;

		if (first && !begin(&out->steps[out->count++], &items[i], ranks, arena))
			return error_nomem(err);
		if (!add(&out->steps[out->count - 1], &items[i], ranks, arena))
			return error_nomem(err);
	}
	return 0;
}
