/* SPDX-License-Identifier: Apache-2.0 */
/* See loop.h. Threads are cancelled when it is the end, and can be only while they wait for a request. */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "fs/base/signals.h"
#include "fs/base/threads.h"
#include "fs/serve/loop.h"

#define SECOND 1000 /* milliseconds from one look at the threads to the next ... */
#define TICK 50     /* ... and while all of them are busy */

struct loop {
	struct fuse_session *session;
	pthread_t waiter;  /* that is woken by the end */
	atomic_int failed; /* with a negative errno, when the kernel gives no more requests; 0: not */
	_Atomic uint32_t waiting;  /* workers, for a request */
	_Atomic uint64_t answered; /* requests */
	uint32_t count;    /* of workers that were started ... */
	uint32_t most, slow; /* ... and that there may be, and may be where sources are slow */
	struct worker {
		struct loop *loop;
		pthread_t thread;
		struct fuse_buf buf; /* libfuse allocates its memory at the first request */
	} workers[]; /* [most] */
};

/* Waits for a request. Without memory for the buffer, which none has yet: until there is some. */
static int receive(struct worker *w)
{
	const struct timespec nap = { .tv_nsec = 20000000 };
	int rc;

	for (;;) {
		atomic_fetch_add(&w->loop->waiting, 1);
		pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL);
		rc = fuse_session_receive_buf(w->loop->session, &w->buf);
		if (rc == -ENOMEM)
			nanosleep(&nap, NULL);
		pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
		atomic_fetch_sub(&w->loop->waiting, 1);
		if (rc != -ENOMEM && rc != -EINTR && rc != -EAGAIN)
			return rc;
	}
}

static void *answer(void *arg)
{
	struct worker *w = arg;
	int rc = 1;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
	while (!fuse_session_exited(w->loop->session) && (rc = receive(w)) > 0) {
		fuse_session_process_buf(w->loop->session, &w->buf);
		atomic_fetch_add(&w->loop->answered, 1);
	}
	if (rc < 0 && rc != -ECONNABORTED) /* that is an end too: a request was on its way when the mount ended; else libfuse gives 0 */
		atomic_store(&w->loop->failed, rc);
	signals_wake(w->loop->waiter);
	return NULL;
}

static int start_one(struct loop *l, struct error *err)
{
	struct worker *w = &l->workers[l->count];
	int rc;

	w->loop = l;
	rc = threads_start(&w->thread, answer, w, err);
	l->count += rc == 0;
	return rc;
}

/* Ends the threads; false when some cannot. */
static bool stop_all(struct loop *l)
{
	const struct timespec until = threads_until(LOOP_PATIENCE);

	fuse_session_exit(l->session);
	for (uint32_t i = 0; i < l->count; i++)
		pthread_cancel(l->workers[i].thread);
	for (uint32_t i = 0; i < l->count; i++)
		if (!threads_join(l->workers[i].thread, &until))
			return false;
	for (uint32_t i = 0; i < l->count; i++)
		free(l->workers[i].buf.mem);
	return true;
}

int loop_start(struct fuse_session *session, struct loop_threads threads, struct loop **out, struct error *err)
{
	uint32_t most = threads.first > LOOP_MOST ? threads.first : LOOP_MOST;
	struct loop *l = calloc(1, sizeof(*l) + most * sizeof(l->workers[0]));
	int rc = 0;

	if (!l)
		return error_nomem(err);
	l->session = session;
	l->waiter = pthread_self();
	l->most = most;
	l->slow = threads.slow < most ? threads.slow : most;
	while (rc == 0 && l->count < threads.first)
		rc = start_one(l, err);
	if (rc == 0) {
		*out = l;
		return 0;
	}
	if (stop_all(l))
		free(l);
	return rc;
}

/* What the threads were seen doing. */
struct look {
	bool busy;         /* all of them */
	uint64_t answered; /* requests so far */
	uint64_t worked;   /* nanoseconds of processors so far */
};

static struct look look_at(const struct loop *l)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (struct look){ atomic_load(&l->waiting) == 0, atomic_load(&l->answered), (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec };
}

/* All were busy both times, but worked for less than a quarter of it. A daemon that gets no processor looks the same: it will have more of them. */
static bool is_slow(const struct loop *l, const struct look *before, const struct look *now, unsigned milliseconds)
{
	return before->busy && now->busy && now->worked - before->worked < (uint64_t)milliseconds * 1000000 / 4 * l->count;
}

void loop_wait(struct loop *l)
{
	struct look before = { 0 }, now;
	struct error ignored;
	unsigned pause = SECOND, hangs = 0; /* milliseconds */

	for (; !signals_wait(pause); before = now, pause = now.busy ? TICK : SECOND) {
		now = look_at(l);
		hangs = now.busy && now.answered == before.answered ? hangs + pause : 0;
		if ((hangs >= SECOND && l->count < l->most) || (l->count < l->slow && is_slow(l, &before, &now, pause))) {
			start_one(l, &ignored);
			hangs = 0;
		}
	}
}

int loop_stop(struct loop *l, struct error *err)
{
	int rc;

	if (!stop_all(l))
		return error_set(err, -EBUSY, "a source is still being read after %d seconds", LOOP_PATIENCE);
	rc = l->failed;
	free(l);
	return rc < 0 ? error_set(err, rc, "the kernel gives no more requests: %s", strerror(-rc)) : 0;
}
