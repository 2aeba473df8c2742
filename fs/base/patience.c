/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "fs/base/patience.h"
#include "layout/base/error.h"

struct patience {
	const char *(*where)(void *arg);
	void *arg;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	bool ending; /* protected by lock */
};

/* Waits; true when it is the end. */
static bool wait_for(struct patience *p, time_t seconds)
{
	struct timespec until;
	int rc = 0;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += seconds;
	pthread_mutex_lock(&p->lock);
	while (!p->ending && rc != ETIMEDOUT)
		rc = pthread_cond_timedwait(&p->wake, &p->lock, &until);
	bool ending = p->ending;
	pthread_mutex_unlock(&p->lock);
	return ending;
}

static void *look(void *arg)
{
	struct patience *p = arg;
	const char *last = p->where(p->arg), *now;
	time_t seconds = PATIENCE_SECONDS;
	struct error line;

	for (; !wait_for(p, seconds); last = now) {
		now = p->where(p->arg);
		if (!now || now != last) {
			seconds = PATIENCE_SECONDS;
			continue;
		}
		error_set(&line, 0, "%s: still waiting for its storage", now);
		fprintf(stderr, "%sgatherfs: %s\n", isatty(STDERR_FILENO) ? "\r\033[K" : "", line.msg); /* where a progress bar may be */
		seconds *= 2;
	}
	return NULL;
}

struct patience *patience_begin(const char *(*where)(void *arg), void *arg)
{
	struct patience *p = calloc(1, sizeof(*p));
	pthread_condattr_t clock;

	if (!p)
		return NULL;
	p->where = where;
	p->arg = arg;
	pthread_mutex_init(&p->lock, NULL);
	pthread_condattr_init(&clock);
	pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
	pthread_cond_init(&p->wake, &clock);
	pthread_condattr_destroy(&clock);
	if (pthread_create(&p->thread, NULL, look, p) == 0)
		return p;
	pthread_cond_destroy(&p->wake);
	pthread_mutex_destroy(&p->lock);
	free(p);
	return NULL;
}

static const char *itself(void *path)
{
	return path;
}

struct patience *patience_for(const char *path)
{
	return patience_begin(itself, (void *)(uintptr_t)path);
}

void patience_end(struct patience *p)
{
	if (!p)
		return;
	pthread_mutex_lock(&p->lock);
	p->ending = true;
	pthread_cond_signal(&p->wake);
	pthread_mutex_unlock(&p->lock);
	pthread_join(p->thread, NULL);
	pthread_cond_destroy(&p->wake);
	pthread_mutex_destroy(&p->lock);
	free(p);
}
