/* SPDX-License-Identifier: Apache-2.0 */
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "fs/base/threads.h"
#include "fs/model/gather.h"
#include "fs/serve/falls.h"
#include "fs/serve/push.h"

struct push {
	struct fuse_session *session;
	struct hub *hub;
	struct ahead *ahead;
	pthread_t thread;
	_Atomic uint64_t pushed; /* bytes */

	/* Of the thread. */
	struct gather *gather;
	uint8_t *data; /* [FALLS_STEP], on a page */

	pthread_mutex_t lock; /* of everything below; held for a few instructions only */
	pthread_cond_t wake;
	bool stop;
	struct falls falls;
};

/* A part of a file that is to be pushed. */
struct part {
	uint64_t file, offset, len;
};

void push_note(struct push *p, uint64_t ino, const struct hub_node *at, uint64_t offset, uint64_t size)
{
	const struct image *image = p && at->node->kind == TREE_IMAGE ? at->node->image : NULL;
	struct falls_read read = { .file = ino, .offset = offset };
	uint64_t extent;

	if (!image || offset >= image->size)
		return;
	extent = image_find(image, offset);
	read.len = size < image->size - offset ? size : image->size - offset;
	read.start = image->extents[extent].offset;
	read.end = read.start + image_extent_len(image, extent);
	if (pthread_mutex_trylock(&p->lock) != 0)
		return;
	if (falls_note(&p->falls, &read))
		pthread_cond_signal(&p->wake);
	pthread_mutex_unlock(&p->lock);
}

/* Waits until something is wanted, and takes a step of it; false at the end. */
static bool take(struct push *p, struct part *part)
{
	bool has = false;

	pthread_mutex_lock(&p->lock);
	while (!p->stop && !(has = falls_take(&p->falls, &part->file, &part->offset, &part->len)))
		pthread_cond_wait(&p->wake, &p->lock);
	pthread_mutex_unlock(&p->lock);
	return has;
}

static bool store(struct push *p, const struct part *part)
{
	struct fuse_bufvec data = FUSE_BUFVEC_INIT(part->len);

	data.buf[0].mem = p->data;
	return fuse_lowlevel_notify_store(p->session, part->file, (off_t)part->offset, &data, 0) == 0;
}

/* False when the reader had better ask himself: an image that has gone, bytes that cannot be read, a kernel that does not want them. */
static bool push(struct push *p, const struct part *part)
{
	struct hub_node at;
	struct error err;
	uint32_t source;
	bool done;

	if (!hub_get(p->hub, part->file, &at))
		return false;
	ahead_note(p->ahead, &at, part->offset, part->len);
	done = gather_bytes(p->gather, &(struct gather_range){ at.model, at.node->image, part->offset, part->len, p->data }, &source, &err) == 0;
	hub_drop(p->hub, at.of, 1);
	return done && store(p, part);
}

static void *run(void *arg)
{
	struct push *p = arg;
	struct part part;

	while (take(p, &part)) {
		if (push(p, &part)) {
			atomic_fetch_add(&p->pushed, part.len);
			continue;
		}
		pthread_mutex_lock(&p->lock);
		falls_drop(&p->falls, part.file);
		pthread_mutex_unlock(&p->lock);
	}
	return NULL;
}

void push_free(struct push *p)
{
	if (!p)
		return;
	gather_free(p->gather);
	free(p->data);
	pthread_mutex_destroy(&p->lock);
	pthread_cond_destroy(&p->wake);
	free(p);
}

int push_start(struct fuse_session *session, struct hub *hub, struct ahead *ahead, struct push **out, struct error *err)
{
	struct push *p = calloc(1, sizeof(*p));
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	void *data = NULL;
	int rc = 0;

	if (!p)
		return error_nomem(err);
	*p = (struct push){ .session = session, .hub = hub, .ahead = ahead, .gather = gather_new() };
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->wake, NULL);
	falls_init(&p->falls, page);
	if (!p->gather || posix_memalign(&data, page, FALLS_STEP) != 0)
		rc = error_nomem(err);
	p->data = data;
	if (rc == 0)
		rc = threads_start(&p->thread, run, p, err);
	if (rc < 0)
		push_free(p);
	else
		*out = p;
	return rc;
}

uint64_t push_sum(const struct push *p)
{
	return p ? atomic_load(&p->pushed) : 0;
}

bool push_stop(struct push *p, unsigned seconds)
{
	const struct timespec until = threads_until(seconds);

	if (!p)
		return true;
	pthread_mutex_lock(&p->lock);
	p->stop = true;
	pthread_cond_signal(&p->wake);
	pthread_mutex_unlock(&p->lock);
	return threads_join(p->thread, &until);
}
