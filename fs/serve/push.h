/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Puts pages into the kernel's page cache before readers who go down (falls.h) ask for them: a thread of its own gathers them, as for a
 * read, and checks the stamps of their sources, while the reader works on what is above. Mapped files that safe_open() copies are loaded
 * in two thirds of the time so. Readers who go up are the kernel's: for them it reads ahead, and a thread that pushes as well lost.
 *
 * Whoever answers a read leaves a note of it, and never waits: when the note's place is busy, it is lost, and so is nothing but time. What
 * cannot be gathered is not pushed: the reader asks for it, and is told.
 *
 * Storing waits for pages that a request holds: so the thread must have ended before those that answer requests do.
 */
#ifndef FS_PUSH_H
#define FS_PUSH_H

#include <fuse_lowlevel.h>

#include "fs/serve/ahead.h"

struct push;

/* Starts the thread. `ahead` is told of what it reads, as of any read; may be NULL. 0, or a negative errno with a message. */
int push_start(struct fuse_session *session, struct hub *hub, struct ahead *ahead, struct push **out, struct error *err);

/* Notes a read through the page cache of the kernel's number `ino`, which is `at`. From any thread. NULL does nothing. */
void push_note(struct push *p, uint64_t ino, const struct hub_node *at, uint64_t offset, uint64_t size);

/* Bytes that were pushed so far. */
uint64_t push_sum(const struct push *p);

/* Ends the thread; false when it has not ended after so many seconds. */
bool push_stop(struct push *p, unsigned seconds);

/* When it has ended and nobody notes anything any more. */
void push_free(struct push *p);

#endif
