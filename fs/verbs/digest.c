/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gatherfs digest: the XXH3-128 of every tensor, whole, whatever the layout that it lies in. A line is what xxhsum -H2 prints of a file
 * that holds the tensor's bytes, so digests of a training's shards, of the merged model and of mounts on two hosts can be compared
 * with diff or comm: lines are sorted by the bytes of the names.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "fs/base/buffer.h"
#include "fs/base/pool.h"
#include "fs/base/progress.h"
#include "fs/base/term.h"
#include "fs/model/gather.h"
#include "fs/options/pattern.h"
#include "fs/verbs/subject.h"
#include "fs/verbs/verbs.h"
#include "layout/checkpoint/describe.h"
#include "layout/view/fingerprint.h"

#define WINDOW (UINT64_C(1) << 20) /* bytes gathered at a time; each thread has so much memory */

/* A tensor to be digested: where it lies in the image of them all, and then its digest. */
struct item {
	const struct tensor *tensor;
	uint64_t offset;
	struct fingerprint digest;
};

struct job {
	const struct model *model;
	struct image *image; /* the tensors one behind the other */
	struct item *items;  /* [count] */
	uint64_t count;
	struct progress *progress;
};

/* What a thread has for itself. */
struct worker {
	uint8_t window[WINDOW]; /* first: on a page */
	struct gather *gather;
};

static void worker_free(void *arg)
{
	struct worker *w = arg;

	gather_free(w->gather);
	free(w);
}

static void *worker_new(void *arg)
{
	struct worker *w = buffer_new(sizeof(*w));

	(void)arg;
	if (!w)
		return NULL;
	w->gather = gather_new();
	if (w->gather)
		return w;
	free(w);
	return NULL;
}

static int digest_one(uint64_t index, void *state, void *arg, struct error *err)
{
	struct job *job = arg;
	struct item *item = &job->items[index];
	struct worker *w = state;
	struct fingerprint_state *hash = fingerprint_begin();
	struct gather_range range = { .model = job->model, .image = job->image, .offset = item->offset, .dst = w->window };
	uint64_t left = item->tensor->bytes;
	uint32_t source;
	int code = hash ? 0 : error_nomem(err);

	for (; code == 0 && left > 0; range.offset += range.len, left -= range.len) {
		range.len = left < WINDOW ? left : WINDOW;
		code = gather_bytes(w->gather, &range, &source, err);
		if (code == 0)
			fingerprint_add(hash, w->window, range.len);
		progress_add(job->progress, range.len);
	}
	if (hash)
		item->digest = fingerprint_end(hash);
	return code;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct item *)a)->tensor->name, ((const struct item *)b)->tensor->name);
}

static void take(struct job *job, const struct tensor *list, uint64_t count, const char *pattern, const struct grid *uncut)
{
	for (uint64_t i = 0; i < count; i++) {
		if (!pattern_matches(pattern, list[i].name))
			continue;
		job->items[job->count++] = (struct item){ .tensor = &list[i], .offset = job->image->size };
		image_add_block(job->image, &list[i], &uncut[list[i].axes], 0);
	}
}

static int collect(struct job *job, const char *pattern, struct error *err)
{
	const struct checkpoint *ckpt = job->model->checkpoint;
	struct arena *arena = job->model->arena;
	uint64_t all = ckpt->count + ckpt->outside_count;
	const struct grid *uncut = view_uncut(arena);

	job->image = image_new(arena, all);
	job->items = arena_alloc(arena, all, sizeof(*job->items));
	if (!uncut || !job->image || !job->items)
		return error_nomem(err);
	take(job, ckpt->tensors, ckpt->count, pattern, uncut);
	take(job, ckpt->outside, ckpt->outside_count, pattern, uncut);
	if (job->count == 0 && pattern)
		return error_set(err, -ENOENT, "no tensor matches \"%s\" (the SOURCE has %" PRIu64 ")", pattern, all);
	return 0;
}

static int work(struct job *job, const struct options *o, struct error *err)
{
	struct pool_work pool = { .count = job->count, .threads = o->max_threads, .task = digest_one, .arg = job, .state_new = worker_new,
				  .state_free = worker_free };
	int code;

	job->progress = progress_begin("digesting", job->image->size, PROGRESS_BYTES, o->quiet);
	code = pool_run(&pool, err);
	progress_end(job->progress);
	return code;
}

static void write_list(const struct job *job, bool json, struct text *out)
{
	char digest[FINGERPRINT_TEXT];

	text_add(out, json ? "{\n  \"tensors\": [" : "");
	for (uint64_t i = 0; i < job->count; i++) {
		const struct tensor *t = job->items[i].tensor;

		fingerprint_write(job->items[i].digest, digest);
		if (json) {
			text_add(out, "%s\n    {\"name\": ", i ? "," : "");
			text_json_ascii(out, t->name);
			text_add(out, ", \"dtype\": \"%s\", \"shape\": ", dtype_name(t->dtype));
			describe_numbers(out, t->shape, t->axes);
			text_add(out, ", \"xxh3_128\": \"%s\"}", digest);
		} else {
			text_add(out, "%s  ", digest);
			term_name(out, t->name, 0);
			text_add(out, "\n");
		}
	}
	text_add(out, json ? "\n  ]\n}\n" : "");
}

static int run(struct subject *s, struct error *err)
{
	struct text out = TEXT_EMPTY;
	struct job job = { 0 };
	int code = subject_load(s, false, err);

	job.model = s->model;
	if (code == 0)
		code = collect(&job, s->arg_count ? s->args[0] : NULL, err);
	if (code == 0)
		code = work(&job, &s->options, err);
	if (code < 0)
		return code;
	qsort(job.items, job.count, sizeof(*job.items), by_name);
	write_list(&job, s->options.json, &out);
	return term_output(&out, err);
}

int digest_main(int argc, char **argv)
{
	struct subject s;
	struct error err = { "" };
	int code = subject_begin(&s, argc, argv, 0, 1);

	return subject_end(&s, code == SUBJECT_GO ? run(&s, &err) : code, &err);
}
