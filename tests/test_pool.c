/* SPDX-License-Identifier: Apache-2.0 */
/* Threads over tasks: every task once, the error of the lowest one, stopping, what a thread has for itself. */
#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "fs/base/pool.h"

#define TASKS 5000

struct board {
	_Atomic uint32_t done[TASKS];
	_Atomic uint32_t states, freed, blocked;
	atomic_bool stop;
	uint64_t fail_from, stop_at; /* TASKS: never */
};

struct state {
	struct board *board;
	uint64_t last; /* task, 0 before the first: a thread's tasks ascend */
};

static void *state_new(void *arg)
{
	struct state *s = calloc(1, sizeof(*s));

	s->board = arg;
	s->board->states++;
	return s;
}

static void state_free(void *state)
{
	struct state *s = state;

	s->board->freed++;
	free(s);
}

static int task(uint64_t index, void *state, void *arg, struct error *err)
{
	struct board *b = arg;
	struct state *s = state;
	sigset_t now;

	cr_assert(s->last == 0 || index > s->last);
	s->last = index;
	b->done[index]++;
	pthread_sigmask(SIG_BLOCK, NULL, &now);
	if (sigismember(&now, SIGINT) && !sigismember(&now, SIGBUS))
		b->blocked++;
	if (index == b->stop_at)
		atomic_store(&b->stop, true);
	while (index > b->stop_at && !atomic_load(&b->stop))
		sched_yield();
	return index >= b->fail_from ? error_set(err, -EIO, "task %d", (int)index) : 0;
}

static int run(struct board *b, uint32_t threads, struct error *err)
{
	struct pool_work work = { .count = TASKS, .threads = threads, .task = task, .arg = b, .state_new = state_new,
				  .state_free = state_free, .stop = &b->stop };
	int code = pool_run(&work, err);

	cr_assert(b->states >= 1 && b->states <= threads);
	cr_assert_eq(b->states, b->freed);
	return code;
}

static struct board *board_new(void)
{
	struct board *b = calloc(1, sizeof(*b));

	b->fail_from = b->stop_at = TASKS;
	return b;
}

Test(pool, does_every_task_once)
{
	static const uint32_t threads[] = { 1, 2, 7, POOL_THREADS_MAX };

	for (size_t t = 0; t < sizeof(threads) / sizeof(*threads); t++) {
		struct board *b = board_new();
		struct error err = { "" };

		cr_assert_eq(run(b, threads[t], &err), 0);
		for (uint32_t i = 0; i < TASKS; i++)
			cr_assert_eq(b->done[i], 1, "%u threads: task %u", threads[t], i);
		cr_assert(threads[t] > 1 || b->blocked == 0, "the caller keeps its signals");
		free(b);
	}
}

/* From fail_from on every task fails; whichever does so first, the lowest is reported, and the others end soon. */
Test(pool, reports_the_lowest_error)
{
	for (uint32_t threads = 1; threads < 9; threads++)
		for (uint64_t at = 0; at < 3000; at += 997) {
			struct board *b = board_new();
			struct error err = { "" };
			char want[32];
			uint32_t begun = 0;

			b->fail_from = at;
			cr_assert_eq(run(b, threads, &err), -EIO);
			snprintf(want, sizeof(want), "task %d", (int)at);
			cr_assert_str_eq(err.msg, want);
			for (uint32_t i = 0; i < TASKS; i++)
				begun += b->done[i];
			cr_assert(begun > at && begun <= at + threads, "%u tasks begun", begun);
			free(b);
		}
}

Test(pool, stops)
{
	for (uint32_t threads = 1; threads < 5; threads++) {
		struct board *b = board_new();
		struct error err = { "" };

		b->stop_at = 1000;
		cr_assert_eq(run(b, threads, &err), -ECANCELED);
		cr_assert_eq(b->done[1000], 1);
		cr_assert_eq(b->done[1000 + threads], 0);
		free(b);
	}
}

Test(pool, stopped_before_it_begins_or_with_nothing_left)
{
	struct board *b = board_new();
	struct error err = { "" };

	atomic_store(&b->stop, true);
	cr_assert_eq(run(b, 2, &err), -ECANCELED);
	cr_assert_eq(b->done[0], 0);
	free(b);
	b = board_new();
	b->stop_at = TASKS - 1;
	cr_assert_eq(run(b, 1, &err), 0, "all was done");
	free(b);
}

static void *no_state(void *arg)
{
	(void)arg;
	return NULL;
}

Test(pool, nothing_to_do_and_no_memory)
{
	struct error err = { "" };
	struct board *b = board_new();
	struct pool_work work = { .task = task, .arg = b, .state_new = no_state, .state_free = state_free };

	cr_assert_eq(pool_run(&work, &err), 0);
	work.count = 4;
	cr_assert_eq(pool_run(&work, &err), -ENOMEM);
	cr_assert_eq(b->done[0], 0);
	free(b);
}
