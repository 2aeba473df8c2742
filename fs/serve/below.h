/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads for readers who go down (falls.h) what lies below them, while they work on what is above: mapped files that safe_open() copies
 * are loaded in two thirds of the time so. Readers who go up are the kernel's: for them it reads ahead.
 *
 * It is done as any program could do it: another process (reader.h) opens the file of the mount and asks the kernel to read ahead. What it
 * asks for is answered, checked and refused as ever, and where nobody answers, its reader is told so. A thread tells it what to do.
 *
 * Whoever answers a read leaves a note of it, and never waits: when the note's place is busy, it is lost, and so is nothing but time.
 */
#ifndef FS_BELOW_H
#define FS_BELOW_H

#include <sys/types.h>

#include "fs/serve/hub.h"

struct below;

/* Starts the thread, for the mount on `point`, a path without links that must last. It reads nothing before below_at(). */
int below_start(struct hub *hub, const char *point, struct below **out, struct error *err);

/* The mount is there, and has this device number. From any thread. */
void below_at(struct below *b, dev_t device);

/* True of its own requests; `caller` as the kernel tells it. */
bool below_is(const struct below *b, pid_t caller);

/* A read through the page cache, by the thread `reader`. */
struct below_read {
	uint64_t number; /* the kernel's, of the node `at` */
	const struct hub_node *at;
	uint64_t offset, size; /* bytes */
	pid_t reader;
};

/* Notes a read. From any thread. NULL does nothing, nor does a read of its own. */
void below_note(struct below *b, const struct below_read *read);

/* Somebody else has closed a file: what was wanted of it for him is not any more. */
void below_closed(struct below *b, uint64_t number);

/* Bytes that were asked for so far. */
uint64_t below_sum(const struct below *b);

/* Ends the thread, while requests are still answered; false when it has not ended after so many seconds. */
bool below_stop(struct below *b, unsigned seconds);

/* When it has ended and nobody notes or tells anything any more. */
void below_free(struct below *b);

#endif
