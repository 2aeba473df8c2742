/* SPDX-License-Identifier: Apache-2.0 */
/* Threads that take no signals: those are for the thread that waits for the end. Faults of the thread's own still reach their handlers. */
#ifndef FS_THREADS_H
#define FS_THREADS_H

#include <pthread.h>
#include <stdbool.h>
#include <time.h>

#include "layout/base/error.h"

/* 0, or a negative errno with its message. */
int threads_start(pthread_t *thread, void *(*run)(void *arg), void *arg, struct error *err);

/* A time so many seconds from now, for threads_join(). */
struct timespec threads_until(unsigned seconds);

/* Waits for the end of a thread until then at the latest; false when it goes on. */
bool threads_join(pthread_t thread, const struct timespec *until);

#endif
