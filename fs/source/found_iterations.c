/* SPDX-License-Identifier: Apache-2.0 */
/* See found_iterations.h. */
#include <string.h>

#include "fs/source/found_iterations.h"
#include "fs/source/iteration.h"

/* Names that a save leaves behind for a moment only. */
static bool is_temporary(const char *name)
{
	return name[0] == '.' || strncmp(name, "tmp", 3) == 0 || scan_ends_in(name, ".tmp");
}

static bool add(struct found_step *s, const char *path)
{
	s->paths[s->count++] = path;
	return path;
}

/* Whether an iteration without metadata.json is complete, the tracker tells, so it is one of its files. */
static int take(const struct iteration *it, const struct fence *fence, struct arena *arena, struct found_step *out, struct error *err)
{
	struct scan_list list;
	struct error ignored;
	bool described = false;

	*out = (struct found_step){ .step = { .counted = true, .step = it->number }, .name = it->name };
	if (scan_dir(it->path, fence, arena, &list, &ignored) < 0)
		list.count = 0; /* it is being deleted */
	out->paths = arena_alloc(arena, list.count + 1, sizeof(*out->paths));
	for (uint64_t i = 0; out->paths && i < list.count; i++) {
		const char *name = list.entries[i].name;

		if (!list.entries[i].is_file || is_temporary(name))
			continue;
		described |= strcmp(name, "metadata.json") == 0;
		if (!add(out, arena_printf(arena, "%s/%s", it->path, name)))
			return error_nomem(err);
	}
	return out->paths && (described || add(out, arena_printf(arena, "%s/../" ITERATION_TRACKER, it->path))) ? 0 : error_nomem(err);
}

/* Of two folders with one number, which only leading zeros can make, the first is shown. */
static int take_all(const struct iterations *its, struct arena *arena, struct ranks_folder *folders, struct found *out, struct error *err)
{
	int code = 0;

	for (uint64_t i = 0; code == 0 && i < its->count; i++) {
		folders[i] = (struct ranks_folder){ .rank = (uint32_t)i, .path = its->list[i].path };
		if (i == 0 || its->list[i].number != its->list[i - 1].number)
			code = take(&its->list[i], its->fence, arena, &out->steps[out->count++], err);
	}
	return code;
}

int found_iterations(const struct options *o, struct arena *arena, struct ranks *folders, struct found *out, struct error *err)
{
	struct scan_list entries;
	struct iterations its = { .count = 0 };
	struct ranks_folder *list;
	int code = o->source.count == 1 ? scan_dir(o->source.item[0], o->fence, arena, &entries, err) : 0;

	if (code == 0 && o->source.count == 1)
		code = iteration_scan(o->source.item[0], &entries, arena, &its, err);
	*out = (struct found){ .count = 0 };
	if (code < 0 || its.count == 0 || its.itself)
		return code;
	list = arena_alloc(arena, its.count, sizeof(*list));
	out->steps = arena_alloc(arena, its.count, sizeof(*out->steps));
	if (!list || !out->steps)
		return error_nomem(err);
	*folders = (struct ranks){ list, its.count };
	return take_all(&its, arena, list, out, err);
}
