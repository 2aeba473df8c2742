/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The FUSE operations of a mount: each decodes its arguments, makes one call inward and gives one reply, after which it touches
 * nothing. A node's number is its place in the tree, so look-ups hold nothing and forgetting has nothing to do.
 *
 * Everything a mount shows is fixed but for the status files, so the kernel may keep names, attributes and pages as long as it
 * likes. The mount is read-only; the kernel itself answers EROFS to whatever would change something.
 */
#ifndef FS_OPS_H
#define FS_OPS_H

#include <fuse_lowlevel.h>

#include "fs/reply.h"
#include "fs/status.h"

/* The user data of the session. */
struct ops {
	const struct model *model;
	const struct status *status;
	struct reply *reply;
};

extern const struct fuse_lowlevel_ops ops_table;

#endif
