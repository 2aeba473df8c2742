/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The signals of a process that serves a mount. Those that ask for its end (HUP, INT, TERM, QUIT, XCPU) end it in order, so that no
 * dead mount is left: they are held back from before it mounts, and one thread waits for them. Those that mean nothing to it (PIPE, USR1,
 * USR2, ALRM ...) are no reason to die.
 */
#ifndef FS_SIGNALS_H
#define FS_SIGNALS_H

#include <pthread.h>
#include <stdbool.h>

/* Holds back the signals of the first kind, from before a process mounts until it ends, or leaves the mount to another. */
void signals_hold(void);
void signals_release(void);

/* Has those of the second kind ignored. */
void signals_ignore(void);

/*
 * Waits for a signal of the first kind, which must be held back in every thread; those held back since are not missed. False when none
 * has come after so many milliseconds.
 */
bool signals_wait(unsigned milliseconds);

/* Ends the wait of the thread `waiter`, or the one that it begins later. */
void signals_wake(pthread_t waiter);

#endif
