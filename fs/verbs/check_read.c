/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The part of check that takes time. Chunks are read as they lie in the files, a task's in one thread, so that files are read forward
 * whatever tensors are in them; nothing is compared here, only hashed.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/base/buffer.h"
#include "fs/base/pool.h"
#include "fs/verbs/checking.h"
#include "layout/formats/step.h"

#define WINDOW (UINT64_C(384) << 10) /* bytes read at a time: fits the second-level cache, and is a multiple of 6 and 8 */

static void trouble(struct check *c, uint32_t source, const char *msg, bool crc)
{
	pthread_mutex_lock(&c->lock);
	if (!c->trouble[source]) {
		c->trouble[source] = arena_strndup(c->arena, msg, strlen(msg));
		c->findings.failed |= !c->trouble[source];
		c->bad_crc[source] = crc;
	}
	pthread_mutex_unlock(&c->lock);
}

/* Adds what a window of a chunk has to what is known of the chunk. */
static void look(struct finite *known, enum dtype dtype, const uint8_t *window, uint64_t at, uint64_t len)
{
	struct finite here = finite_count(dtype, window, len);

	if (here.nan + here.infinite == 0)
		return;
	if (known->nan + known->infinite == 0)
		known->first = at * 8 / dtype_bits(dtype) + here.first;
	known->nan += here.nan;
	known->infinite += here.infinite;
}

static int read_chunk(struct check *c, uint64_t number, uint8_t *window, struct error *err)
{
	const struct replica_chunk *chunk = &c->replicas.chunks[number];
	const struct replica *r = &c->replicas.list[chunk->replica];
	const struct source *source = &c->model->sources->list[chunk->source];
	bool hashed = replicas_is_compared(&c->replicas, chunk->replica), looked = c->values && r->copy.serves;
	struct fingerprint_state *hash = hashed ? fingerprint_begin() : NULL;
	int code = hashed && !hash ? error_nomem(err) : 0;

	for (uint64_t at = 0, len; code == 0 && at < chunk->len; at += len) {
		len = chunk->len - at < WINDOW ? chunk->len - at : WINDOW;
		code = source_read(source, chunk->address + at, window, len, err);
		if (code == 0 && hash)
			fingerprint_add(hash, window, len);
		if (code == 0 && looked)
			look(&c->values[number], r->tensor->dtype, window, at, len);
		progress_add(c->progress, len);
	}
	if (hash)
		c->hash[number] = fingerprint_end(hash);
	if (code < 0 && code != -ENOMEM) {
		atomic_store(&c->unread[chunk->replica], true);
		trouble(c, chunk->source, err->msg, false);
		code = 0;
	}
	return code;
}

/* True when a header of any file has a checksum. */
static bool has_crc_num(const struct checkpoint *ckpt)
{
	for (uint64_t i = 0; i < ckpt->meta_count; i++)
		if (strcmp(ckpt->meta[i].key, "crc_num") == 0)
			return true;
	return false;
}

static bool may_have_crc(const struct check *c, const struct source *source)
{
	return step_is_ckpt(source->path) || has_crc_num(c->model->checkpoint);
}

static int check_file(struct check *c, uint32_t number, struct error *err)
{
	const struct source *source = &c->model->sources->list[number];
	int code = may_have_crc(c, source) ? check_crc_file(source, c->progress, err) : 0;

	if (code == -ENOMEM)
		return code;
	if (code < 0)
		trouble(c, number, err->msg, code == -EBADMSG);
	return 0;
}

/* Checksums first: each is one long task. */
static int do_task(uint64_t index, void *state, void *arg, struct error *err)
{
	struct check *c = arg;
	uint32_t files = c->model->sources->count;
	int code = 0;

	if (index < files)
		return check_file(c, (uint32_t)index, err);
	index -= files;
	for (uint64_t i = c->replicas.tasks[index]; code == 0 && i < c->replicas.tasks[index + 1]; i++)
		code = read_chunk(c, c->replicas.order[i], state, err);
	return code;
}

static uint64_t bytes_to_read(const struct check *c)
{
	const struct sources *s = c->model->sources;
	uint64_t bytes = c->replicas.bytes;

	for (uint32_t i = 0; i < s->count; i++)
		bytes += may_have_crc(c, &s->list[i]) ? s->list[i].stamp.size : 0;
	return bytes;
}

static void *window_new(void *arg)
{
	(void)arg;
	return buffer_new(WINDOW);
}

static void report(struct check *c)
{
	const struct sources *s = c->model->sources;
	struct error change;

	for (uint32_t i = 0; i < s->count; i++) {
		const char *msg = c->trouble[i];

		if (!msg && source_unchanged(&s->list[i], &change) < 0)
			findings_add(&c->findings, FINDINGS_READ, true, "%s", change.msg)->file = s->list[i].path;
		if (msg)
			findings_add(&c->findings, c->bad_crc[i] ? FINDINGS_CRC : FINDINGS_READ, true, "%s", msg)->file = s->list[i].path;
	}
}

int check_read(struct check *c, struct error *err)
{
	struct replicas *r = &c->replicas;
	uint32_t files = c->model->sources->count;
	struct pool_work work = { .threads = c->options->max_threads, .task = do_task, .arg = c, .state_new = window_new, .state_free = free };
	int code = replicas_make(c->model->checkpoint, c->arena, r);

	c->hash = arena_alloc(c->arena, r->chunk_count, sizeof(*c->hash));
	c->values = c->options->values ? arena_alloc(c->arena, r->chunk_count, sizeof(*c->values)) : NULL;
	c->unread = arena_alloc(c->arena, r->count, sizeof(*c->unread));
	c->trouble = arena_alloc(c->arena, files, sizeof(*c->trouble));
	c->bad_crc = arena_alloc(c->arena, files, sizeof(*c->bad_crc));
	if (code < 0 || !c->hash || !c->unread || !c->trouble || !c->bad_crc || (c->options->values && !c->values))
		return error_nomem(err);
	work.count = files + r->task_count;
	pthread_mutex_init(&c->lock, NULL);
	c->progress = progress_begin("checking", bytes_to_read(c), PROGRESS_BYTES, c->options->quiet);
	code = pool_run(&work, err);
	progress_end(c->progress);
	pthread_mutex_destroy(&c->lock);
	if (code == 0)
		report(c);
	return code;
}
