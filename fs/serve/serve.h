/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A mount being served: the FUSE session on a mount point, the threads that answer it, and its end.
 */
#ifndef FS_SERVE_H
#define FS_SERVE_H

#include "fs/options/options.h"
#include "fs/serve/follow.h"

struct serve;

/* What a mount shows. */
struct serve_shown {
	struct hub *hub;
	struct follow *follow; /* what keeps the hub as SOURCE is; NULL in a mount of one model, which stays as it is */
};

/*
 * Mounts `shown` on `point` (without links) as the options say. Everything given must outlive the mount. On success requests
 * wait until serve_run(). A negative errno, with one message that says what is missing or forbidden.
 */
int serve_mount(const struct options *options, const char *point, const struct serve_shown *shown, struct serve **out, struct error *err);

/*
 * Answers requests until the mount is unmounted or the process is told to end; then unmounts it. Reports on `channel` (see
 * detach.h; -1 for nobody) as soon as the mount answers. 0, or a negative errno; a daemon has also logged the message.
 */
int serve_run(struct serve *s, int channel, struct error *err);

/* Unmounts, for the case that nobody serves the mount. */
void serve_unmount(struct serve *s);

/* Frees what this process has of the mount, without unmounting. NULL is allowed. */
void serve_free(struct serve *s);

#endif
