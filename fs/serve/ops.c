/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See ops.h. An open file has its node at hand, so that reading looks nothing up and takes no lock. Status files are made when they
 * are opened and kept until they are closed.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#include "fs/serve/attr.h"
#include "fs/serve/folder.h"
#include "fs/serve/xattr.h"

#define NAME_LONGEST 255

/*
 * Bytes that a request asks for at most. A read of 1 MiB, the kernel's most, comes as two then, which two threads answer: one reader with
 * O_DIRECT had 1.3 to 1.45 times the throughput on two cores, other readers 1.1, two at once 0.97. 256 KiB lost with most of them. The page
 * more is the one that a mapped reader waits for who goes down: the kernel asks for half of the read-ahead below it, and both come in one.
 */
#define REQUEST ((512 << 10) + 4096)

/* libfuse has it since 3.16. */
#ifdef FUSE_CAP_DIRECT_IO_ALLOW_MMAP
#define CAP_DIRECT_MAPS FUSE_CAP_DIRECT_IO_ALLOW_MMAP
#else
#define CAP_DIRECT_MAPS 0
#endif

/* An open file; it holds its model. */
struct file {
	struct opened opened;
	struct hub_node at;
	bool own;                  /* opened by what reads below (below.h) */
	struct text text;          /* of a status file */
	const struct image *image; /* of anything else */
	struct arena *arena;       /* of an image that was made for this file */
};

static void op_init(void *userdata, struct fuse_conn_info *conn)
{
	const struct ops *ops = userdata;

	conn->want |= conn->capable & (FUSE_CAP_ASYNC_READ | FUSE_CAP_PARALLEL_DIROPS | FUSE_CAP_READDIRPLUS |
				       FUSE_CAP_READDIRPLUS_AUTO | FUSE_CAP_ASYNC_DIO | FUSE_CAP_EXPORT_SUPPORT);
	conn->want &= ~(unsigned)(FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE | FUSE_CAP_SPLICE_MOVE | FUSE_CAP_AUTO_INVAL_DATA);
	if (ops->direct_io)
		conn->want |= conn->capable & CAP_DIRECT_MAPS;
	conn->max_write = REQUEST; /* what libfuse tells the kernel of reads, too */
	conn->max_background = 64;
	conn->congestion_threshold = 48;
	conn->time_gran = 1;
}

/* Answers a look-up of `name` in `dir`. A name that is there is held until the kernel forgets it. */
static void look_up(fuse_req_t req, const struct ops *ops, const struct hub_node *dir, const char *name)
{
	struct fuse_entry_param e = { 0 };
	struct hub_node at;
	bool there = root_child(ops->hub, dir, name, &at);

	if (there)
		attr_entry(ops, dir, &at, &e);
	else
		e.entry_timeout = attr_absence(ops, dir);
	if (!there && e.entry_timeout == 0)
		fuse_reply_err(req, ENOENT);
	else if (fuse_reply_entry(req, &e) < 0 && there) /* number 0: the kernel remembers that there is no such name */
		hub_drop(ops->hub, at.of, 1);
}

/* "." and ".." are asked for by an NFS server. */
static void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	const struct ops *ops = fuse_req_userdata(req);
	struct hub_node dir;

	if (!hub_get(ops->hub, parent, &dir)) {
		fuse_reply_err(req, ESTALE);
		return;
	}
	if (!root_enter(&dir))
		fuse_reply_err(req, ENOMEM);
	else if (dir.node->kind != TREE_DIR)
		fuse_reply_err(req, ENOTDIR);
	else if (strlen(name) > NAME_LONGEST)
		fuse_reply_err(req, ENAMETOOLONG);
	else
		look_up(req, ops, &dir, name);
	hub_drop(ops->hub, dir.of, 1);
}

static void op_forget(fuse_req_t req, fuse_ino_t ino, uint64_t count)
{
	const struct ops *ops = fuse_req_userdata(req);

	hub_forget(ops->hub, ino, count);
	fuse_reply_none(req);
}

static void op_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets)
{
	const struct ops *ops = fuse_req_userdata(req);

	for (size_t i = 0; i < count; i++)
		hub_forget(ops->hub, forgets[i].ino, forgets[i].nlookup);
	fuse_reply_none(req);
}

static void op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	const struct ops *ops = fuse_req_userdata(req);
	struct hub_node at;
	struct stat st;
	double holds;

	(void)fi;
	if (!hub_get(ops->hub, ino, &at)) {
		fuse_reply_err(req, ESTALE);
		return;
	}
	holds = attr_of(ops, &at, &st);
	hub_drop(ops->hub, at.of, 1);
	fuse_reply_attr(req, &st, holds);
}

static void op_readlink(fuse_req_t req, fuse_ino_t ino)
{
	const struct ops *ops = fuse_req_userdata(req);
	char target[HUB_NAME];

	(void)ino; /* there is only one link */
	if (root_latest(ops->hub, target))
		fuse_reply_readlink(req, target);
	else
		fuse_reply_err(req, ENOENT);
}

static void close_file(void *ops, struct opened *opened)
{
	struct file *f = (struct file *)opened;

	hub_drop(((struct ops *)ops)->hub, f->at.of, 1);
	text_free(&f->text);
	arena_free(f->arena);
	free(f);
}

/* What a file of tensors/ holds. */
static int make_image(struct file *f)
{
	struct error err;

	f->arena = arena_new();
	return f->arena ? tensors_image(f->at.model, f->at.node, f->arena, &f->image, &err) : -ENOMEM;
}

/* Opens `f`, whose node is known. The text of a status file is made now, to be kept until the file is closed. */
static int open_file(const struct ops *ops, struct file *f, struct fuse_file_info *fi)
{
	if ((fi->flags & O_ACCMODE) != O_RDONLY)
		return -EROFS;
	if (attr_is_text(f->at.node)) {
		attr_text(ops, &f->at, &f->text);
		fi->direct_io = 1; /* its size may differ from what the kernel was told */
	} else {
		fi->direct_io = ops->direct_io;
		fi->keep_cache = 1;
	}
	fi->noflush = 1;
	fi->fh = (uintptr_t)f;
	f->image = f->at.node->kind == TREE_IMAGE ? f->at.node->image : NULL;
	if (f->at.node->kind == TREE_TENSOR)
		return make_image(f);
	return f->text.failed ? -ENOMEM : 0;
}

static void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct ops *ops = fuse_req_userdata(req);
	struct file *f = calloc(1, sizeof(*f));
	int rc;

	if (!f || !hub_get(ops->hub, ino, &f->at)) {
		fuse_reply_err(req, f ? ESTALE : ENOMEM);
		free(f);
		return;
	}
	f->own = below_is(ops->below, fuse_req_ctx(req)->pid);
	f->opened.close = close_file;
	opened_add(&ops->opened, &f->opened);
	rc = open_file(ops, f, fi);
	if (rc < 0)
		fuse_reply_err(req, -rc);
	if (rc < 0 || fuse_reply_open(req, fi) < 0)
		opened_close(&ops->opened, &f->opened, ops); /* nobody else will */
}

/* Replies with a copy: as soon as the kernel has the answer, the file may be closed and its text freed by another thread. */
static void read_status(fuse_req_t req, const struct text *text, uint64_t offset, uint64_t size)
{
	uint64_t left = offset < text->len ? text->len - offset : 0, len = size < left ? size : left;
	char *copy = malloc(len + 1);

	if (copy && len)
		memcpy(copy, text->ptr + offset, len);
	if (copy)
		fuse_reply_buf(req, copy, len);
	else
		fuse_reply_err(req, ENOMEM);
	free(copy);
}

static void op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi)
{
	const struct ops *ops = fuse_req_userdata(req);
	const struct file *f = (const struct file *)(uintptr_t)fi->fh;

	ahead_note(ops->ahead, &f->at, (uint64_t)offset, size);
	if (!(fi->flags & O_DIRECT))
		below_note(ops->below, &(struct below_read){ ino, &f->at, (uint64_t)offset, size, fuse_req_ctx(req)->pid });
	if (f->image)
		reply_read(ops->reply, req, &(struct reply_range){ f->at.model, f->image, (uint64_t)offset, size });
	else
		read_status(req, &f->text, (uint64_t)offset, size);
}

static void op_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct ops *ops = fuse_req_userdata(req);
	struct file *f = (struct file *)(uintptr_t)fi->fh;

	if (!f->own)
		below_closed(ops->below, ino);
	opened_close(&ops->opened, &f->opened, ops);
	fuse_reply_err(req, 0);
}

/* Answers with an attribute or their names; size 0 asks how long they are. */
static void reply_xattr(fuse_req_t req, int rc, struct text *text, size_t size)
{
	if (rc == 0 && text->failed)
		rc = -ENOMEM;
	if (rc == 0 && size && text->len > size)
		rc = -ERANGE;
	if (rc < 0)
		fuse_reply_err(req, -rc);
	else if (size == 0)
		fuse_reply_xattr(req, text->len);
	else
		fuse_reply_buf(req, text->ptr, text->len);
	text_free(text);
}

static void op_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
	const struct ops *ops = fuse_req_userdata(req);
	struct text text = TEXT_EMPTY;
	struct hub_node at;
	int rc = -ESTALE;

	if (hub_get(ops->hub, ino, &at)) {
		rc = xattr_get(&at, name, &text);
		hub_drop(ops->hub, at.of, 1);
	}
	reply_xattr(req, rc, &text, size);
}

static void op_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size)
{
	const struct ops *ops = fuse_req_userdata(req);
	struct text text = TEXT_EMPTY;
	struct hub_node at;
	int rc = -ESTALE;

	if (hub_get(ops->hub, ino, &at)) {
		xattr_list(&at, &text);
		hub_drop(ops->hub, at.of, 1);
		rc = 0;
	}
	reply_xattr(req, rc, &text, size);
}

static void op_statfs(fuse_req_t req, fuse_ino_t ino)
{
	const struct ops *ops = fuse_req_userdata(req);
	struct root_sum sum = root_sum(ops->hub);
	struct statvfs st = { .f_bsize = 1 << 20, .f_frsize = 4096, .f_namemax = NAME_LONGEST };

	(void)ino;
	st.f_blocks = (sum.bytes + 4095) / 4096;
	st.f_files = sum.nodes;
	fuse_reply_statfs(req, &st);
}

const struct fuse_lowlevel_ops ops_table = {
	.init = op_init,
	.lookup = op_lookup,
	.forget = op_forget,
	.forget_multi = op_forget_multi,
	.getattr = op_getattr,
	.readlink = op_readlink,
	.open = op_open,
	.read = op_read,
	.release = op_release,
	.opendir = folder_opendir,
	.readdir = folder_readdir,
	.readdirplus = folder_readdirplus,
	.releasedir = folder_releasedir,
	.getxattr = op_getxattr,
	.listxattr = op_listxattr,
	.statfs = op_statfs,
};
