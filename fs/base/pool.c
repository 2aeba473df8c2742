/* SPDX-License-Identifier: Apache-2.0 */
/* See pool.h. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <unistd.h>

#include "fs/base/pool.h"
#include "fs/base/threads.h"

struct pool {
	const struct pool_work *work;
	pthread_mutex_t lock;
	uint64_t next;      /* protected by lock: the task to hand out */
	uint64_t failed_at; /* protected by lock: the lowest task that failed, work->count while none has */
	int code;           /* protected by lock: its error ... */
	struct error *err;  /* protected by lock: ... and its message */
};

uint32_t pool_processors(void)
{
	cpu_set_t set;
	long n = sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set) : sysconf(_SC_NPROCESSORS_ONLN);

	return n < 1 ? 1 : n > POOL_THREADS_MAX ? POOL_THREADS_MAX : (uint32_t)n;
}

static bool stopped(const struct pool_work *work)
{
	return work->stop && atomic_load(work->stop);
}

/* The next task, false when there is none or an earlier one failed. */
static bool take(struct pool *pool, uint64_t *index)
{
	bool some;

	pthread_mutex_lock(&pool->lock);
	some = pool->code == 0 && pool->next < pool->work->count && !stopped(pool->work);
	if (some)
		*index = pool->next++;
	pthread_mutex_unlock(&pool->lock);
	return some;
}

static void fail(struct pool *pool, uint64_t index, int code, const struct error *err)
{
	pthread_mutex_lock(&pool->lock);
	if (pool->code == 0 || index < pool->failed_at) {
		pool->failed_at = index;
		pool->code = code;
		*pool->err = *err;
	}
	pthread_mutex_unlock(&pool->lock);
}

static void do_tasks(struct pool *pool, void *state)
{
	const struct pool_work *work = pool->work;
	struct error err;
	uint64_t index;

	while (take(pool, &index)) {
		int code = work->task(index, state, work->arg, &err);

		if (code < 0)
			fail(pool, index, code, &err);
	}
}

static void *thread_main(void *arg)
{
	struct pool *pool = arg;
	const struct pool_work *work = pool->work;
	void *state = work->state_new ? work->state_new(work->arg) : NULL;
	struct error err;

	if (work->state_new && !state)
		fail(pool, work->count, error_nomem(&err), &err);
	else
		do_tasks(pool, state);
	if (state)
		work->state_free(state);
	return NULL;
}

/* Starts up to `count` threads, as many as can be had; how many there are. */
static uint32_t start(struct pool *pool, pthread_t *threads, uint32_t count)
{
	struct error ignored;
	uint32_t n = 0;

	while (n < count && threads_start(&threads[n], thread_main, pool, &ignored) == 0)
		n++;
	return n;
}

int pool_run(const struct pool_work *work, struct error *err)
{
	struct pool pool = { .work = work, .lock = PTHREAD_MUTEX_INITIALIZER, .failed_at = work->count, .err = err };
	uint64_t want = work->threads ? work->threads : pool_processors();
	pthread_t threads[POOL_THREADS_MAX];
	uint32_t started;

	if (want > work->count)
		want = work->count;
	if (want > POOL_THREADS_MAX)
		want = POOL_THREADS_MAX;
	started = want > 1 ? start(&pool, threads, (uint32_t)want - 1) : 0;
	if (work->count > 0)
		thread_main(&pool);
	for (uint32_t i = 0; i < started; i++)
		pthread_join(threads[i], NULL);
	pthread_mutex_destroy(&pool.lock);
	if (pool.code == 0 && pool.next < work->count)
		return error_set(err, -ECANCELED, "interrupted");
	return pool.code;
}
