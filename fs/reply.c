/* SPDX-License-Identifier: Apache-2.0 */
/* Buffers for each thread hang on a key, whose destructor frees them when libfuse ends an idle thread. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "fs/gather.h"
#include "fs/reply.h"

struct reply {
	pthread_key_t key; /* of struct buffers */
	const struct log *log;
};

struct buffers {
	struct gather *gather;
	uint8_t *data; /* [size], on a page */
	uint64_t size;
};

static void free_buffers(void *ptr)
{
	struct buffers *b = ptr;

	gather_free(b->gather);
	free(b->data);
	free(b);
}

struct reply *reply_new(const struct log *log)
{
	struct reply *r = calloc(1, sizeof(*r));

	if (!r || pthread_key_create(&r->key, free_buffers) != 0) {
		free(r);
		return NULL;
	}
	r->log = log;
	return r;
}

void reply_free(struct reply *r)
{
	struct buffers *b = r ? pthread_getspecific(r->key) : NULL;

	if (b)
		free_buffers(b);
	if (r)
		pthread_key_delete(r->key);
	free(r);
}

static struct buffers *new_buffers(struct reply *r)
{
	struct buffers *b = calloc(1, sizeof(*b));

	if (!b)
		return NULL;
	b->gather = gather_new();
	if (!b->gather || pthread_setspecific(r->key, b) != 0) {
		free_buffers(b);
		return NULL;
	}
	return b;
}

/* This thread's buffers, with room for `size` bytes; NULL without memory. */
static struct buffers *get_buffers(struct reply *r, uint64_t size)
{
	struct buffers *b = pthread_getspecific(r->key);
	void *data;

	if (!b)
		b = new_buffers(r);
	if (!b || size <= b->size)
		return b;
	if (posix_memalign(&data, (size_t)sysconf(_SC_PAGESIZE), size) != 0)
		return NULL;
	free(b->data);
	b->data = data;
	b->size = size;
	return b;
}

static void fail(struct reply *r, fuse_req_t req, const struct model *m, uint32_t source, const struct error *err)
{
	if (problem_add(m->problems, m->first_problem + source, err->msg))
		log_error(r->log, "%s", err->msg);
	fuse_reply_err(req, EIO);
}

void reply_read(struct reply *r, fuse_req_t req, const struct reply_range *range)
{
	const struct image *image = range->image;
	uint64_t left = range->offset < image->size ? image->size - range->offset : 0;
	struct gather_range want = { .model = range->model, .image = image, .offset = range->offset };
	struct buffers *b;
	struct error err;
	uint32_t source;

	want.len = range->size < left ? range->size : left;
	if (want.len == 0) {
		fuse_reply_buf(req, NULL, 0);
		return;
	}
	b = get_buffers(r, want.len);
	if (!b) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	want.dst = b->data;
	if (gather_bytes(b->gather, &want, &source, &err) < 0)
		fail(r, req, range->model, source, &err);
	else
		fuse_reply_buf(req, (const char *)b->data, want.len);
}
