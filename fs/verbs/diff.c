/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gatherfs diff: which tensors of two SOURCEs differ, and by how much; both may have any layout, for what is compared is the tensors.
 *
 * Exit codes are those of diff(1): 0 all equal, 1 some differ, 2 trouble.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/base/pool.h"
#include "fs/base/progress.h"
#include "fs/options/known.h"
#include "fs/options/pattern.h"
#include "fs/verbs/diff_sides.h"
#include "fs/verbs/diff_write.h"
#include "fs/verbs/elements.h"
#include "fs/verbs/verbs.h"

enum diff_exit {
	EQUAL = 0,
	DIFFERENT = 1,
	TROUBLE = 2,
};

struct job {
	struct elements a, b;      /* the tensors that are compared, in the same places of both lists */
	struct diff_write results;
	uint64_t *pair_of;         /* [a.count] which pair a compared tensor is of */
	struct difference *chunks; /* [elements_chunks(&a)] */
	struct progress *progress;
};

/* What a thread has for itself. */
struct worker {
	struct elements_reader *a, *b;
};

static void worker_free(void *arg)
{
	struct worker *w = arg;

	elements_reader_free(w->a);
	elements_reader_free(w->b);
	free(w);
}

static void *worker_new(void *arg)
{
	struct worker *w = calloc(1, sizeof(*w));

	(void)arg;
	if (!w)
		return NULL;
	w->a = elements_reader_new();
	w->b = elements_reader_new();
	if (w->a && w->b)
		return w;
	worker_free(w);
	return NULL;
}

static int compare_chunk(uint64_t number, void *state, void *arg, struct error *err)
{
	struct job *job = arg;
	struct worker *w = state;
	struct elements_chunk a = elements_chunk(&job->a, number), b = elements_chunk(&job->b, number);
	int code = elements_read(&job->a, &a, w->a, err);

	if (code == 0)
		code = elements_read(&job->b, &b, w->b, err);
	if (code < 0)
		return code;
	difference_add(&job->chunks[number],
		       &(struct difference_runs){ .a_type = job->a.tensor[a.index]->dtype, .b_type = job->b.tensor[b.index]->dtype,
						  .a_data = w->a->data, .b_data = w->b->data, .first = a.first, .count = a.count });
	progress_add(job->progress, a.bytes + b.bytes);
	return 0;
}

/* The tensor of this name on the other side, a parameter or not. */
static const struct tensor *find(const struct checkpoint *ckpt, const char *name)
{
	const struct tensor *t = checkpoint_find(ckpt->tensors, ckpt->count, name);

	return t ? t : checkpoint_find(ckpt->outside, ckpt->outside_count, name);
}

static void add_pair(struct job *job, const struct tensor *a, const struct tensor *b)
{
	struct diff_pair *p = &job->results.pairs[job->results.count];

	*p = (struct diff_pair){ .a = a, .b = b };
	p->compared = a && b && a->axes == b->axes && memcmp(a->shape, b->shape, a->axes * sizeof(*a->shape)) == 0 &&
		      difference_comparable(a->dtype, b->dtype);
	if (p->compared) {
		job->pair_of[job->a.count] = job->results.count;
		elements_add(&job->a, a);
		elements_add(&job->b, b);
	}
	job->results.count++;
}

/* Pairs of what is in `list`, which is A's; those that only B has with a NULL `a`. */
static void add_pairs(struct job *job, const struct tensor *list, uint64_t count, const struct checkpoint *other, const char *pattern)
{
	for (uint64_t i = 0; i < count; i++)
		if (pattern_matches(pattern, list[i].name))
			add_pair(job, &list[i], find(other, list[i].name));
}

static void add_missing(struct job *job, const struct tensor *list, uint64_t count, const struct checkpoint *other, const char *pattern)
{
	for (uint64_t i = 0; i < count; i++)
		if (pattern_matches(pattern, list[i].name) && !find(other, list[i].name))
			add_pair(job, NULL, &list[i]);
}

static int collect(struct job *job, const struct diff_sides *sides, struct error *err)
{
	const struct checkpoint *a = sides->a.model->checkpoint, *b = sides->b.model->checkpoint;
	const char *pattern = sides->b.arg_count ? sides->b.args[0] : NULL;
	uint64_t in_a = a->count + a->outside_count, all = in_a + b->count + b->outside_count;
	struct arena *arena = sides->a.model->arena;

	job->results.pairs = arena_alloc(arena, all, sizeof(*job->results.pairs));
	job->pair_of = arena_alloc(arena, in_a, sizeof(*job->pair_of));
	if (!job->results.pairs || !job->pair_of)
		return error_nomem(err);
	if (elements_begin(&job->a, sides->a.model, in_a, arena, err) < 0 || elements_begin(&job->b, sides->b.model, in_a, arena, err) < 0)
		return -ENOMEM;
	add_pairs(job, a->tensors, a->count, b, pattern);
	add_pairs(job, a->outside, a->outside_count, b, pattern);
	add_missing(job, b->tensors, b->count, a, pattern);
	add_missing(job, b->outside, b->outside_count, a, pattern);
	if (job->results.count == 0 && pattern)
		return error_set(err, -ENOENT, "no tensor matches \"%s\"", pattern);
	job->chunks = calloc(elements_chunks(&job->a) + 1, sizeof(*job->chunks));
	return job->chunks ? 0 : error_nomem(err);
}

static int compare(struct job *job, const struct diff_sides *sides, struct error *err)
{
	struct pool_work work = { .count = elements_chunks(&job->a), .threads = sides->threads, .task = compare_chunk, .arg = job,
				  .state_new = worker_new, .state_free = worker_free };
	int code;

	job->progress = progress_begin("comparing", job->a.image->size + job->b.image->size, PROGRESS_BYTES, sides->quiet);
	code = pool_run(&work, err);
	progress_end(job->progress);
	for (uint64_t i = 0; code == 0 && i < job->a.count; i++)
		for (uint64_t c = job->a.first_chunk[i]; c < job->a.first_chunk[i + 1]; c++)
			difference_merge(&job->results.pairs[job->pair_of[i]].found, &job->chunks[c]);
	return code;
}

static int run(struct diff_sides *sides, struct error *err)
{
	struct job job = { .progress = NULL };
	struct text out = TEXT_EMPTY;
	int code = subject_load(&sides->a, false, err);

	if (code == 0)
		code = subject_load(&sides->b, false, err);
	if (code == 0)
		code = collect(&job, sides, err);
	if (code == 0)
		code = compare(&job, sides, err);
	free(job.chunks);
	if (code < 0)
		return code;
	if (sides->json)
		diff_write_json(&job.results, &out);
	else
		diff_write_text(&job.results, !sides->quiet, &out);
	code = term_output(&out, err);
	return code < 0 ? code : diff_write_count(&job.results) ? DIFFERENT : EQUAL;
}

int diff_main(int argc, char **argv)
{
	struct diff_sides sides;
	struct error err = { "" };
	int code = diff_sides_begin(&sides, argc, argv);

	if (code == VERBS_FAILED)
		code = TROUBLE;
	if (code == SUBJECT_GO) {
		code = run(&sides, &err);
		if (code < 0) {
			verbs_failed(argv[0], err.msg);
			code = TROUBLE;
		}
	}
	diff_sides_end(&sides);
	return code;
}

void diff_help(const char *verb, FILE *out)
{
	fputs("Options before A are for both sides, those behind A or B for that one alone, as in\n"
	      "`gatherfs diff checkpoint -o step=1_100 merged`.\n"
	      "NaN equals NaN, 0 equals -0; a relative difference is over the larger magnitude.\n"
	      "Exit codes: 0 all equal, 1 some differ, 2 trouble.\n\n", out);
	known_help(verb, out);
}
