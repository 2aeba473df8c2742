/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The read path of a mount: gathers what a read asks for into a buffer of the thread, and replies. A failed gathering is an I/O
 * error for the reader, a line in the log the first time, and an entry in the model's problems.
 *
 * Every thread that answers requests has buffers of its own, made at its first read and freed when it ends; so a read takes no
 * lock and, after the first, allocates nothing.
 */
#ifndef FS_REPLY_H
#define FS_REPLY_H

#include <fuse_lowlevel.h>

#include "fs/log.h"
#include "fs/model.h"

struct reply; /* where the threads' buffers are found */

/* NULL without memory. `log` must live as long. Free it when no other thread answers requests any more; NULL is allowed. */
struct reply *reply_new(const struct log *log);
void reply_free(struct reply *reply);

struct reply_range {
	const struct model *model;
	const struct image *image;
	uint64_t offset, size; /* as asked; may go past the end of the image */
};

/* Answers a read. */
void reply_read(struct reply *reply, fuse_req_t req, const struct reply_range *range);

#endif
