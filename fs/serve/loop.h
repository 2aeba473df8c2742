/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The threads that answer requests. Each takes the buffer for its requests before it waits for the first: a shortage of memory that comes
 * later finds nothing to refuse to them. (fuse_session_loop_mt() makes threads as they are wanted, and ends, losing requests, when one
 * gets no memory.)
 *
 * One more than there are processors do most: with twice as many, which take turns, more memory goes through the caches, and one reader
 * with O_DIRECT had 0.77 of the throughput. But threads that wait for slow sources work for nobody: while all are busy and the processors are
 * not, more are started, up to a number.
 *
 * A source that hangs takes the threads that read it away. While none is left, and nothing is answered, another one is started each
 * second, so that the rest of the mount goes on; where there is no memory for it, it waits for some.
 */
#ifndef FS_LOOP_H
#define FS_LOOP_H

#include <fuse_lowlevel.h>
#include <stdint.h>

#include "layout/base/error.h"

#define LOOP_PATIENCE 10 /* seconds that an answer may take when it is the end */
#define LOOP_MOST 64     /* threads, those included that hang, unless more were asked for */

struct loop;

struct loop_threads {
	uint32_t first; /* at least 1 */
	uint32_t slow;  /* that there may be where sources are slow */
};

/* Begins to answer the requests of `session`. 0, or a negative errno with its message. */
int loop_start(struct fuse_session *session, struct loop_threads threads, struct loop **out, struct error *err);

/* Waits until the mount is unmounted or a signal asks for the end (signals.h), in the thread that called loop_start(). */
void loop_wait(struct loop *loop);

/*
 * Answers no more. 0; a negative errno with its message when the kernel has refused to give requests. -EBUSY when an answer is
 * still being made after LOOP_PATIENCE seconds, by a source that hangs: its thread uses the session and what it serves, so the
 * process must be left, and nothing freed.
 */
int loop_stop(struct loop *loop, struct error *err);

#endif
