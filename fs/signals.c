/* SPDX-License-Identifier: Apache-2.0 */
/* libfuse's handler ends the session by whatever signal it is called for; it is given the ones that libfuse leaves alone too. */
#include <fuse_lowlevel.h>
#include <pthread.h>
#include <signal.h>

#include "fs/signals.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static const int ends[] = { SIGHUP, SIGINT, SIGTERM, SIGQUIT, SIGXCPU };
static const int means_nothing[] = { SIGUSR1, SIGUSR2, SIGALRM, SIGVTALRM, SIGPROF, SIGIO, SIGPWR, SIGXFSZ };

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

int signals_take(struct fuse_session *session)
{
	struct sigaction action;

	if (fuse_set_signal_handlers(session) < 0 || sigaction(SIGTERM, NULL, &action) < 0)
		return -1;
	for (size_t i = 0; i < COUNT(ends); i++)
		if (ends[i] == SIGQUIT || ends[i] == SIGXCPU) /* a shell may have had the others ignored, and libfuse respects that */
			sigaction(ends[i], &action, NULL);
	for (size_t i = 0; i < COUNT(means_nothing); i++)
		signal(means_nothing[i], SIG_IGN);
	for (int number = SIGRTMIN; number <= SIGRTMAX; number++)
		signal(number, SIG_IGN);
	signals_release();
	return 0;
}
