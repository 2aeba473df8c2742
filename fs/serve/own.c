/* SPDX-License-Identifier: Apache-2.0 */
/* See own.h. */
#include <sys/prctl.h>
#include <unistd.h>

#include "fs/base/threads.h"
#include "fs/serve/own.h"

struct question {
	void (*ask)(void *arg);
	void *arg;
};

static void *ask_without_connection(void *arg)
{
	const struct question *q = arg;
	int dumpable = prctl(PR_GET_DUMPABLE, 0, 0, 0, 0);

	close_range(3, ~0U, CLOSE_RANGE_UNSHARE);
	if (dumpable == 1)
		prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	q->ask(q->arg);
	if (dumpable == 1)
		prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
	return NULL;
}

void own_ask(void (*ask)(void *arg), void *arg)
{
	struct question q = { ask, arg };
	struct error ignored;
	pthread_t thread;

	if (threads_start(&thread, ask_without_connection, &q, &ignored) == 0)
		pthread_join(thread, NULL);
	else
		ask(arg);
}
