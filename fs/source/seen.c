/* SPDX-License-Identifier: Apache-2.0 */
/* See seen.h. */
#include <string.h>

#include "fs/source/seen.h"

int seen_note(const struct found_step *found, uint64_t ranks, struct arena *arena, struct seen *out, struct error *err)
{
	*out = (struct seen){ .files = arena_alloc(arena, found->count, sizeof(*out->files)) };
	if (!out->files)
		return error_nomem(err);
	for (uint64_t i = 0; i < ranks; i++) {
		struct seen_file *file = &out->files[out->count];

		if (!found->paths[i])
			continue;
		file->path = arena_strndup(arena, found->paths[i], strlen(found->paths[i]));
		if (!file->path)
			return error_nomem(err);
		source_look(file->path, &file->stamp); /* one that is gone already keeps a stamp that no file has */
		out->count++;
	}
	return 0;
}

static bool is_same_file(const char *path, const struct source_stamp *stamp)
{
	struct source_stamp now;

	return source_look(path, &now) == 0 && source_same(&now, stamp);
}

bool seen_has(const struct seen *seen, const struct found_step *found, uint64_t ranks)
{
	uint64_t at = 0;

	for (uint64_t i = 0; i < ranks; i++) {
		const char *path = found->paths[i];

		while (path && at < seen->count && strcmp(path, seen->files[at].path) != 0)
			at++;
		if (path && (at == seen->count || !is_same_file(path, &seen->files[at].stamp)))
			return false;
	}
	return true;
}

bool seen_sources(const struct sources *sources)
{
	for (uint32_t i = 0; i < sources->count; i++)
		if (!is_same_file(sources->list[i].path, &sources->list[i].stamp))
			return false;
	return true;
}
