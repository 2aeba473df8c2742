/* SPDX-License-Identifier: Apache-2.0 */
/* See below.h. A file is open for a step only, for the mount is busy as long as it is. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "fs/base/threads.h"
#include "fs/serve/below.h"
#include "fs/serve/falls.h"
#include "fs/serve/reader.h"

#define IDLE 3  /* seconds without work, after which the other process ends */
#define REST 60 /* seconds until another one is started where one could not work */

struct below {
	struct hub *hub;
	const char *point;
	pthread_t thread;
	_Atomic pid_t self;     /* the other process, as the kernel knows readers; 0: there is none */
	_Atomic dev_t device;   /* of the mount; 0: not yet */
	_Atomic uint64_t asked; /* bytes */

	pthread_mutex_t lock; /* of everything below; held for a few instructions only */
	pthread_cond_t wake;
	bool stop;
	struct falls falls;
	struct reader reader; /* the thread's; others wake it */
	bool worked;          /* likewise: that process has done something */
	time_t rest;          /* likewise: none is started before */
};

void below_at(struct below *b, dev_t device)
{
	if (b)
		atomic_store(&b->device, device);
}

bool below_is(const struct below *b, pid_t caller)
{
	pid_t self = b ? atomic_load(&b->self) : 0;

	return self && caller == self; /* 0 is whoever our namespace of processes does not have */
}

void below_note(struct below *b, const struct below_read *read)
{
	const struct image *image = b && read->at->node->kind == TREE_IMAGE ? read->at->node->image : NULL;
	struct falls_read fall = { .file = read->number, .offset = read->offset };
	uint64_t extent;

	if (!image || read->offset >= image->size || below_is(b, read->reader))
		return;
	extent = image_find(image, read->offset);
	fall.len = read->size < image->size - read->offset ? read->size : image->size - read->offset;
	fall.start = image->extents[extent].offset;
	fall.end = fall.start + image_extent_len(image, extent);
	if (pthread_mutex_trylock(&b->lock) != 0)
		return;
	if (falls_note(&b->falls, &fall))
		pthread_cond_signal(&b->wake);
	pthread_mutex_unlock(&b->lock);
}

/* The other process, as others of ours see it. */
static void set_reader(struct below *b, struct reader r)
{
	pthread_mutex_lock(&b->lock);
	b->reader = r;
	if (b->stop && r.pid)
		reader_wake(&r);
	pthread_mutex_unlock(&b->lock);
	atomic_store(&b->self, r.pid);
}

static void end_reader(struct below *b)
{
	struct reader r = b->reader;

	set_reader(b, (struct reader){ 0 });
	if (r.pid)
		reader_end(&r);
}

static time_t seconds_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec;
}

static bool has_reader(struct below *b)
{
	struct reader r;

	if (b->reader.pid)
		return true;
	if (seconds_now() < b->rest)
		return false;
	b->worked = false;
	if (reader_start(&r) == 0)
		set_reader(b, r);
	else
		b->rest = seconds_now() + REST;
	return b->reader.pid;
}

/* With the lock held. */
static void wait_for_reads(struct below *b)
{
	const struct timespec until = threads_until(IDLE);

	if (!b->reader.pid) {
		pthread_cond_wait(&b->wake, &b->lock);
	} else if (pthread_cond_timedwait(&b->wake, &b->lock, &until) == ETIMEDOUT) {
		pthread_mutex_unlock(&b->lock);
		end_reader(b);
		pthread_mutex_lock(&b->lock);
	}
}

/* Waits until something is wanted, and takes a step of it; false at the end. */
static bool take(struct below *b, struct reader_task *task)
{
	bool has = false;

	pthread_mutex_lock(&b->lock);
	while (!b->stop && !(has = falls_take(&b->falls, &task->file, &task->offset, &task->len)))
		wait_for_reads(b);
	pthread_mutex_unlock(&b->lock);
	return has;
}

/* Puts `text` before what begins at `at` in `path`; false when there is no room. */
static bool put_before(char *path, size_t *at, const char *text)
{
	size_t len = strlen(text);

	if (len > *at)
		return false;
	while (len > 0)
		path[--*at] = text[--len];
	return true;
}

static bool put_name(char *path, size_t *at, const char *name)
{
	return put_before(path, at, name) && put_before(path, at, "/");
}

/* The path of a node, made from its end; false when it is too long. */
static bool put_path(const struct below *b, const struct hub_node *node, char path[PATH_MAX])
{
	const struct tree *tree = node->tree;
	size_t at = PATH_MAX - 1;
	bool fits = true;

	path[at] = '\0';
	for (const struct tree_node *n = node->node; fits && n != tree->nodes; n = &tree->nodes[n->parent])
		fits = put_name(path, &at, n->name);
	if (fits && hub_is_many(b->hub))
		fits = put_name(path, &at, node->of->name);
	fits = fits && put_before(path, &at, b->point);
	if (fits)
		memmove(path, path + at, PATH_MAX - at);
	return fits;
}

/* False when the file has gone, or it is too early. */
static bool find(const struct below *b, struct reader_task *task)
{
	struct hub_node at;
	bool fits;

	task->device = atomic_load(&b->device);
	if (task->device == 0 || !hub_get(b->hub, task->file, &at))
		return false;
	fits = put_path(b, &at, task->path);
	hub_drop(b->hub, at.of, 1);
	return fits;
}

static bool ask(struct below *b, const struct reader_task *task)
{
	int rc = reader_ask(&b->reader, task);

	b->worked |= rc >= 0;
	if (rc < 0)
		end_reader(b);
	if (!b->worked)
		b->rest = seconds_now() + REST;
	return rc > 0;
}

static void drop(struct below *b, uint64_t number)
{
	pthread_mutex_lock(&b->lock);
	falls_drop(&b->falls, number);
	pthread_mutex_unlock(&b->lock);
}

void below_closed(struct below *b, uint64_t number)
{
	if (b)
		drop(b, number);
}

/* What cannot be done is left to its reader, who asks himself. */
static void *run(void *arg)
{
	struct below *b = arg;
	struct reader_task task;

	while (take(b, &task)) {
		if (find(b, &task) && has_reader(b) && ask(b, &task))
			atomic_fetch_add(&b->asked, task.len);
		else
			drop(b, task.file);
	}
	end_reader(b);
	return NULL;
}

void below_free(struct below *b)
{
	if (!b)
		return;
	pthread_mutex_destroy(&b->lock);
	pthread_cond_destroy(&b->wake);
	free(b);
}

int below_start(struct hub *hub, const char *point, struct below **out, struct error *err)
{
	struct below *b = calloc(1, sizeof(*b));
	int rc;

	if (!b)
		return error_nomem(err);
	b->hub = hub;
	b->point = point;
	pthread_mutex_init(&b->lock, NULL);
	pthread_cond_init(&b->wake, NULL);
	falls_init(&b->falls, (uint64_t)sysconf(_SC_PAGESIZE));
	rc = threads_start(&b->thread, run, b, err);
	if (rc < 0)
		below_free(b);
	else
		*out = b;
	return rc;
}

uint64_t below_sum(const struct below *b)
{
	return b ? atomic_load(&b->asked) : 0;
}

bool below_stop(struct below *b, unsigned seconds)
{
	const struct timespec until = threads_until(seconds);

	if (!b)
		return true;
	pthread_mutex_lock(&b->lock);
	b->stop = true;
	pthread_cond_signal(&b->wake);
	if (b->reader.pid)
		reader_wake(&b->reader);
	pthread_mutex_unlock(&b->lock);
	return threads_join(b->thread, &until);
}
