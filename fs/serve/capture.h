/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What libfuse and fusermount3 write to the standard error stream while they are at work, kept so that it can become part of one
 * message instead of standing before it. For the time before there is a second thread.
 */
#ifndef FS_CAPTURE_H
#define FS_CAPTURE_H

#include <stddef.h>

struct capture {
	int saved; /* the true standard error stream, -1 when nothing is captured */
	int file;  /* what stands in for it */
};

/* From here on the stream goes into a file in memory. Where that cannot be had the stream stays as it is. */
void capture_begin(struct capture *c);

/* Ends it. `text` [room] gets what was written, on one line and without the writers' names in front. */
void capture_end(struct capture *c, char *text, size_t room);

#endif
