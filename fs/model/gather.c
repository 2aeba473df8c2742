/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs are taken from the plan in batches. What is long is read straight to where it belongs, with one read for all that follows one
 * another in a source: blocks, and the long rows of a shard. The rows of all others come through a staging buffer: rows that merge
 * shards of a last axis are next to each other in each shard, so a batch has one span for each source, one pread reads it, and the
 * rows are copied apart in memory. One pread for each row was ten times slower, one preadv for many of them no faster, and mapped
 * sources, which would save a copy, can fault under a truncation.
 *
 * Where the rows of a source are far apart (an inner axis is split), reading what lies between them would cost more than it saves;
 * those rows are copied from a mapping, under a guard against a file that ends under it.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/base/buffer.h"
#include "fs/model/gather.h"
#include "fs/model/scatter.h"
#include "fs/source/mapped.h"
#include "layout/view/plan.h"

#define STAGING (UINT64_C(256) << 10) /* bytes: more was no faster, and each thread has its own */
#define DIRECT_MIN 8192             /* bytes: a shorter run is cheaper as a part of its neighbours' span */
#define GAP_MAX 4096                /* bytes between two runs that are read along rather than read around */
#define STRIDE_GAP_MAX 512          /* bytes between two rows, likewise; more is copied from a mapping */
#define ROW_MIN 65536               /* bytes: a longer row that is far from the next is worth a system call */
#define SMALL_ROW 8                 /* bytes: rows that are elements, which transposing has; the next run is likely the next column */
#define BLOCKS 4
#define RUNS 256
#define SPANS 64
#define TOUCHED 64

/* A part of a source that one pread brings into the staging buffer. */
struct span {
	uint64_t lo, hi; /* bytes in the source */
	uint64_t at;     /* where `lo` lies in the staging buffer */
	uint32_t source;
};

struct gather {
	uint8_t *staging;               /* [STAGING]; made when it is first needed */
	struct run runs[RUNS];          /* of this batch, that go through the staging buffer */
	uint32_t span_of[RUNS];         /* the span of each */
	struct span spans[SPANS];       /* of this batch */
	uint32_t touched[TOUCHED];      /* sources whose stamps are still to be checked; all their reads are done */
	uint32_t run_count, span_count, touched_count;
	uint64_t staged;                /* bytes of all spans */

	const struct gather_range *range;
	struct rows_block blocks[BLOCKS]; /* runs of small rows that the next may join */
	uint32_t block_count;
	struct scatter straight;        /* what is read without the staging buffer */
	uint32_t bad;                   /* the source that failed */
	struct error *err;
};

struct gather *gather_new(void)
{
	return calloc(1, sizeof(struct gather));
}

void gather_free(struct gather *g)
{
	if (!g)
		return;
	free(g->staging);
	free(g);
}

static const struct source *source_of(const struct gather *g, uint32_t number)
{
	assert(number < g->range->model->sources->count);
	return &g->range->model->sources->list[number];
}

/* Checks the stamps of everything that was read since the last check. */
static int check_touched(struct gather *g)
{
	for (uint32_t i = 0; i < g->touched_count; i++) {
		int rc = source_unchanged(source_of(g, g->touched[i]), g->err);

		if (rc < 0) {
			g->bad = g->touched[i];
			return rc;
		}
	}
	g->touched_count = 0;
	return 0;
}

/* Remembers that `number` has to be checked. */
static int touch(struct gather *g, uint32_t number)
{
	for (uint32_t i = g->touched_count; i-- > 0;)
		if (g->touched[i] == number)
			return 0;
	if (g->touched_count == TOUCHED) {
		int rc = check_touched(g);

		if (rc < 0)
			return rc;
	}
	g->touched[g->touched_count++] = number;
	return 0;
}

/* Tells of a failed read as what it is, a changed file, when the stamp says so. */
static int fail_at(struct gather *g, uint32_t number, int rc)
{
	struct error change;

	g->bad = number;
	if (source_unchanged(source_of(g, number), &change) < 0)
		*g->err = change;
	return rc;
}

static int read_source(struct gather *g, uint32_t number, uint64_t offset, void *buf, uint64_t len)
{
	int rc = source_read(source_of(g, number), offset, buf, len, g->err);

	return rc < 0 ? fail_at(g, number, rc) : touch(g, number);
}

static int flush_straight(struct gather *g)
{
	uint32_t count = g->straight.count;
	int rc = 0;

	g->straight.count = 0;
	for (uint32_t i = 0; i < count && rc == 0; i++) {
		const struct scatter_read *r = &g->straight.reads[i];

		rc = source_scatter(source_of(g, r->source), r->src, r->to, r->count, g->err);
		rc = rc < 0 ? fail_at(g, r->source, rc) : touch(g, r->source);
	}
	return rc;
}

static struct iovec place_of(const struct gather *g, const struct run *run, uint64_t i)
{
	return (struct iovec){ g->range->dst + run->dst + i * run->dst_stride, run->len };
}

/* Row i of a run goes straight to its place. */
static int take_straight(struct gather *g, const struct run *run, uint64_t i)
{
	struct iovec to = place_of(g, run, i);
	uint64_t src = run->src + i * run->src_stride;
	int rc;

	if (scatter_add(&g->straight, run->source, src, to))
		return 0;
	rc = flush_straight(g);
	scatter_add(&g->straight, run->source, src, to);
	return rc;
}

static int copy_block(struct gather *g, const struct rows_block *block)
{
	int rc = mapped_rows(source_of(g, block->run.source), block, g->range->dst + block->run.dst, g->err);

	return rc < 0 ? fail_at(g, block->run.source, rc) : touch(g, block->run.source);
}

static int flush_blocks(struct gather *g)
{
	int rc = 0;

	for (uint32_t i = 0; i < g->block_count && rc == 0; i++)
		rc = copy_block(g, &g->blocks[i]);
	g->block_count = 0;
	return rc;
}

/* Elements far apart wait for their neighbours: gate and up of an expert are transposed side by side, so several blocks grow in turns. */
static int take_small_rows(struct gather *g, const struct run *run)
{
	int rc = 0;

	for (uint32_t i = 0; i < g->block_count; i++)
		if (rows_join(&g->blocks[i], run))
			return 0;
	if (g->block_count == BLOCKS)
		rc = flush_blocks(g);
	g->blocks[g->block_count++] = (struct rows_block){ .run = *run, .columns = 1 };
	return rc;
}

/* Long rows: a system call each is nothing beside copying them. Addresses beyond a file's end are in no mapping. */
static int read_rows(struct gather *g, const struct run *run)
{
	const struct source *source = source_of(g, run->source);
	int rc = 0;

	if (run->len < ROW_MIN && run->src_stride > run->len && run->src < source->stamp.size)
		return run->len <= SMALL_ROW ? take_small_rows(g, run) : copy_block(g, &(struct rows_block){ .run = *run, .columns = 1 });
	for (uint64_t i = 0; i < run->rows && rc == 0; i++)
		rc = take_straight(g, run, i);
	return rc;
}

/* Reads the spans of the batch, copies its rows to their places, and begins a new batch. */
static int flush_staged(struct gather *g)
{
	uint64_t at = 0;
	int rc = 0;

	for (uint32_t i = 0; i < g->span_count && rc == 0; i++) {
		struct span *s = &g->spans[i];

		s->at = at;
		at += s->hi - s->lo;
		rc = read_source(g, s->source, s->lo, g->staging + s->at, s->hi - s->lo);
	}
	for (uint32_t i = 0; i < g->run_count && rc == 0; i++) {
		const struct run *run = &g->runs[i];
		const struct span *s = &g->spans[g->span_of[i]];

		rows_copy(g->range->dst + run->dst, g->staging + s->at + (run->src - s->lo), run);
	}
	g->run_count = g->span_count = 0;
	g->staged = 0;
	return rc;
}

/* The span of this batch that [lo, ...) of a source may go into; else a number past the end. Interleaved parts have one each. */
static uint32_t span_for(const struct gather *g, uint32_t source, uint64_t lo)
{
	for (uint32_t i = g->span_count; i-- > 0;) {
		const struct span *s = &g->spans[i];

		if (s->source == source && lo >= s->lo && lo <= s->hi + GAP_MAX)
			return i;
	}
	return g->span_count;
}

/* Puts `run`, that lies in [run->src, hi) of its source, into the batch; false when there is no room. */
static bool stage(struct gather *g, const struct run *run, uint64_t hi)
{
	uint32_t i = span_for(g, run->source, run->src);
	/* cppcheck-suppress arrayIndexOutOfBoundsCond ; span_count is SPANS at most, so i is less where it is less than that */
	uint64_t old = i < g->span_count ? g->spans[i].hi : run->src, more = hi > old ? hi - old : 0;

	if (g->run_count == RUNS || i == SPANS || more > STAGING - g->staged)
		return false;
	if (i == g->span_count)
		g->spans[g->span_count++] = (struct span){ .lo = run->src, .source = run->source };
	g->spans[i].hi = old + more;
	g->staged += more;
	g->span_of[g->run_count] = i;
	g->runs[g->run_count++] = *run;
	return true;
}

/* How many rows of `run` the rest of the staging buffer takes. */
static uint64_t rows_that_fit(const struct gather *g, const struct run *run)
{
	uint64_t room = STAGING - g->staged, rows;

	if (room < run->len)
		return 0;
	rows = run->rows == 1 ? 1 : 1 + (room - run->len) / run->src_stride;
	return rows < run->rows ? rows : run->rows;
}

/* Stages all rows of a run, in as many batches as they need. A row is shorter than the staging buffer. */
static int take_staged(struct gather *g, struct run run)
{
	if (!g->staging && !(g->staging = buffer_new(STAGING)))
		return error_nomem(g->err);
	while (run.rows > 0) {
		struct run part = run;

		part.rows = rows_that_fit(g, &run);
		if (part.rows > 0 && stage(g, &part, part.src + (part.rows - 1) * part.src_stride + part.len)) {
			run.rows -= part.rows;
			run.src += part.rows * run.src_stride;
			run.dst += part.rows * run.dst_stride;
			continue;
		}
		int rc = flush_staged(g);
		if (rc < 0)
			return rc;
	}
	return 0;
}

static int take_contiguous(struct gather *g, const struct run *run)
{
	if (run->len >= DIRECT_MIN)
		return take_straight(g, run, 0);
	return scatter_join(&g->straight, run->source, run->src, place_of(g, run, 0)) ? 0 : take_staged(g, *run);
}

static int take(struct gather *g, struct run run)
{
	if (run.literal) {
		memcpy(g->range->dst + run.dst, run.literal, run.len);
		return 0;
	}
	if (run.rows > 1 && run.src_stride == run.len && run.dst_stride == run.len) {
		run.len *= run.rows;
		run.rows = 1;
	}
	if (run.rows == 1)
		return take_contiguous(g, &run);
	if (run.len >= DIRECT_MIN || run.src_stride - run.len > STRIDE_GAP_MAX)
		return read_rows(g, &run);
	return take_staged(g, run);
}

/* Forgets what an earlier range that failed has left behind. */
static void begin(struct gather *g, const struct gather_range *range, struct error *err)
{
	g->run_count = g->span_count = g->touched_count = g->block_count = 0;
	g->staged = 0;
	g->straight.count = 0;
	g->range = range;
	g->err = err;
}

int gather_bytes(struct gather *g, const struct gather_range *range, uint32_t *source, struct error *err)
{
	struct plan plan;
	struct run run;
	int rc = 0;

	begin(g, range, err);
	plan_begin(&plan, range->image, range->offset, range->len);
	while (rc == 0 && plan_next(&plan, &run))
		rc = take(g, run);
	if (rc == 0)
		rc = flush_straight(g);
	if (rc == 0)
		rc = flush_staged(g);
	if (rc == 0)
		rc = flush_blocks(g);
	if (rc == 0)
		rc = check_touched(g);
	*source = g->bad;
	return rc;
}
