/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Building the tree: the paths are sorted so that a folder's files are neighbours, then folders are filled one after the other
 * in the order in which they were found. A folder stands for a range of sorted paths; its children are the different names in
 * that range, and they land at the end of the array, next to each other and sorted. Nothing is recursive and nothing is searched.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/model/tree.h"

#define NAME_LONGEST 255 /* bytes, what Linux takes */

/* While the tree is built, a folder's part of the sorted paths. */
struct range {
	uint64_t lo, hi;
	uint64_t skip; /* bytes of the folder's own path, with the slash behind it */
};

struct build {
	struct tree_file *files; /* [count], sorted by path */
	uint64_t count;
	struct range *ranges;    /* [capacity] by node */
	struct tree_node *nodes; /* [capacity] */
	uint64_t used, capacity;
	struct arena *arena;
	struct error *err;
};

/* Bytes, but a slash comes before everything else: then all that is below a folder stands together. */
static int compare_paths(const void *left, const void *right)
{
	const unsigned char *a = (const void *)((const struct tree_file *)left)->path;
	const unsigned char *b = (const void *)((const struct tree_file *)right)->path;

	while (*a && *a == *b)
		a++, b++;

	int x = *a == '/' ? 1 : *a ? *a + 1 : 0, y = *b == '/' ? 1 : *b ? *b + 1 : 0;

	return x - y;
}

static int check_name(const char *path, const char *name, uint64_t len, struct error *err)
{
	if (len == 0 || (len <= 2 && strncmp(name, "..", len) == 0))
		return error_set(err, -EINVAL, "a file cannot be shown as \"%s\": \"%.*s\" is no name", path, (int)len, name);
	if (len > NAME_LONGEST)
		return error_set(err, -ENAMETOOLONG, "a file cannot be shown as \"%s\": a name has %u bytes, at most %d are possible",
				 path, (unsigned)len, NAME_LONGEST);
	return 0;
}

/* Checks every name of `path` and adds how many there are to *names. */
static int check_path(const char *path, uint64_t *names, struct error *err)
{
	for (const char *name = path;;) {
		const char *end = strchrnul(name, '/');
		int rc = check_name(path, name, (uint64_t)(end - name), err);

		if (rc < 0)
			return rc;
		++*names;
		if (!*end)
			return 0;
		name = end + 1;
	}
}

/* Makes room for all nodes: at most one for each name of each path. */
static int prepare(struct build *b)
{
	uint64_t names = 1;

	for (uint64_t i = 0; i < b->count; i++) {
		int rc = check_path(b->files[i].path, &names, b->err);

		if (rc < 0)
			return rc;
	}
	if (names > UINT32_MAX)
		return error_set(b->err, -E2BIG, "more names than a mount can number");
	qsort(b->files, b->count, sizeof(*b->files), compare_paths);
	b->capacity = names;
	b->nodes = reallocarray(NULL, names, sizeof(*b->nodes));
	b->ranges = reallocarray(NULL, names, sizeof(*b->ranges));
	return b->nodes && b->ranges ? 0 : error_nomem(b->err);
}

/* Adds the child of `parent` that the paths [lo, hi) lie in; `len` bytes of each, after the parent's, are its name. */
static int add_child(struct build *b, uint32_t parent, struct range at, uint64_t len)
{
	const struct tree_file *f = &b->files[at.lo];
	bool folder = f->path[at.skip + len] == '/';
	const char *name = arena_strndup(b->arena, f->path + at.skip, len);

	if (!name)
		return error_nomem(b->err);
	if (!folder && at.hi - at.lo > 1)
		return error_set(b->err, -EINVAL, "two files would be shown as \"%s\"", f->path);
	b->nodes[b->used] = (struct tree_node){ .name = name, .parent = parent, .kind = folder ? TREE_DIR : f->kind, .form = f->form };
	if (!folder)
		b->nodes[b->used].image = f->image;
	b->ranges[b->used++] = (struct range){ at.lo, at.hi, at.skip + len + 1 };
	b->nodes[parent].count++;
	b->nodes[parent].folders += folder || f->kind == TREE_DOOR;
	return 0;
}

/* Where the paths that continue like the one at `lo` end. A file and a folder of one name are together, file first. */
static uint64_t same_name_end(const struct build *b, struct range r, uint64_t len)
{
	const char *name = b->files[r.lo].path + r.skip;
	uint64_t hi = r.lo + 1;

	while (hi < r.hi) {
		const char *other = b->files[hi].path + r.skip;

		if (strncmp(other, name, len) != 0 || (other[len] && other[len] != '/'))
			break;
		hi++;
	}
	return hi;
}

static int fill(struct build *b, uint32_t folder)
{
	struct range r = b->ranges[folder];

	b->nodes[folder].first = (uint32_t)b->used;
	while (r.lo < r.hi) {
		const char *name = b->files[r.lo].path + r.skip;
		uint64_t len = (uint64_t)(strchrnul(name, '/') - name), hi = same_name_end(b, r, len);
		int rc = add_child(b, folder, (struct range){ r.lo, hi, r.skip }, len);

		if (rc < 0)
			return rc;
		r.lo = hi;
	}
	return 0;
}

static int build(struct build *b)
{
	b->nodes[0] = (struct tree_node){ .name = "", .kind = TREE_DIR };
	b->ranges[0] = (struct range){ 0, b->count, 0 };
	b->used = 1;
	for (uint64_t i = 0; i < b->used; i++) {
		int rc = b->nodes[i].kind == TREE_DIR ? fill(b, (uint32_t)i) : 0;

		if (rc < 0)
			return rc;
	}
	return 0;
}

static int finish(struct build *b, uint64_t base, struct tree *out)
{
	struct tree_node *nodes = arena_alloc(b->arena, b->used, sizeof(*nodes));

	if (!nodes)
		return error_nomem(b->err);
	memcpy(nodes, b->nodes, b->used * sizeof(*nodes));
	*out = (struct tree){ .nodes = nodes, .count = (uint32_t)b->used, .base = base };
	for (uint32_t i = 0; i < out->count; i++) {
		out->bytes += nodes[i].kind == TREE_IMAGE ? nodes[i].image->size : 0;
		out->door = nodes[i].kind == TREE_DOOR ? i : out->door;
	}
	return 0;
}

int tree_build_files(struct tree_file *files, uint64_t count, uint64_t base, struct arena *arena, struct tree *out, struct error *err)
{
	struct build b = { .files = files, .count = count, .arena = arena, .err = err };
	int rc = prepare(&b);

	if (rc == 0)
		rc = build(&b);
	if (rc == 0)
		rc = finish(&b, base, out);
	free(b.ranges);
	free(b.nodes);
	return rc;
}

int tree_build_at(const struct view *view, const struct tree_place *place, struct arena *arena, struct tree *out, struct error *err)
{
	const struct tree_file own[] = {
		{ .path = place->status, .kind = TREE_STATUS },
		{ .path = place->status_json, .kind = TREE_STATUS_JSON },
		{ .path = place->sources, .kind = TREE_SOURCES },
		{ .path = place->layout, .kind = TREE_LAYOUT },
		{ .path = place->readme, .kind = TREE_README },
		{ .path = place->door, .kind = TREE_DOOR },
	};
	struct tree_file *files = reallocarray(NULL, view->count + sizeof(own) / sizeof(*own), sizeof(*files));
	uint64_t count = 0;
	int rc;

	if (!files)
		return error_nomem(err);
	for (; count < view->count; count++)
		files[count] = (struct tree_file){ .path = view->files[count].path, .kind = TREE_IMAGE, .image = view->files[count].image };
	for (size_t i = 0; i < sizeof(own) / sizeof(*own); i++)
		if (own[i].path)
			files[count++] = own[i];
	rc = tree_build_files(files, count, place->base, arena, out, err);
	free(files);
	return rc;
}

int tree_build(const struct view *view, uint64_t base, struct arena *arena, struct tree *out, struct error *err)
{
	const struct tree_place place = {
		.base = base,
		.status = ".gatherfs/status",
		.status_json = ".gatherfs/status.json",
		.sources = ".gatherfs/sources.json",
		.layout = ".gatherfs/layout.json",
		.readme = ".gatherfs/README",
		.door = "tensors",
	};

	return tree_build_at(view, &place, arena, out, err);
}

const struct tree_node *tree_get(const struct tree *tree, uint64_t ino)
{
	return ino >= tree->base && ino - tree->base < tree->count ? &tree->nodes[ino - tree->base] : NULL;
}

uint64_t tree_number(const struct tree *tree, const struct tree_node *node)
{
	return tree->base + (uint64_t)(node - tree->nodes);
}

const struct tree_node *tree_find(const struct tree *tree, const struct tree_node *dir, const char *name)
{
	uint32_t lo = dir->first, hi = dir->first + dir->count;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		int order = strcmp(name, tree->nodes[mid].name);

		if (order == 0)
			return &tree->nodes[mid];
		if (order < 0)
			hi = mid;
		else
			lo = mid + 1;
	}
	return NULL;
}
