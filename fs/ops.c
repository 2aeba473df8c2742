/* SPDX-License-Identifier: Apache-2.0 */
/* See ops.h. Status files are made when they are opened and kept in fi->fh until they are closed. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "fs/ops.h"

#define FOREVER 86400.0       /* seconds: nothing changes */
#define BLOCK (UINT64_C(1) << 20) /* bytes: what a read had best ask for */
#define NAME_LONGEST 255

/* The one place that finds a node by its number. */
static const struct tree_node *node_of(fuse_req_t req, fuse_ino_t ino)
{
	const struct ops *ops = fuse_req_userdata(req);

	return tree_get(&ops->model->tree, ino);
}

static bool is_status(const struct tree_node *node)
{
	return node->kind == TREE_STATUS || node->kind == TREE_STATUS_JSON;
}

static void write_status(const struct ops *ops, const struct tree_node *node, struct text *text)
{
	if (node->kind == TREE_STATUS)
		status_text(ops->status, text);
	else
		status_json(ops->status, text);
}

static uint64_t size_of(const struct ops *ops, const struct tree_node *node)
{
	struct text text = TEXT_EMPTY;
	uint64_t size;

	if (!is_status(node))
		return node->image ? node->image->size : 0;
	write_status(ops, node, &text);
	size = text.len;
	text_free(&text);
	return size;
}

/* Attributes that need no work: what a listing has to tell of a node. */
static void describe(const struct ops *ops, const struct tree_node *node, struct stat *st)
{
	const struct model *m = ops->model;
	bool dir = node->kind == TREE_DIR;

	*st = (struct stat){
		.st_ino = tree_number(&m->tree, node),
		.st_mode = dir ? S_IFDIR | m->dir_mode : S_IFREG | m->file_mode,
		.st_nlink = dir ? 2 + node->folders : 1,
		.st_uid = m->uid,
		.st_gid = m->gid,
		.st_blksize = BLOCK,
		.st_mtim = m->mtime,
		.st_ctim = m->mtime,
		.st_atim = m->mtime,
	};
}

static void attributes(const struct ops *ops, const struct tree_node *node, struct stat *st)
{
	describe(ops, node, st);
	st->st_size = (off_t)size_of(ops, node);
	st->st_blocks = (st->st_size + 511) / 512;
}

static void entry_of(const struct ops *ops, const struct tree_node *node, struct fuse_entry_param *e)
{
	*e = (struct fuse_entry_param){ .ino = tree_number(&ops->model->tree, node), .entry_timeout = FOREVER,
					.attr_timeout = is_status(node) ? 0 : FOREVER };
	attributes(ops, node, &e->attr);
}

static void op_init(void *userdata, struct fuse_conn_info *conn)
{
	(void)userdata;
	conn->want |= conn->capable & (FUSE_CAP_ASYNC_READ | FUSE_CAP_PARALLEL_DIROPS | FUSE_CAP_READDIRPLUS |
				       FUSE_CAP_READDIRPLUS_AUTO | FUSE_CAP_ASYNC_DIO | FUSE_CAP_EXPORT_SUPPORT);
	conn->want &= ~(unsigned)(FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE | FUSE_CAP_SPLICE_MOVE | FUSE_CAP_AUTO_INVAL_DATA);
	conn->max_background = 64;
	conn->congestion_threshold = 48;
	conn->time_gran = 1;
}

/* The child of `dir` with this name; "." and ".." are asked for by an NFS server. */
static const struct tree_node *child_of(const struct ops *ops, const struct tree_node *dir, const char *name)
{
	if (strcmp(name, ".") == 0)
		return dir;
	if (strcmp(name, "..") == 0)
		return &ops->model->tree.nodes[dir->parent];
	return tree_find(&ops->model->tree, dir, name);
}

static void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	const struct ops *ops = fuse_req_userdata(req);
	const struct tree_node *dir = node_of(req, parent), *node;
	struct fuse_entry_param e = { .entry_timeout = FOREVER };

	if (!dir || dir->kind != TREE_DIR) {
		fuse_reply_err(req, dir ? ENOTDIR : ESTALE);
		return;
	}
	if (strlen(name) > NAME_LONGEST) {
		fuse_reply_err(req, ENAMETOOLONG);
		return;
	}
	node = child_of(ops, dir, name);
	if (node)
		entry_of(ops, node, &e);
	fuse_reply_entry(req, &e); /* number 0: the kernel remembers that there is no such name */
}

static void op_forget(fuse_req_t req, fuse_ino_t ino, uint64_t count)
{
	(void)ino, (void)count;
	fuse_reply_none(req);
}

static void op_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets)
{
	(void)count, (void)forgets;
	fuse_reply_none(req);
}

static void op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	const struct tree_node *node = node_of(req, ino);
	struct stat st;

	(void)fi;
	if (!node) {
		fuse_reply_err(req, ESTALE);
		return;
	}
	attributes(fuse_req_userdata(req), node, &st);
	fuse_reply_attr(req, &st, is_status(node) ? 0 : FOREVER);
}

/* The text of a status file as it is now, to be kept until the file is closed. */
static int open_status(const struct ops *ops, const struct tree_node *node, struct fuse_file_info *fi)
{
	struct text *text = calloc(1, sizeof(*text));

	if (!text)
		return -ENOMEM;
	write_status(ops, node, text);
	if (text->failed) {
		text_free(text);
		free(text);
		return -ENOMEM;
	}
	fi->fh = (uintptr_t)text;
	fi->direct_io = 1; /* its size may differ from what the kernel was told */
	return 0;
}

static void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	const struct tree_node *node = node_of(req, ino);
	int rc = 0;

	if (!node)
		rc = -ESTALE;
	else if ((fi->flags & O_ACCMODE) != O_RDONLY)
		rc = -EROFS;
	else if (is_status(node))
		rc = open_status(fuse_req_userdata(req), node, fi);
	else
		fi->keep_cache = 1;
	fi->noflush = 1;
	if (rc < 0)
		fuse_reply_err(req, -rc);
	else
		fuse_reply_open(req, fi);
}

static void read_status(fuse_req_t req, const struct text *text, uint64_t offset, uint64_t size)
{
	uint64_t left = offset < text->len ? text->len - offset : 0;

	fuse_reply_buf(req, left ? text->ptr + offset : NULL, size < left ? size : left);
}

static void op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi)
{
	const struct ops *ops = fuse_req_userdata(req);
	const struct tree_node *node = node_of(req, ino);

	if (!node || node->kind == TREE_DIR) {
		fuse_reply_err(req, node ? EISDIR : ESTALE);
		return;
	}
	if (is_status(node))
		read_status(req, (const struct text *)(uintptr_t)fi->fh, (uint64_t)offset, size);
	else
		reply_read(ops->reply, req, &(struct reply_range){ ops->model, node->image, (uint64_t)offset, size });
}

static void op_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct text *text = (struct text *)(uintptr_t)fi->fh;

	(void)ino;
	if (text)
		text_free(text);
	free(text);
	fuse_reply_err(req, 0);
}

static void op_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	if (!node_of(req, ino)) {
		fuse_reply_err(req, ESTALE);
		return;
	}
	fi->cache_readdir = 1;
	fi->keep_cache = 1;
	fuse_reply_open(req, fi);
}

/* A listing in the making. Entry 0 is ".", 1 is "..", then come the children; an offset is the number of the next entry. */
struct listing {
	fuse_req_t req;
	const struct ops *ops;
	const struct tree_node *dir;
	char *buf;
	size_t size;
	bool plus; /* with attributes, which count as a look-up */
};

static const struct tree_node *listed(const struct listing *l, uint64_t i, const char **name)
{
	const struct tree_node *nodes = l->ops->model->tree.nodes;

	if (i >= 2) {
		*name = nodes[l->dir->first + (i - 2)].name;
		return &nodes[l->dir->first + (i - 2)];
	}
	*name = i ? ".." : ".";
	return i ? &nodes[l->dir->parent] : l->dir;
}

/* Writes entry `i` behind `used` bytes; what it takes, or more than there is left. */
static size_t list_one(const struct listing *l, uint64_t i, size_t used)
{
	const char *name;
	const struct tree_node *node = listed(l, i, &name);
	struct fuse_entry_param e;
	struct stat st;

	if (!l->plus) {
		describe(l->ops, node, &st);
		return fuse_add_direntry(l->req, l->buf + used, l->size - used, name, &st, (off_t)i + 1);
	}
	entry_of(l->ops, node, &e);
	if (i < 2)
		e.ino = 0; /* no look-up is counted for these two */
	return fuse_add_direntry_plus(l->req, l->buf + used, l->size - used, name, &e, (off_t)i + 1);
}

static void list(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, bool plus)
{
	struct listing l = { .req = req, .ops = fuse_req_userdata(req), .dir = node_of(req, ino), .size = size, .plus = plus };
	size_t used = 0;

	if (!l.dir || l.dir->kind != TREE_DIR) {
		fuse_reply_err(req, l.dir ? ENOTDIR : ESTALE);
		return;
	}
	l.buf = malloc(size);
	if (!l.buf) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	for (uint64_t i = (uint64_t)offset; i < 2 + (uint64_t)l.dir->count; i++) {
		size_t len = list_one(&l, i, used);

		if (len > size - used)
			break;
		used += len;
	}
	fuse_reply_buf(req, l.buf, used);
	free(l.buf);
}

static void op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi)
{
	(void)fi;
	list(req, ino, size, offset, false);
}

static void op_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi)
{
	(void)fi;
	list(req, ino, size, offset, true);
}

static void op_statfs(fuse_req_t req, fuse_ino_t ino)
{
	const struct ops *ops = fuse_req_userdata(req);
	const struct tree *tree = &ops->model->tree;
	struct statvfs st = { .f_bsize = BLOCK, .f_frsize = 4096, .f_namemax = NAME_LONGEST };

	(void)ino;
	st.f_blocks = (tree->bytes + 4095) / 4096;
	st.f_files = tree->count;
	fuse_reply_statfs(req, &st);
}

const struct fuse_lowlevel_ops ops_table = {
	.init = op_init,
	.lookup = op_lookup,
	.forget = op_forget,
	.forget_multi = op_forget_multi,
	.getattr = op_getattr,
	.open = op_open,
	.read = op_read,
	.release = op_release,
	.opendir = op_opendir,
	.readdir = op_readdir,
	.readdirplus = op_readdirplus,
	.statfs = op_statfs,
};
