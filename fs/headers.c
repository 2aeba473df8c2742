/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each file is a task of a pool: it is opened and its header found, read or parsed by whichever thread is free; then the task waits
 * for its turn and hands the file on. Tasks begin in order, so the one whose turn it is always runs, and no more files wait than
 * there are threads. Memory is that of the distinct headers, of which old ones are let go.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "fs/header.h"
#include "fs/headers.h"
#include "fs/pool.h"
#include "fs/shared.h"
#include "layout/step.h"

#define THREADS_MIN 8 /* a distant filesystem takes its time over each file, whatever the processors do */

struct reading {
	const struct headers_work *work;
	struct shared *shared;
	pthread_mutex_t lock;
	pthread_cond_t turned;
	uint64_t turn;   /* protected by lock: the file that is handed on next */
	uint64_t ids;    /* that were given out; for whose turn it is */
	bool ended;      /* protected by lock: a file has ended it */
};

/* What the header of an open file says, of the cache or of the file. On success the caller gives *out back. */
static int find(struct reading *r, const struct source *s, struct header_room *room, struct shared_header **out, struct error *err)
{
	const struct headers_cache *cache = r->work->cache;
	const struct ckpt *known = cache ? cache->find(cache->arg, s->path, &s->stamp) : NULL;
	struct bytes json;
	int code;

	if (known)
		return shared_known(r->shared, known, out, err);
	if (step_is_ckpt(s->path))
		return shared_index(r->shared, s, out, err);
	code = header_read(s, room, &json, err);
	return code == 0 ? shared_parse(r->shared, s, json, out, err) : code;
}

/* Waits until all files before `index` are handed on; false when one of them has ended it. */
static bool wait_for_turn(struct reading *r, uint64_t index)
{
	bool go;

	pthread_mutex_lock(&r->lock);
	while (r->turn != index && !r->ended)
		pthread_cond_wait(&r->turned, &r->lock);
	go = !r->ended;
	pthread_mutex_unlock(&r->lock);
	return go;
}

static void end_turn(struct reading *r, bool ended)
{
	pthread_mutex_lock(&r->lock);
	r->turn++;
	r->ended |= ended;
	pthread_cond_broadcast(&r->turned);
	pthread_mutex_unlock(&r->lock);
}

/* Hands a file on whose header is known and whose turn it is. */
static int hand_on(struct reading *r, struct headers_file *file, struct shared_header *header, struct error *err)
{
	const struct headers_work *work = r->work;
	const struct headers_cache *cache = work->cache;
	int code;

	if (header->id == 0)
		header->id = ++r->ids;
	file->id = header->id;
	file->content = header->content;
	code = source_splice(work->sources, file->source, file->content->splices, file->content->splice_count, err);
	if (code == 0)
		code = work->take(work->arg, file, err);
	if (code == 0 && cache) {
		const struct source *s = &work->sources->list[file->source];

		cache->learn(cache->arg, s->path, &s->stamp, file->content, file->id);
	}
	return code;
}

static int task(uint64_t index, void *state, void *arg, struct error *err)
{
	struct reading *r = arg;
	const struct headers_work *work = r->work;
	struct headers_file file = { .index = index };
	struct shared_header *header = NULL;
	struct source source;
	int opened = source_open_file(work->paths[index], work->sources->fence, &source, err), code = opened;

	if (code == 0)
		code = find(r, &source, state, &header, err);
	if (!wait_for_turn(r, index)) {
		if (opened == 0)
			source_close(&source);
		shared_drop(r->shared, header);
		return error_set(err, -ECANCELED, "interrupted");
	}
	if (opened == 0 && (opened = source_adopt(work->sources, &source, &file.source, err)) < 0)
		code = opened;
	if (code == 0)
		code = hand_on(r, &file, header, err);
	if (code < 0 && work->failed)
		code = work->failed(work->arg, code, err);
	end_turn(r, code < 0);
	shared_drop(r->shared, header);
	return code;
}

static void *room_new(void *arg)
{
	(void)arg;
	return calloc(1, sizeof(struct header_room));
}

static void room_free(void *state)
{
	header_room_free(state);
	free(state);
}

int headers_read(const struct headers_work *work, struct error *err)
{
	struct reading r = { .work = work, .shared = shared_new(), .lock = PTHREAD_MUTEX_INITIALIZER, .turned = PTHREAD_COND_INITIALIZER };
	uint32_t processors = pool_processors();
	struct pool_work pool = { .count = work->count, .threads = processors > THREADS_MIN ? processors : THREADS_MIN, .task = task,
				  .arg = &r, .state_new = room_new, .state_free = room_free };
	int code = r.shared ? pool_run(&pool, err) : error_nomem(err);

	shared_free(r.shared);
	pthread_cond_destroy(&r.turned);
	pthread_mutex_destroy(&r.lock);
	return code;
}
