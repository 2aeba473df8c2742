/* SPDX-License-Identifier: Apache-2.0 */
/* See exporting.h. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fs/base/buffer.h"
#include "fs/verbs/exporting.h"

struct export_part export_part_of(const struct export *e, uint64_t number)
{
	uint64_t lo = 0, hi = e->known.file_count; /* the file is in [lo, hi) */
	struct export_part p = { .number = number, .fd = -1 };

	while (hi - lo > 1) {
		uint64_t mid = lo + (hi - lo) / 2;

		if (e->files[mid].first <= number)
			lo = mid;
		else
			hi = mid;
	}
	p.file = &e->files[lo];
	p.offset = (number - p.file->first) * JOURNAL_CHUNK;
	p.len = p.file->image->size - p.offset;
	if (p.len > JOURNAL_CHUNK)
		p.len = JOURNAL_CHUNK;
	return p;
}

int export_fail(const struct export *e, const struct export_file *f, const char *what, int code, struct error *err)
{
	return error_set(err, code, "%s/%s: %s: %s", e->dest.path, f->path, what, strerror(-code));
}

struct export_part export_first(const struct export_part *part)
{
	struct export_part step = *part;

	step.len = 0;
	return step;
}

bool export_next(const struct export_part *part, struct export_part *step)
{
	uint64_t left;

	step->offset += step->len;
	left = part->offset + part->len - step->offset;
	step->len = left < EXPORT_STEP ? left : EXPORT_STEP;
	return left > 0;
}

int export_gather(struct export *e, struct export_thread *t, const struct export_part *step, struct error *err)
{
	struct gather_range range = { .model = e->model, .image = step->file->image, .offset = step->offset, .len = step->len, .dst = t->buf };
	uint32_t source;

	return gather_bytes(t->gather, &range, &source, err);
}

int export_read(struct export *e, struct export_thread *t, const struct export_part *step, struct error *err)
{
	for (uint64_t done = 0; done < step->len;) {
		ssize_t n = pread(step->fd, t->other + done, step->len - done, (off_t)(step->offset + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return export_fail(e, step->file, "cannot be read back", n < 0 ? -errno : -ENODATA, err);
		done += (uint64_t)n;
	}
	return 0;
}

int export_print(struct export *e, struct export_thread *t, const struct export_part *p, struct fingerprint *out, struct error *err)
{
	struct fingerprint_state *state = fingerprint_begin();
	struct export_part step = export_first(p);
	int rc = state ? 0 : error_nomem(err);

	while (rc == 0 && export_next(p, &step)) {
		rc = export_read(e, t, &step, err);
		if (rc == 0)
			fingerprint_add(state, t->other, step.len);
	}
	if (state)
		*out = fingerprint_end(state);
	return rc;
}

static void thread_free(void *state)
{
	struct export_thread *t = state;

	gather_free(t->gather);
	free(t->buf);
	free(t->other);
	free(t);
}

static void *thread_new(void *arg)
{
	struct export_thread *t = calloc(1, sizeof(*t));

	(void)arg;
	if (!t)
		return NULL;
	t->gather = gather_new();
	t->buf = buffer_new(EXPORT_STEP);
	t->other = buffer_new(EXPORT_STEP);
	if (t->gather && t->buf && t->other)
		return t;
	thread_free(t);
	return NULL;
}

int export_over(struct export *e, const char *what, int (*task)(uint64_t, void *, void *, struct error *), struct error *err)
{
	struct pool_work work = { .count = e->known.chunk_count, .threads = e->options->max_threads, .task = task, .arg = e,
				  .state_new = thread_new, .state_free = thread_free, .stop = &e->interrupt.stop };
	int rc;

	e->progress = progress_begin(what, e->bytes, PROGRESS_BYTES, e->options->quiet || e->options->json);
	rc = pool_run(&work, err);
	progress_end(e->progress);
	e->progress = NULL;
	return rc;
}
