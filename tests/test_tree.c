/* SPDX-License-Identifier: Apache-2.0 */
/* The tree: what is listed where, against lists written by hand, and look-ups against every listing. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "fs/model/tree.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define FILES 8
#define BASE 1000

/* Without a door, which is in every tree that has one and nothing more. */
static int build_tree(const struct view *view, uint64_t base, struct arena *arena, struct tree *out, struct error *err)
{
	const struct tree_place place = { .base = base, .status = ".gatherfs/status", .status_json = ".gatherfs/status.json" };

	return tree_build_at(view, &place, arena, out, err);
}

static int build(const char *const *paths, struct arena *arena, struct tree *tree, struct error *err)
{
	static struct image images[FILES];
	struct view_file files[FILES];
	struct view view = { .files = files };

	for (; view.count < FILES && paths[view.count]; view.count++) {
		images[view.count].size = view.count + 1;
		files[view.count] = (struct view_file){ paths[view.count], &images[view.count] };
	}
	return build_tree(&view, BASE, arena, tree, err);
}

/* "name/ name name" of a folder. */
static void listing(const struct tree *tree, const struct tree_node *dir, char *out)
{
	*out = '\0';
	for (uint32_t i = dir->first; i < dir->first + dir->count; i++)
		sprintf(out + strlen(out), "%s%s%s", i > dir->first ? " " : "", tree->nodes[i].name,
			tree->nodes[i].kind == TREE_DIR ? "/" : "");
}

/* Walks a path of folders by look-ups. */
static const struct tree_node *walk(const struct tree *tree, const char *path)
{
	const struct tree_node *node = &tree->nodes[0];
	char copy[256], *rest = copy, *name;

	strcpy(copy, path);
	while (node && (name = strsep(&rest, "/")) != NULL)
		if (*name)
			node = tree_find(tree, node, name);
	return node;
}

Test(tree, listings)
{
	static const char *const paths[FILES + 1] = { "model-2.safetensors", "rank_1/a", "rank_0/b", "rank_0/a", "rank_0-x", "rank_0.y",
						      ".gatherfs/strategy.ckpt", "t/m/l/0/w" };
	static const struct {
		const char *folder, *names;
		uint32_t folders;
	} cases[] = {
		{ "", ".gatherfs/ model-2.safetensors rank_0/ rank_0-x rank_0.y rank_1/ t/", 4 },
		{ ".gatherfs", "status status.json strategy.ckpt", 0 },
		{ "rank_0", "a b", 0 },
		{ "rank_1", "a", 0 },
		{ "t", "m/", 1 },
		{ "t/m/l/0", "w", 0 },
	};
	struct arena *arena = arena_new();
	struct error err = { "" };
	struct tree tree;
	char names[256];

	cr_assert_eq(build(paths, arena, &tree, &err), 0, "%s", err.msg);
	for (size_t i = 0; i < COUNT(cases); i++) {
		const struct tree_node *dir = walk(&tree, cases[i].folder);

		cr_assert_not_null(dir, "%s", cases[i].folder);
		listing(&tree, dir, names);
		cr_assert_str_eq(names, cases[i].names);
		cr_assert_eq(dir->folders, cases[i].folders);
	}
	for (uint64_t i = 0; i < FILES; i++)
		cr_assert_eq(walk(&tree, paths[i])->image->size, i + 1, "%s", paths[i]);
	cr_assert_eq(tree.bytes, FILES * (FILES + 1) / 2);
	cr_assert_eq(walk(&tree, ".gatherfs/status")->kind, TREE_STATUS);
	cr_assert_eq(walk(&tree, ".gatherfs/status.json")->kind, TREE_STATUS_JSON);
	arena_free(arena);
}

Test(tree, numbers_and_look_ups)
{
	static const char *const paths[FILES + 1] = { "a", "b/c", "b/d/e" }, *const absent[] = { "", "A", "aa", "b/c", "c", "~", "." };
	struct arena *arena = arena_new();
	struct error err = { "" };
	struct tree tree;

	cr_assert_eq(build(paths, arena, &tree, &err), 0, "%s", err.msg);
	cr_assert_eq(tree.count, 9); /* the root, .gatherfs with two files, a, b, c, d, e */
	for (uint32_t i = 0; i < tree.count; i++) {
		const struct tree_node *node = &tree.nodes[i];

		cr_assert_eq(tree_number(&tree, node), BASE + i);
		cr_assert_eq(tree_get(&tree, BASE + i), node);
		if (i > 0)
			cr_assert_eq(tree_find(&tree, &tree.nodes[node->parent], node->name), node);
	}
	cr_assert_eq(tree.nodes[0].parent, 0);
	cr_assert_null(tree_get(&tree, BASE - 1));
	cr_assert_null(tree_get(&tree, BASE + tree.count));
	cr_assert_null(tree_get(&tree, 0));
	cr_assert_null(tree_get(&tree, UINT64_MAX));
	for (size_t i = 0; i < COUNT(absent); i++)
		cr_assert_null(tree_find(&tree, &tree.nodes[0], absent[i]), "\"%s\"", absent[i]);
	arena_free(arena);
}

Test(tree, an_empty_view)
{
	static const char *const paths[] = { NULL };
	struct arena *arena = arena_new();
	struct error err = { "" };
	struct tree tree;
	char names[256];

	cr_assert_eq(build(paths, arena, &tree, &err), 0, "%s", err.msg);
	listing(&tree, &tree.nodes[0], names);
	cr_assert_str_eq(names, ".gatherfs/");
	arena_free(arena);
}

Test(tree, refused)
{
	static char long_name[300];
	static const struct {
		const char *paths[FILES + 1];
		int code;
		const char *says;
	} cases[] = {
		{ { "a", "a" }, -EINVAL, "two files would be shown as \"a\"" },
		{ { "a/b", "c", "a" }, -EINVAL, "two files would be shown as \"a\"" },
		{ { "a/b/c", "a/b" }, -EINVAL, "two files would be shown as \"a/b\"" },
		{ { ".gatherfs/status" }, -EINVAL, "two files would be shown as \".gatherfs/status\"" },
		{ { ".gatherfs" }, -EINVAL, "two files would be shown as \".gatherfs\"" },
		{ { "" }, -EINVAL, "is no name" },
		{ { "/a" }, -EINVAL, "is no name" },
		{ { "a/" }, -EINVAL, "is no name" },
		{ { "a//b" }, -EINVAL, "is no name" },
		{ { "./a" }, -EINVAL, "is no name" },
		{ { "a/../b" }, -EINVAL, "is no name" },
		{ { long_name }, -ENAMETOOLONG, "a name has 256 bytes" },
	};

	memset(long_name, 'x', 256);
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct arena *arena = arena_new();
		struct error err = { "" };
		struct tree tree;

		cr_assert_eq(build(cases[i].paths, arena, &tree, &err), cases[i].code, "case %zu", i);
		cr_assert(strstr(err.msg, cases[i].says), "case %zu: %s", i, err.msg);
		arena_free(arena);
	}
	long_name[255] = '\0';

	static const char *const longest[] = { long_name, NULL };
	struct arena *arena = arena_new();
	struct error err = { "" };
	struct tree tree;

	cr_assert_eq(build(longest, arena, &tree, &err), 0, "%s", err.msg);
	arena_free(arena);
}

Test(tree, door)
{
	struct arena *arena = arena_new();
	struct view view = { 0 };
	struct tree tree;
	struct error err = { "" };
	const struct tree_node *door;

	cr_assert_eq(tree_build(&view, BASE, arena, &tree, &err), 0, "%s", err.msg);
	door = tree_find(&tree, &tree.nodes[0], "tensors");
	cr_assert(door && door->kind == TREE_DOOR);
	cr_assert_eq(tree.nodes[0].folders, 2, "a door is a folder to whoever counts links");
	arena_free(arena);
}

Test(tree, part_of_a_mount)
{
	static const struct {
		const char *status, *json, *root;
	} cases[] = {
		{ NULL, NULL, "a f/" },
		{ "status", "status.json", "a f/ status status.json" },
		{ "f/status", NULL, "a f/" },
	};
	struct image image = { .size = 5 };
	struct view_file files[] = { { "f/b", &image }, { "a", &image } };
	struct view view = { .files = files, .count = 2 };
	struct error err;
	char names[256];

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct tree_place place = { .base = BASE + i, .status = cases[i].status, .status_json = cases[i].json };
		struct arena *arena = arena_new();
		struct tree tree;

		cr_assert_eq(tree_build_at(&view, &place, arena, &tree, &err), 0);
		listing(&tree, &tree.nodes[0], names);
		cr_assert_str_eq(names, cases[i].root);
		cr_assert_eq(tree.base, BASE + i);
		cr_assert_eq(tree.bytes, 10);
		arena_free(arena);
	}
}
