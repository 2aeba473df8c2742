/* SPDX-License-Identifier: Apache-2.0 */
/* See signals.h. No handler runs: the signals stay blocked, and are waited for. */
#include <pthread.h>
#include <signal.h>
#include <time.h>

#include "fs/base/signals.h"

#define WAKES SIGQUIT

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static const int ends[] = { SIGHUP, SIGINT, SIGTERM, SIGQUIT, SIGXCPU };
static const int means_nothing[] = { SIGPIPE, SIGUSR1, SIGUSR2, SIGALRM, SIGVTALRM, SIGPROF, SIGIO, SIGPWR, SIGXFSZ };

static void change(int how)
{
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < COUNT(ends); i++)
		sigaddset(&set, ends[i]);
	pthread_sigmask(how, &set, NULL);
}

void signals_hold(void)
{
	change(SIG_BLOCK);
}

void signals_release(void)
{
	change(SIG_UNBLOCK);
}

void signals_ignore(void)
{
	for (size_t i = 0; i < COUNT(means_nothing); i++)
		signal(means_nothing[i], SIG_IGN);
	for (int number = SIGRTMIN; number <= SIGRTMAX; number++)
		signal(number, SIG_IGN);
}

/* A shell may have had HUP, INT or TERM ignored (nohup): that is respected. Being blocked, they would be waited for all the same. */
static bool counts(int number)
{
	struct sigaction action;

	if (number == SIGQUIT || number == SIGXCPU)
		return true;
	return sigaction(number, NULL, &action) == 0 && action.sa_handler != SIG_IGN;
}

bool signals_wait(unsigned milliseconds)
{
	const struct timespec limit = { .tv_sec = milliseconds / 1000, .tv_nsec = milliseconds % 1000 * 1000000L };
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < COUNT(ends); i++)
		if (counts(ends[i]))
			sigaddset(&set, ends[i]);
	return sigtimedwait(&set, NULL, &limit) > 0;
}

void signals_wake(pthread_t waiter)
{
	pthread_kill(waiter, WAKES);
}
