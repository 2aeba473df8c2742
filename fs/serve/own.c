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

	close_range(3, ~0U, CLOSE_RANGE_UNSHARE); /* a kernel without it has the connection in the way of its end, for that moment */
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	q->ask(q->arg);
	if (dumpable == 1)
		prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
	return NULL;
}

int own_ask(void (*ask)(void *arg), void *arg, struct error *err)
{
	struct question q = { ask, arg };
	pthread_t thread;
	int rc = threads_start(&thread, ask_without_connection, &q, err);

	if (rc == 0)
		pthread_join(thread, NULL);
	return rc;
}
