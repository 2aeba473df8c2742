/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The yardstick of the benchmarks: a mount with one file whose every read is answered from the same constant megabyte. What FUSE
 * itself costs on a machine is the time that this takes; how much more a mount of gatherfs takes is ours.
 *
 * So that the ratio means this, whatever the kernel sees has to be as in fs/serve/ops.c and fs/serve/serve.c: the capabilities, the
 * background requests, the flags of an open file, the timeouts, the mount options and the number of threads. Only the read-ahead
 * is not set here, because the benchmark copies it from the mount that it measures.
 */
#include <errno.h>
#include <fuse_lowlevel.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FOREVER 86400.0  /* seconds */
#define BLOCK (1u << 20) /* bytes: the longest read */
#define FILE_INO 2

struct null {
	uint64_t size; /* bytes of the file */
	char *block;   /* [BLOCK] */
};

static int describe(const struct null *n, fuse_ino_t ino, struct stat *st)
{
	*st = (struct stat){ .st_ino = ino, .st_nlink = 1, .st_blksize = BLOCK, .st_uid = getuid(), .st_gid = getgid() };
	if (ino == FUSE_ROOT_ID) {
		st->st_mode = S_IFDIR | 0500;
	} else if (ino == FILE_INO) {
		st->st_mode = S_IFREG | 0400;
		st->st_size = (off_t)n->size;
		st->st_blocks = (st->st_size + 511) / 512;
	} else {
		return -ESTALE;
	}
	return 0;
}

static void op_init(void *userdata, struct fuse_conn_info *conn)
{
	(void)userdata;
	conn->want |= conn->capable & (FUSE_CAP_ASYNC_READ | FUSE_CAP_PARALLEL_DIROPS | FUSE_CAP_READDIRPLUS | FUSE_CAP_READDIRPLUS_AUTO |
				       FUSE_CAP_ASYNC_DIO | FUSE_CAP_EXPORT_SUPPORT);
	conn->want &= ~(unsigned)(FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE | FUSE_CAP_SPLICE_MOVE | FUSE_CAP_AUTO_INVAL_DATA);
	conn->max_background = 64;
	conn->congestion_threshold = 48;
	conn->time_gran = 1;
}

static void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fuse_entry_param e = { .ino = FILE_INO, .attr_timeout = FOREVER, .entry_timeout = FOREVER };

	if (parent != FUSE_ROOT_ID || strcmp(name, "null") != 0) {
		fuse_reply_err(req, ENOENT);
		return;
	}
	describe(fuse_req_userdata(req), FILE_INO, &e.attr);
	fuse_reply_entry(req, &e);
}

static void op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct stat st;
	int rc = describe(fuse_req_userdata(req), ino, &st);

	(void)fi;
	if (rc < 0)
		fuse_reply_err(req, -rc);
	else
		fuse_reply_attr(req, &st, FOREVER);
}

static void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	fi->keep_cache = 1;
	fi->noflush = 1;
	fuse_reply_open(req, fi);
}

static void op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi)
{
	const struct null *n = fuse_req_userdata(req);
	uint64_t left = (uint64_t)offset < n->size ? n->size - (uint64_t)offset : 0;

	(void)ino, (void)fi;
	if (size > BLOCK)
		fuse_reply_err(req, EINVAL);
	else
		fuse_reply_buf(req, n->block, size < left ? size : left);
}

static const struct fuse_lowlevel_ops null_ops = {
	.init = op_init,
	.lookup = op_lookup,
	.getattr = op_getattr,
	.open = op_open,
	.read = op_read,
};

static int loop(struct fuse_session *session)
{
	struct fuse_loop_config *config = fuse_loop_cfg_create();
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	int rc;

	if (!config)
		return -ENOMEM;
	fuse_loop_cfg_set_max_threads(config, cpus <= 2 ? 4 : cpus >= 8 ? 16 : (unsigned)cpus * 2);
	fuse_loop_cfg_set_idle_threads(config, 8);
	fuse_loop_cfg_set_clone_fd(config, 0);
	rc = fuse_session_loop_mt(session, config);
	fuse_loop_cfg_destroy(config);
	return rc;
}

static int serve(struct fuse_session *session, const char *point)
{
	int rc = -1;

	if (fuse_set_signal_handlers(session) < 0)
		return -1;
	if (fuse_session_mount(session, point) == 0) {
		rc = loop(session);
		fuse_session_unmount(session);
	}
	fuse_remove_signal_handlers(session);
	return rc;
}

int main(int argc, char **argv)
{
	char *fuse_argv[] = { "nullfs", "-o", "ro,nosuid,nodev,default_permissions,subtype=nullfs,fsname=nullfs", NULL };
	struct fuse_args args = FUSE_ARGS_INIT(3, fuse_argv);
	struct null n = { .size = argc == 3 ? strtoull(argv[1], NULL, 10) : 0, .block = aligned_alloc(4096, BLOCK) };
	struct fuse_session *session;
	int rc;

	if (argc != 3 || n.size == 0 || !n.block) {
		fprintf(stderr, "usage: nullfs SIZE MOUNTPOINT\nStays in the foreground; ends when it is unmounted or signalled.\n");
		return 2;
	}
	memset(n.block, 1, BLOCK); /* memory of its own, not the kernel's one page of zeros */
	session = fuse_session_new(&args, &null_ops, sizeof(null_ops), &n);
	if (!session)
		return 1;
	rc = serve(session, argv[2]);
	fuse_session_destroy(session);
	free(n.block);
	return rc < 0 ? 1 : 0;
}
