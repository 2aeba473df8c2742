/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gatherfs stats: what the numbers in tensors are. The files are read once for the statistics and once more for the histogram, whose
 * ends must be known before anything is counted.
 */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>

#include "fs/base/pool.h"
#include "fs/base/progress.h"
#include "fs/verbs/elements.h"
#include "fs/verbs/stats_write.h"
#include "fs/verbs/subject.h"
#include "fs/verbs/verbs.h"

struct job {
	struct elements elements;
	struct moments *chunks;      /* [elements_chunks()] */
	struct stats_write results;
	struct histogram *histogram; /* NULL in the first reading */
	pthread_mutex_t lock;        /* of the counts in *histogram */
	struct progress *progress;
};

static void *reader_new(void *arg)
{
	(void)arg;
	return elements_reader_new();
}

static void reader_free(void *reader)
{
	elements_reader_free(reader);
}

/*
 * Whether a tensor is one of those that are looked at together: counters would spoil the picture of the parameters, so they are only
 * when there is nothing else.
 */
static bool is_counted(const struct elements *e, uint64_t index)
{
	return index < e->parameters || e->parameters == 0;
}

static void count(struct job *job, enum dtype dtype, const struct elements_chunk *chunk, const uint8_t *data)
{
	struct histogram part = *job->histogram;

	for (uint32_t i = 0; i < HISTOGRAM_BINS; i++)
		part.count[i] = 0;
	histogram_add(&part, dtype, data, 0, chunk->count);
	pthread_mutex_lock(&job->lock);
	histogram_merge(job->histogram, &part);
	pthread_mutex_unlock(&job->lock);
}

static int do_chunk(uint64_t number, void *state, void *arg, struct error *err)
{
	struct job *job = arg;
	struct elements_reader *r = state;
	struct elements_chunk chunk = elements_chunk(&job->elements, number);
	enum dtype dtype = job->elements.tensor[chunk.index]->dtype;
	int code = elements_read(&job->elements, &chunk, r, err);

	if (code < 0)
		return code;
	if (job->histogram && is_counted(&job->elements, chunk.index))
		count(job, dtype, &chunk, r->data);
	else if (!job->histogram)
		moments_add(&job->chunks[number], dtype, r->data, 0, chunk.count);
	progress_add(job->progress, chunk.bytes);
	return 0;
}

static int read_all(struct job *job, const struct options *o, struct error *err)
{
	struct pool_work work = { .count = elements_chunks(&job->elements), .threads = o->max_threads, .task = do_chunk, .arg = job,
				  .state_new = reader_new, .state_free = reader_free };

	return pool_run(&work, err);
}

/* From chunks to tensors, and from tensors to all of them. */
static void put_together(struct job *job)
{
	const struct elements *e = &job->elements;

	for (uint64_t i = 0; i < e->count; i++) {
		for (uint64_t c = e->first_chunk[i]; c < e->first_chunk[i + 1]; c++)
			moments_merge(&job->results.of[i], &job->chunks[c]);
		if (is_counted(e, i))
			moments_merge(&job->results.all, &job->results.of[i]);
	}
}

static int measure(struct job *job, const struct options *o, struct error *err)
{
	const struct moments *all = &job->results.all;
	bool histogram = !o->quiet;
	int code;

	job->progress = progress_begin("measuring", job->elements.image->size * (histogram ? 2 : 1), PROGRESS_BYTES, o->quiet);
	code = read_all(job, o, err);
	if (code == 0)
		put_together(job);
	if (code == 0 && histogram && all->finite > 0 && histogram_begin(&job->results.histogram, all->ends.min, all->ends.max)) {
		job->histogram = &job->results.histogram;
		code = read_all(job, o, err);
	}
	job->results.has_histogram = job->histogram;
	progress_end(job->progress);
	return code;
}

static int collect(struct job *job, const struct subject *s, struct error *err)
{
	const struct checkpoint *ckpt = s->model->checkpoint;
	const char *pattern = s->arg_count ? s->args[0] : NULL;
	uint64_t all = ckpt->count + ckpt->outside_count;
	int code = elements_begin(&job->elements, s->model, all, s->model->arena, err);

	if (code < 0)
		return code;
	elements_add_matching(&job->elements, pattern);
	if (job->elements.count == 0 && pattern)
		return error_set(err, -ENOENT, "no tensor matches \"%s\" (the SOURCE has %" PRIu64 ")", pattern, all);
	job->results.tensor = job->elements.tensor;
	job->results.count = job->elements.count;
	job->results.counted = job->elements.parameters ? job->elements.parameters : job->elements.count;
	job->results.of = arena_alloc(s->model->arena, job->elements.count, sizeof(*job->results.of));
	job->chunks = calloc(elements_chunks(&job->elements) + 1, sizeof(*job->chunks));
	return job->results.of && job->chunks ? 0 : error_nomem(err);
}

static int run(struct subject *s, struct error *err)
{
	struct job job = { .lock = PTHREAD_MUTEX_INITIALIZER };
	struct text out = TEXT_EMPTY;
	int code = subject_load(s, false, err);

	if (code == 0)
		code = collect(&job, s, err);
	if (code == 0)
		code = measure(&job, &s->options, err);
	free(job.chunks);
	if (code < 0)
		return code;
	if (s->options.json)
		stats_write_json(&job.results, &out);
	else
		stats_write_text(&job.results, !s->options.quiet, &out);
	return term_output(&out, err);
}

int stats_main(int argc, char **argv)
{
	struct subject s;
	struct error err = { "" };
	int code = subject_begin(&s, argc, argv, 0, 1);

	return subject_end(&s, code == SUBJECT_GO ? run(&s, &err) : code, &err);
}
