/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The FUSE operations of a mount: each decodes its arguments, makes one call inward and gives one reply, after which it touches
 * nothing that it does not hold.
 *
 * Every name that the kernel is told of is a look-up that it forgets one day: each holds the node's model until then. The mount is
 * read-only; the kernel itself answers EROFS to whatever would change something.
 */
#ifndef FS_OPS_H
#define FS_OPS_H

#include <fuse_lowlevel.h>

#include "fs/serve/ahead.h"
#include "fs/serve/below.h"
#include "fs/serve/opened.h"
#include "fs/serve/reply.h"
#include "fs/serve/root.h"
#include "fs/serve/status.h"

/* The user data of the session. */
struct ops {
	struct hub *hub;
	const struct status *status;
	struct reply *reply;
	struct ahead *ahead; /* NULL: nothing is read ahead */
	struct below *below; /* NULL: nor for readers who go down */
	bool direct_io; /* of the files of the views; those of .gatherfs/ always are */
	struct opened_list opened;
};

extern const struct fuse_lowlevel_ops ops_table;

#endif
