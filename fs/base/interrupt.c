/* SPDX-License-Identifier: Apache-2.0 */
/* See interrupt.h. A signal that the process was started with as ignored (nohup) stays ignored. */
#include <time.h>

#include "fs/base/interrupt.h"

static const int signals[] = { SIGINT, SIGTERM, SIGHUP };

/* Those of the signals that are not ignored. */
static sigset_t watched_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
		struct sigaction now;

		if (sigaction(signals[i], NULL, &now) == 0 && now.sa_handler != SIG_IGN)
			sigaddset(&set, signals[i]);
	}
	return set;
}

/* After the first signal they are let through here, where a second one ends the process. */
static void *watch(void *arg)
{
	struct interrupt *i = arg;
	sigset_t set = watched_signals();
	int number;

	if (sigwait(&set, &number) == 0) {
		atomic_store(&i->stop, true);
		pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	}
	for (;;) {
		struct timespec day = { .tv_sec = 86400 };

		nanosleep(&day, NULL);
	}
	return NULL;
}

void interrupt_begin(struct interrupt *i)
{
	sigset_t set = watched_signals();

	atomic_init(&i->stop, false);
	pthread_sigmask(SIG_BLOCK, &set, &i->old);
	i->watched = pthread_create(&i->thread, NULL, watch, i) == 0;
	if (!i->watched)
		pthread_sigmask(SIG_SETMASK, &i->old, NULL);
}

void interrupt_end(struct interrupt *i)
{
	if (!i->watched)
		return;
	pthread_cancel(i->thread);
	pthread_join(i->thread, NULL);
	pthread_sigmask(SIG_SETMASK, &i->old, NULL);
}
