/* SPDX-License-Identifier: Apache-2.0 */
/* The threads that answer, over a libfuse of our own making: how the kernel may end a mount, and what no answer may do to the others. */
#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "fs/base/signals.h"
#include "fs/serve/loop.h"

#define THREADS 3

/* What stands in for libfuse and the kernel behind it. */
static atomic_bool exited, released;
static atomic_int ending;          /* what receiving gives when there is no request; 1: waits */
static atomic_int before[4];       /* what it gives before that, from the first on; 0: nothing more */
static atomic_uint requests, at;   /* left to be received, each of which hangs until it is released; next of `before` */
static atomic_uint taken;

int fuse_session_exited(struct fuse_session *se)
{
	(void)se;
	return exited;
}

void fuse_session_exit(struct fuse_session *se)
{
	(void)se;
	exited = true;
}

int fuse_session_receive_buf(struct fuse_session *se, struct fuse_buf *buf)
{
	unsigned n = atomic_fetch_add(&at, 1);

	(void)se;
	(void)buf;
	if (n < 4 && before[n])
		return before[n];
	for (unsigned left = requests; left > 0;)
		if (atomic_compare_exchange_weak(&requests, &left, left - 1))
			return 1;
	while (ending == 1)
		pause(); /* where a thread can be cancelled, as in read() */
	return ending;
}

void fuse_session_process_buf(struct fuse_session *se, const struct fuse_buf *buf)
{
	(void)se;
	(void)buf;
	taken++;
	while (!released)
		usleep(1000);
}

static int end_of(int how, struct error *err)
{
	struct loop *loop;

	ending = how;
	signals_hold();
	cr_assert_eq(loop_start(NULL, (struct loop_threads){ THREADS, THREADS }, &loop, err), 0);
	loop_wait(loop);
	return loop_stop(loop, err);
}

Test(loop, unmounted)
{
	struct error err;

	cr_assert_eq(end_of(0, &err), 0);
}

/* A request that was on its way when the mount ended. */
Test(loop, unmounted_while_a_request_comes)
{
	struct error err;

	cr_assert_eq(end_of(-ECONNABORTED, &err), 0, "%s", err.msg);
}

Test(loop, refused_by_the_kernel)
{
	struct error err;

	cr_assert_eq(end_of(-EIO, &err), -EIO);
	cr_assert_not_null(strstr(err.msg, "no more requests: Input/output error"), "%s", err.msg);
}

/* Neither a signal nor a shortage of memory ends anything. */
Test(loop, tries_again)
{
	static const int gives[] = { -EINTR, -ENOMEM, -EAGAIN, -ENOMEM };
	struct error err;

	for (int i = 0; i < 4; i++)
		before[i] = gives[i];
	requests = 5;
	released = true;
	cr_assert_eq(end_of(0, &err), 0, "%s", err.msg);
	cr_assert_eq(taken, 5);
}

static void *release(void *arg)
{
	while (taken < *(unsigned *)arg)
		usleep(1000);
	ending = 0; /* first: who is released finds the end */
	released = true;
	return NULL;
}

/* Two requests more than there are threads, all of which hang: they are all taken, and only then there is an end. */
Test(loop, more_hang_than_there_are_threads, .timeout = 60)
{
	unsigned all = THREADS + 2;
	pthread_t thread;
	struct error err;

	requests = all;
	signals_hold();
	pthread_create(&thread, NULL, release, &all);
	cr_assert_eq(end_of(1, &err), 0, "%s", err.msg);
	cr_assert_eq(taken, all);
	pthread_join(thread, NULL);
}

/* Threads that only wait are slow: there are more soon, as many as there may be. One a second, as for what hangs, would be too late. */
Test(loop, slow_sources, .timeout = 45)
{
	struct loop_threads threads = { 1, 60 };
	unsigned all = 60;
	struct loop *loop;
	pthread_t thread;
	struct error err;

	requests = all;
	ending = 1;
	signals_hold();
	pthread_create(&thread, NULL, release, &all);
	cr_assert_eq(loop_start(NULL, threads, &loop, &err), 0);
	loop_wait(loop);
	cr_assert_eq(loop_stop(loop, &err), 0);
	cr_assert_eq(taken, all);
	pthread_join(thread, NULL);
}

static void *end(void *arg)
{
	signals_wake(*(pthread_t *)arg);
	return NULL;
}

/* Threads that wait for requests are no reason not to end. */
Test(loop, told_to_end, .timeout = 60)
{
	pthread_t self = pthread_self(), thread;
	struct error err;

	signals_hold();
	pthread_create(&thread, NULL, end, &self);
	cr_assert_eq(end_of(1, &err), 0, "%s", err.msg);
	pthread_join(thread, NULL);
}
