/* SPDX-License-Identifier: Apache-2.0 */
/* See attr.h. */
#include <string.h>
#include <sys/stat.h>

#include "fs/serve/attr.h"
#include "fs/serve/record.h"

#define FOREVER 86400.0           /* seconds: nothing changes */
#define BLOCK (UINT64_C(1) << 20) /* bytes: what a read had best ask for */

bool attr_is_text(const struct tree_node *node)
{
	return node->kind >= TREE_STATUS && node->kind <= TREE_README;
}

static bool is_status(const struct tree_node *node)
{
	return node->kind == TREE_STATUS || node->kind == TREE_STATUS_JSON;
}

void attr_text(const struct ops *ops, const struct hub_node *at, struct text *text)
{
	if (at->node->kind == TREE_STATUS)
		status_text(ops->status, text);
	else if (at->node->kind == TREE_STATUS_JSON)
		status_json(ops->status, text);
	else
		record_write(at->model, at->node->kind, text);
}

/* The texts have to be written for it. One that cannot be, because a source has changed, fails when it is opened. */
static uint64_t size_of_tensor(const struct hub_node *at)
{
	struct arena *arena = arena_new();
	const struct image *image;
	struct error err;
	uint64_t size = 0;

	if (at->node->form == BROWSE_BIN)
		size = at->node->tensor->bytes;
	else if (arena && tensors_image(at->model, at->node, arena, &image, &err) == 0)
		size = image->size;
	arena_free(arena);
	return size;
}

static uint64_t size_of(const struct ops *ops, const struct hub_node *at)
{
	const struct tree_node *node = at->node;
	struct text text = TEXT_EMPTY;
	char target[HUB_NAME];
	uint64_t size;

	if (node->kind == TREE_LINK)
		return root_latest(ops->hub, target) ? strlen(target) : 0;
	if (node->kind == TREE_TENSOR)
		return size_of_tensor(at);
	if (!attr_is_text(node))
		return node->kind == TREE_IMAGE ? node->image->size : 0;
	attr_text(ops, at, &text);
	size = text.len;
	text_free(&text);
	return size;
}

static mode_t mode_of(const struct model *m, const struct tree_node *node)
{
	switch (node->kind) {
	case TREE_DIR:
	case TREE_DOOR:
		return S_IFDIR | m->dir_mode;
	case TREE_LINK:
		return S_IFLNK | 0777;
	default:
		return S_IFREG | m->file_mode;
	}
}

static nlink_t links_of(const struct hub_node *at)
{
	switch (at->node->kind) {
	case TREE_DIR:
		return 2 + at->node->folders;
	case TREE_DOOR:
		return 2 + tensors_folders(at->model);
	default:
		return 1;
	}
}

/* The root of many has its folders, and the time of the newest step. */
static void describe_root(const struct ops *ops, struct stat *st)
{
	struct root_sum sum = root_sum(ops->hub);

	st->st_nlink += sum.models;
	st->st_mtim = st->st_ctim = st->st_atim = sum.mtime;
}

void attr_describe(const struct ops *ops, const struct hub_node *at, struct stat *st)
{
	const struct model *m = at->model;

	*st = (struct stat){
		.st_ino = root_number(at),
		.st_mode = mode_of(m, at->node),
		.st_nlink = links_of(at),
		.st_uid = m->uid,
		.st_gid = m->gid,
		.st_blksize = BLOCK,
		.st_mtim = m->mtime,
		.st_ctim = m->mtime,
		.st_atim = m->mtime,
	};
	if (root_is(ops->hub, at))
		describe_root(ops, st);
}

double attr_of(const struct ops *ops, const struct hub_node *at, struct stat *st)
{
	bool changes = is_status(at->node) || at->node->kind == TREE_LINK || root_is(ops->hub, at);

	attr_describe(ops, at, st);
	st->st_size = (off_t)size_of(ops, at);
	st->st_blocks = (st->st_size + 511) / 512;
	return changes ? 0 : FOREVER;
}

/* The names of a retired model must not be kept: it is freed when they are forgotten. */
void attr_entry(const struct ops *ops, const struct hub_node *dir, const struct hub_node *at, struct fuse_entry_param *e)
{
	bool goes = root_is(ops->hub, dir) || at->of->retired;

	*e = (struct fuse_entry_param){ .ino = root_number(at), .entry_timeout = goes ? 0 : FOREVER };
	e->attr_timeout = attr_of(ops, at, &e->attr);
}

double attr_absence(const struct ops *ops, const struct hub_node *dir)
{
	return root_is(ops->hub, dir) || dir->of->retired ? 0 : FOREVER;
}
