/* SPDX-License-Identifier: Apache-2.0 */
/* See folder.h. In any listing entry 0 is ".", 1 is "..", then come the others; an offset is the number of the next entry. */
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "fs/serve/attr.h"
#include "fs/serve/folder.h"

/* A folder that is open. */
struct folder {
	struct opened opened;
	struct root_list *root; /* of the root of many: what is listed; NULL until it is asked for */
};

static void close_folder(void *ops, struct opened *opened)
{
	struct folder *f = (struct folder *)opened;

	(void)ops;
	free(f->root);
	free(f);
}

void folder_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct ops *ops = fuse_req_userdata(req);
	struct folder *f = calloc(1, sizeof(*f));
	struct hub_node dir;

	if (!f || !hub_get(ops->hub, ino, &dir)) {
		fuse_reply_err(req, f ? ESTALE : ENOMEM);
		free(f);
		return;
	}
	fi->cache_readdir = fi->keep_cache = !root_is(ops->hub, &dir);
	fi->fh = (uintptr_t)f;
	hub_drop(ops->hub, dir.of, 1);
	f->opened.close = close_folder;
	opened_add(&ops->opened, &f->opened);
	if (fuse_reply_open(req, fi) < 0)
		opened_close(&ops->opened, &f->opened, ops); /* nobody else will */
}

void folder_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct ops *ops = fuse_req_userdata(req);
	struct folder *f = (struct folder *)(uintptr_t)fi->fh;

	(void)ino;
	opened_close(&ops->opened, &f->opened, ops);
	fuse_reply_err(req, 0);
}

/* A listing in the making. */
struct listing {
	fuse_req_t req;
	const struct ops *ops;
	struct hub_node dir;
	const struct root_list *root; /* NULL in a folder of a model */
	char *buf;
	size_t size;
	bool plus;      /* with attributes, which count as a look-up */
	uint64_t looked_up;
};

static uint64_t count_of(const struct listing *l)
{
	return 2 + (l->root ? l->root->count : l->dir.node->count);
}

static size_t put(const struct listing *l, size_t used, const char *name, const struct fuse_entry_param *e, uint64_t i)
{
	if (l->plus)
		return fuse_add_direntry_plus(l->req, l->buf + used, l->size - used, name, e, (off_t)i + 1);
	return fuse_add_direntry(l->req, l->buf + used, l->size - used, name, &e->attr, (off_t)i + 1);
}

/* "." and ".."; no look-up is counted for these two. */
static size_t list_dots(const struct listing *l, uint64_t i, size_t used)
{
	struct hub_node at = i == 0 ? l->dir : root_parent(l->ops->hub, &l->dir);
	struct fuse_entry_param e = { 0 };

	attr_describe(l->ops, &at, &e.attr);
	return put(l, used, i == 0 ? "." : "..", &e, i);
}

/* An entry of the root of many: the kernel has to ask for it anyway, so nothing but its kind is told. */
static size_t list_root(const struct listing *l, uint64_t i, size_t used)
{
	const struct root_entry *entry = &l->root->entries[i - 2];
	struct fuse_entry_param e = { .attr = { .st_ino = entry->number, .st_mode = entry->link ? S_IFLNK : S_IFDIR } };

	return put(l, used, entry->name, &e, i);
}

/* Nothing but its kind is told: there may be no tensors behind it. */
static size_t list_door(const struct listing *l, uint64_t i, size_t used)
{
	struct fuse_entry_param e = { .attr = { .st_ino = tensors_number(l->dir.model), .st_mode = S_IFDIR } };

	return put(l, used, l->dir.tree->nodes[l->dir.node->first + (i - 2)].name, &e, i);
}

static size_t list_child(struct listing *l, uint64_t i, size_t used)
{
	struct hub_node at = l->dir;
	struct fuse_entry_param e = { 0 };
	size_t len;

	at.node = &l->dir.tree->nodes[l->dir.node->first + (i - 2)];
	if (at.node->kind == TREE_DOOR)
		return list_door(l, i, used);
	if (l->plus)
		attr_entry(l->ops, &l->dir, &at, &e);
	else
		attr_describe(l->ops, &at, &e.attr);
	len = put(l, used, at.node->name, &e, i);
	l->looked_up += l->plus && len <= l->size - used;
	return len;
}

/* Writes entry `i` behind `used` bytes; what it takes, or more than there is left. */
static size_t list_one(struct listing *l, uint64_t i, size_t used)
{
	return i < 2 ? list_dots(l, i, used) : l->root ? list_root(l, i, used) : list_child(l, i, used);
}

static void reply(struct listing *l, uint64_t offset)
{
	size_t used = 0;

	for (uint64_t i = offset; i < count_of(l); i++) {
		size_t len = list_one(l, i, used);

		if (len > l->size - used)
			break;
		used += len;
	}
	hub_hold(l->ops->hub, l->dir.of, l->looked_up); /* before the kernel can forget them */
	if (fuse_reply_buf(l->req, l->buf, used) < 0)
		hub_drop(l->ops->hub, l->dir.of, l->looked_up);
}

/* What is listed of the root of many: asked for at its beginning, and kept while it is read on. */
static int snapshot(struct listing *l, struct folder *f, uint64_t offset)
{
	if (!root_is(l->ops->hub, &l->dir))
		return 0;
	if (offset == 0 || !f->root) {
		free(f->root);
		f->root = root_list(l->ops->hub);
	}
	l->root = f->root;
	return l->root ? 0 : -ENOMEM;
}

static void list(struct listing *l, fuse_ino_t ino, off_t offset, struct folder *f)
{
	int rc = -ESTALE;

	if (!hub_get(l->ops->hub, ino, &l->dir)) {
		fuse_reply_err(l->req, -rc);
		return;
	}
	rc = !root_enter(&l->dir) ? -ENOMEM : l->dir.node->kind == TREE_DIR ? snapshot(l, f, (uint64_t)offset) : -ENOTDIR;
	l->buf = rc == 0 ? malloc(l->size) : NULL;
	if (l->buf)
		reply(l, (uint64_t)offset);
	else
		fuse_reply_err(l->req, rc < 0 ? -rc : ENOMEM);
	free(l->buf);
	hub_drop(l->ops->hub, l->dir.of, 1);
}

void folder_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi)
{
	list(&(struct listing){ .req = req, .ops = fuse_req_userdata(req), .size = size }, ino, offset, (struct folder *)(uintptr_t)fi->fh);
}

void folder_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi)
{
	list(&(struct listing){ .req = req, .ops = fuse_req_userdata(req), .size = size, .plus = true }, ino, offset,
	     (struct folder *)(uintptr_t)fi->fh);
}
