/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading ahead of the readers of a mount, for sources that are not in the page cache: a reader that goes through an image in order
 * waits for one disk or one server after the other, where all of them could be at work. A thread of its own asks the kernel for what
 * comes next, of all files that hold it, in the order in which the image needs it.
 *
 * Whoever answers a read leaves a note of it, and never waits: when the note's place is busy or full, it is lost, and so is nothing
 * but time. What is asked for is in the page cache or it is not; it is read and checked as ever when a reader comes to it.
 */
#ifndef FS_AHEAD_H
#define FS_AHEAD_H

#include <stdatomic.h>

#include "fs/serve/hub.h"

struct ahead;

/* What has been done so far, in bytes of the sources. */
struct ahead_sum {
	uint64_t asked;  /* of the kernel */
	uint64_t spared; /* was in the page cache already, as far as one looked */
};

/*
 * Starts the thread; at most `budget` bytes of images lie between readers and what was asked for. A budget of 0 gives NULL, which all
 * functions below take for one that does nothing. 0, or a negative errno with a message.
 */
int ahead_start(struct hub *hub, uint64_t budget, struct ahead **out, struct error *err);

/*
 * Notes a read of `size` bytes at `offset` of a node that the caller holds. From any thread. Images that are made for an open file
 * (tensors/) are not read ahead.
 */
void ahead_note(struct ahead *a, const struct hub_node *at, uint64_t offset, uint64_t size);

struct ahead_sum ahead_sum(const struct ahead *a);

/* Ends the thread and lets go of what it holds, when nobody notes anything any more; false when it has not ended after so many seconds. */
bool ahead_stop(struct ahead *a, unsigned seconds);

#endif
