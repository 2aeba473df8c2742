/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Being told to end (SIGINT, SIGTERM, SIGHUP) while there is something to leave in order: the first signal sets a flag that the work
 * looks at, a second one ends the process at once.
 *
 * A thread of its own waits for the signals, so there is no handler and nothing global. Threads that are started between begin and
 * end have the signals blocked, as the caller has.
 */
#ifndef FS_INTERRUPT_H
#define FS_INTERRUPT_H

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>

struct interrupt {
	atomic_bool stop; /* becomes true with the first signal */
	bool watched;     /* there is a thread; without one signals do what they always do */
	pthread_t thread;
	sigset_t old;
};

void interrupt_begin(struct interrupt *i);
void interrupt_end(struct interrupt *i);

#endif
