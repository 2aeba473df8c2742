/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each file is a task of a pool: it is opened and its header found, read or parsed by whichever thread is free, and put where it waits for
 * its turn. Whoever puts a file there whose turn it is hands it on, and those behind it that wait already; so no thread waits, unless the
 * files before its own take long. Tasks begin in order, so that the one whose turn it is always runs. Memory is that of the distinct
 * headers, of which old ones are let go.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "fs/base/patience.h"
#include "fs/base/pool.h"
#include "fs/base/progress.h"
#include "fs/source/header.h"
#include "fs/source/headers.h"
#include "fs/source/shared.h"
#include "layout/formats/step.h"

#define THREADS_MIN 8 /* a distant filesystem takes its time over each file, whatever the processors do */
#define WAITING_MAX 128 /* files that are opened and wait for their turn, at most */
#define WAITING_MIN 8
#define FEW 8 /* files, whose reading shows no progress: a thread for it takes longer than some of them */
#define FOUND (UINT64_C(1) << 63) /* in a number of entries: it is the cache's, and none of headers that were read */

/* A file that was read, or could not be. */
struct waiting {
	bool there;
	int opened, code; /* of opening it, and of all of it */
	struct source source;
	struct shared_header *header; /* NULL unless code is 0 */
	uint64_t entries; /* of a header that was found: their number; else 0 */
	struct error err;
};

struct reading {
	const struct headers_work *work;
	struct shared *shared;
	struct progress *progress;
	pthread_mutex_t lock;
	pthread_cond_t turned;
	uint64_t turn;   /* protected by lock: the file that is handed on next */
	uint64_t crowded; /* protected by lock: threads that wait for memory rather than for their window */
	bool handing;    /* protected by lock: a thread is handing files on; what follows is that thread's */
	uint64_t ids;    /* that were given out */
	int code;        /* protected by lock: of the file that has ended it ... */
	struct error err; /* ... and why */
	uint64_t window; /* how many files may be open and wait */
	struct waiting waiting[WAITING_MAX]; /* [window] by number of the file modulo window */
};

/* What the header of an open file says, of the cache or of the file. On success w->header is to be given back. */
static int find(struct reading *r, struct header_room *room, struct waiting *w)
{
	const struct headers_cache *cache = r->work->cache;
	const struct source *s = &w->source;
	const struct ckpt *known = cache ? cache->find(cache->arg, s->path, &s->stamp, &w->entries) : NULL;
	struct bytes json;
	int code;

	w->entries = known ? w->entries | FOUND : 0;
	if (known)
		return shared_known(r->shared, known, &w->header, &w->err);
	if (step_is_ckpt(s->path))
		return shared_index(r->shared, s, &w->header, &w->err);
	code = header_read(s, room, &json, &w->err);
	return code == 0 ? shared_parse(r->shared, s, json, &w->header, &w->err) : code;
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
	file->entries = file->entries ? file->entries : header->id;
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

/* Opens a file and finds its header. Its place is this thread's alone until it is said to be there. */
static void prepare(struct reading *r, uint64_t index, struct header_room *room, struct waiting *w)
{
	const struct headers_work *work = r->work;

	w->header = NULL;
	w->opened = w->code = source_open_file(work->paths[index], work->sources->fence, &w->source, &w->err);
	if (w->code == 0)
		w->code = find(r, room, w);
}

/* What is left of a file that is not handed on. */
static void discard(struct reading *r, struct waiting *w)
{
	if (w->opened == 0)
		source_close(&w->source);
	shared_drop(r->shared, w->header);
	w->there = false;
}

/* Hands a file on, be it good or bad, whose turn it is. */
static int settle(struct reading *r, uint64_t index, struct waiting *w)
{
	const struct headers_work *work = r->work;
	struct headers_file file = { .index = index, .entries = w->entries };
	int code = w->opened == 0 ? source_adopt(work->sources, &w->source, &file.source, &w->err) : w->opened;

	if (code == 0)
		code = w->code;
	if (code == 0)
		code = hand_on(r, &file, w->header, &w->err);
	if (code < 0 && work->failed)
		code = work->failed(work->arg, code, &w->err);
	shared_drop(r->shared, w->header);
	return code;
}

/* Hands on all files that are there, unless another thread does. The lock is held, but not while a file is handed on. */
static void hand_all(struct reading *r)
{
	struct waiting *w = &r->waiting[r->turn % r->window];

	if (r->handing)
		return;
	r->handing = true;
	while (w->there && r->code == 0) {
		uint64_t index = r->turn;
		int code;

		pthread_mutex_unlock(&r->lock);
		code = settle(r, index, w);
		pthread_mutex_lock(&r->lock);
		w->there = false;
		r->code = code;
		if (code < 0)
			r->err = w->err;
		r->turn++;
		progress_add(r->progress, 1);
		if (r->turn % (r->window / 4) == 0 || r->crowded || code < 0) /* waking them for each file costs more than reading it */
			pthread_cond_broadcast(&r->turned);
		w = &r->waiting[r->turn % r->window];
	}
	r->handing = false;
}

/*
 * Waits until file `index` may be opened: not too many files before it wait, nor too large ones, unless it is the next to be handed on.
 * The code of the file that has ended it all.
 */
static int wait_for_room(struct reading *r, uint64_t index)
{
	int code;

	pthread_mutex_lock(&r->lock);
	while (r->code == 0 && index != r->turn) {
		bool far = index - r->turn >= r->window;

		if (!far && !shared_is_full(r->shared))
			break;
		r->crowded += !far;
		pthread_cond_wait(&r->turned, &r->lock);
		r->crowded -= !far;
	}
	code = r->code;
	pthread_mutex_unlock(&r->lock);
	return code;
}

static int task(uint64_t index, void *state, void *arg, struct error *err)
{
	struct reading *r = arg;
	struct waiting *w = &r->waiting[index % r->window];
	int code = wait_for_room(r, index);

	if (code == 0) {
		prepare(r, index, state, w);
		pthread_mutex_lock(&r->lock);
		w->there = true;
		hand_all(r);
		code = r->code;
		pthread_mutex_unlock(&r->lock);
	}
	return code < 0 ? error_set(err, code, "no further file is read") : 0;
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

static struct reading *begin(const struct headers_work *work)
{
	struct reading *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	r->work = work;
	r->window = fds_limit() / 8 < WAITING_MIN ? WAITING_MIN : fds_limit() / 8 > WAITING_MAX ? WAITING_MAX : fds_limit() / 8;
	r->shared = shared_new();
	pthread_mutex_init(&r->lock, NULL);
	pthread_cond_init(&r->turned, NULL);
	return r;
}

static void end(struct reading *r)
{
	for (uint64_t i = 0; i < r->window; i++)
		if (r->waiting[i].there)
			discard(r, &r->waiting[i]);
	shared_free(r->shared);
	pthread_cond_destroy(&r->turned);
	pthread_mutex_destroy(&r->lock);
	free(r);
}

/* The file whose turn it is. */
static const char *at_hand(void *arg)
{
	struct reading *r = arg;
	uint64_t turn;

	pthread_mutex_lock(&r->lock);
	turn = r->turn;
	pthread_mutex_unlock(&r->lock);
	return turn < r->work->count ? r->work->paths[turn] : NULL;
}

int headers_read(const struct headers_work *work, struct error *err)
{
	struct reading *r = begin(work);
	uint32_t processors = pool_processors();
	struct pool_work pool = { .count = work->count, .threads = processors > THREADS_MIN ? processors : THREADS_MIN, .task = task,
				  .arg = r, .state_new = room_new, .state_free = room_free };
	struct patience *patience;
	int code;

	if (!r)
		return error_nomem(err);
	patience = patience_begin(at_hand, r);
	r->progress = progress_begin("reading headers", work->count, PROGRESS_FILES, work->quiet || work->count < FEW);
	code = r->shared ? pool_run(&pool, err) : error_nomem(err);
	progress_end(r->progress);
	patience_end(patience);
	if (r->code < 0) { /* the pool knows only that it ended */
		code = r->code;
		*err = r->err;
	}
	end(r);
	return code;
}
