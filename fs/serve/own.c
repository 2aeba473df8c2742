/* SPDX-License-Identifier: Apache-2.0 */
/* See own.h. */
#include <pthread.h>
#include <sys/prctl.h>

#include "fs/serve/own.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned waiting; /* threads; under the lock */
static int before;       /* what the process was when nobody waited; likewise */

void own_begin(void)
{
	pthread_mutex_lock(&lock);
	if (waiting++ == 0) {
		before = prctl(PR_GET_DUMPABLE, 0, 0, 0, 0);
		prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	}
	pthread_mutex_unlock(&lock);
}

void own_end(void)
{
	pthread_mutex_lock(&lock);
	if (--waiting == 0 && before == 1)
		prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
	pthread_mutex_unlock(&lock);
}
