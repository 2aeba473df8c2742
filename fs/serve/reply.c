/* SPDX-License-Identifier: Apache-2.0 */
/* Buffers for each thread hang on a key, whose destructor frees them when the thread ends. */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "fs/base/buffer.h"
#include "fs/serve/pieces.h"
#include "fs/serve/reply.h"

#define NO_SOURCE UINT32_MAX /* whose problem it is not */

struct reply {
	pthread_key_t key; /* of struct buffers */
	const struct log *log;
	atomic_bool trust; /* sources: false once they have proven not to be */
};

struct buffers {
	struct gather *gather;
	struct pieces pieces; /* with trusted sources */
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

struct reply *reply_new(const struct log *log, bool trust)
{
	struct reply *r = calloc(1, sizeof(*r));

	if (!r || pthread_key_create(&r->key, free_buffers) != 0) {
		free(r);
		return NULL;
	}
	r->log = log;
	atomic_init(&r->trust, trust);
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

bool reply_trusts(const struct reply *r)
{
	return atomic_load(&r->trust);
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
	data = buffer_new(size);
	if (!data)
		return NULL;
	free(b->data);
	b->data = data;
	b->size = size;
	return b;
}

static void note(struct reply *r, const struct model *m, uint32_t source, const struct error *err)
{
	if (problem_add(m->problems, m->first_problem + source, err->msg))
		log_error(r->log, "%s", err->msg);
}

static void reply_gathered(struct reply *r, fuse_req_t req, struct buffers *b, const struct gather_range *want)
{
	struct error err;
	uint32_t source;

	if (gather_bytes(b->gather, want, &source, &err) == 0) {
		fuse_reply_buf(req, (const char *)want->dst, want->len);
		return;
	}
	note(r, want->model, source, &err);
	fuse_reply_err(req, EIO);
}

/*
 * A reply that fails here has been answered all the same: by libfuse when it has no memory, by the kernel, with EIO, when a piece is
 * not there any more. (Too many pieces would not be.) So the request is gone, and with it whatever it held: the model is not looked at.
 */
static void reply_pieces(struct reply *r, fuse_req_t req, const struct pieces *pieces)
{
	if (fuse_reply_iov(req, pieces->list, pieces->count) == -EFAULT && atomic_exchange(&r->trust, false))
		log_error(r->log, "a source that was trusted has changed or cannot be read: from now on every read is checked");
}

/* Not ENOMEM: a page fault that gets it is made again and again by the kernel, until there is memory, and its reader hangs. */
static void reply_no_memory(struct reply *r, fuse_req_t req, const struct model *m)
{
	if (problem_add(m->problems, NO_SOURCE, "out of memory: a read has failed"))
		log_error(r->log, "out of memory: a read has failed");
	fuse_reply_err(req, EIO);
}

void reply_read(struct reply *r, fuse_req_t req, const struct reply_range *range)
{
	const struct image *image = range->image;
	uint64_t left = range->offset < image->size ? image->size - range->offset : 0;
	struct gather_range want = { .model = range->model, .image = image, .offset = range->offset };
	struct buffers *b;

	want.len = range->size < left ? range->size : left;
	if (want.len == 0) {
		fuse_reply_buf(req, NULL, 0);
		return;
	}
	b = get_buffers(r, want.len);
	if (!b) {
		reply_no_memory(r, req, range->model);
		return;
	}
	want.dst = b->data;
	if (atomic_load_explicit(&r->trust, memory_order_relaxed) && pieces_find(&b->pieces, &want))
		reply_pieces(r, req, &b->pieces);
	else
		reply_gathered(r, req, b, &want);
}
