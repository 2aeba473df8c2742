/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threads over a numbered list of tasks. Tasks are handed out in order, one at a time, to whichever thread is free; the caller is
 * one of the threads, so that work is done even where no other can be had.
 *
 * The first error ends it: no further task begins, those that run are waited for, and of several errors the one with the lowest
 * number is reported. All tasks before it have begun by then, so that the same input gives the same error with any threads.
 *
 * The threads have every signal blocked but those of a fault, so that handlers run in the caller's thread.
 */
#ifndef FS_POOL_H
#define FS_POOL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "layout/base/error.h"

#define POOL_THREADS_MAX 64

struct pool_work {
	uint64_t count;   /* tasks 0 .. count-1 */
	uint32_t threads; /* at most this many; 0: one for each processor */

	/* Does task `index`: 0, or a negative errno and a message in *err. Runs in any of the threads. */
	int (*task)(uint64_t index, void *state, void *arg, struct error *err);
	void *arg;        /* shared by all */

	/* What a thread has for itself, made before its first task; NULL without memory. Both may be NULL: then `state` is NULL. */
	void *(*state_new)(void *arg);
	void (*state_free)(void *state);

	const atomic_bool *stop; /* NULL, or becomes true (by a signal handler) when no further task shall begin */
};

/* Processors that this process may run on, at most POOL_THREADS_MAX. */
uint32_t pool_processors(void);

/* Does the work. 0 when every task did; the error of a task; -ECANCELED when it was stopped before all tasks had begun; -ENOMEM. */
int pool_run(const struct pool_work *work, struct error *err);

#endif
