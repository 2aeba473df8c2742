/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The read path of a mount: gathers what a read asks for into a buffer of the thread, and replies. A failed gathering is an I/O
 * error for the reader, a line in the log the first time, and an entry in the model's problems. With trusted sources a reply is
 * made of the memory that they are mapped to, where its pieces are few and not small (pieces.h says what that costs); the first such
 * reply that fails is an I/O error too, and the end of the trust: all that is read later is gathered, and checked.
 *
 * Every thread that answers requests has buffers of its own, made at its first read and freed when it ends; so a read takes no
 * lock and, after the first, allocates nothing.
 */
#ifndef FS_REPLY_H
#define FS_REPLY_H

#include <fuse_lowlevel.h>

#include "fs/base/log.h"
#include "fs/model/model.h"

struct reply; /* where the threads' buffers are found */

/* NULL without memory. `log` must live as long; `trust` for trusted sources. Free it when no other thread answers requests; NULL is allowed. */
struct reply *reply_new(const struct log *log, bool trust);
void reply_free(struct reply *reply);

/* Whether sources are trusted, and not found out yet. */
bool reply_trusts(const struct reply *reply);

struct reply_range {
	const struct model *model;
	const struct image *image;
	uint64_t offset, size; /* as asked; may go past the end of the image */
};

/* Answers a read. */
void reply_read(struct reply *reply, fuse_req_t req, const struct reply_range *range);

#endif
