/* SPDX-License-Identifier: Apache-2.0 */
/* See loading.h. */
#include <string.h>
#include <sys/stat.h>

#include "fs/model/loading.h"

#define SMALL_FILE (UINT64_C(64) << 20) /* bytes: larger files are no configuration */

int load_warn(struct loading *ld, const char *sentence, struct error *err)
{
	return !sentence || pairs_add(&ld->warnings, sentence, "") < 0 ? error_nomem(err) : 0;
}

void load_folder_mode(struct loading *ld, const char *path)
{
	struct stat st;

	if (stat(path, &st) == 0)
		ld->folders &= st.st_mode;
}

bool load_shows_through(const struct scan_entry *entry)
{
	static const char *const never[] = { ".safetensors", ".index.json", ".bin", ".ckpt" };
	const char *name = entry->name;

	if (!entry->is_file || entry->size > SMALL_FILE || strncmp(name, "rank_", 5) == 0)
		return false;
	if (strcmp(name, "param_name_map.json") == 0 || strcmp(name, ".gatherfs") == 0 || strcmp(name, "tensors") == 0)
		return false;
	for (size_t i = 0; i < sizeof(never) / sizeof(*never); i++)
		if (strcmp(name, never[i]) == 0 || scan_ends_in(name, never[i]))
			return false;
	return true;
}

static bool in_view(const struct view *view, const char *name)
{
	for (uint64_t i = 0; i < view->count; i++)
		if (strcmp(view->files[i].path, name) == 0)
			return true;
	return false;
}

int load_file(struct loading *ld, const char *dir, const char *name, struct error *err)
{
	struct model *m = ld->model;
	const char *own = arena_strndup(m->arena, name, strlen(name));
	const char *path = arena_printf(m->arena, "%s/%s", dir, name);
	struct image *image = image_new(m->arena, 1);
	uint32_t source = 0;

	if (in_view(&m->view, name))
		return 0;
	if (!own || !path || !image)
		return error_nomem(err);
	while (source < m->sources->count && strcmp(m->sources->list[source].path, path) != 0)
		source++;

	int code = source < m->sources->count ? 0 : source_open(m->sources, path, &source, err);

	if (code < 0)
		return code;
	image_add_range(image, (struct piece){ .source = source }, m->sources->list[source].stamp.size);
	return view_add(&m->view, m->arena, own, image, err);
}
