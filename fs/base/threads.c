/* SPDX-License-Identifier: Apache-2.0 */
/* See threads.h. */
#include <signal.h>
#include <string.h>

#include "fs/base/threads.h"

int threads_start(pthread_t *thread, void *(*run)(void *arg), void *arg, struct error *err)
{
	static const int faults[] = { SIGBUS, SIGSEGV, SIGFPE, SIGILL, SIGTRAP, SIGABRT };
	sigset_t most, old;
	int rc;

	sigfillset(&most);
	for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++)
		sigdelset(&most, faults[i]);
	pthread_sigmask(SIG_SETMASK, &most, &old);
	rc = pthread_create(thread, NULL, run, arg);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return rc == 0 ? 0 : error_set(err, -rc, "no thread: %s", strerror(rc));
}

struct timespec threads_until(unsigned seconds)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += seconds;
	return until;
}

bool threads_join(pthread_t thread, const struct timespec *until)
{
	return pthread_timedjoin_np(thread, NULL, until) == 0;
}
