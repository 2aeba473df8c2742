/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The plan yields columns of rows; a reply needs rows. Columns that lie side by side (shards of a last axis, each with its part of
 * every row) are collected until a row is full; then the rows are dealt out one after the other.
 */
#include "fs/serve/pieces.h"
#include "fs/source/mapped.h"
#include "layout/view/plan.h"

#define COLUMNS 64 /* side by side */
#define PIECE 16384 /* bytes: with shorter pieces on an average the kernel takes longer over them than we over a copy */

/* Columns whose row is not full yet. */
struct columns {
	struct run runs[COLUMNS];
	const uint8_t *from[COLUMNS]; /* the first row of each */
	uint32_t count;
	uint64_t width; /* bytes of a row, as far as it is known */
};

static bool add(struct pieces *p, const uint8_t *ptr, uint64_t len)
{
	struct iovec *last = p->count ? &p->list[p->count - 1] : NULL;

	if (last && (const uint8_t *)last->iov_base + last->iov_len == ptr) {
		last->iov_len += len;
		return true;
	}
	if (p->count == p->most)
		return false;
	p->list[p->count++] = (struct iovec){ (void *)(uintptr_t)ptr, len };
	return true;
}

/* The memory of a run; NULL where there is none. */
static const uint8_t *memory_of(const struct sources *sources, const struct run *run)
{
	const struct source *source = &sources->list[run->source];
	struct bytes file;
	struct error err;

	if (run->literal)
		return run->literal;
	if (run->src >= source->stamp.size || mapped_whole(source, &file, &err) < 0)
		return NULL;
	return file.ptr + run->src;
}

static bool deal(struct pieces *p, struct columns *c)
{
	uint64_t rows = c->runs[0].rows;
	bool ok = true;

	for (uint64_t row = 0; row < rows && ok; row++)
		for (uint32_t i = 0; i < c->count && ok; i++)
			ok = add(p, c->from[i] + row * c->runs[i].src_stride, c->runs[i].len);
	c->count = 0;
	c->width = 0;
	return ok;
}

static bool take_column(struct pieces *p, struct columns *c, const struct run *run, const uint8_t *ptr)
{
	if (c->count == COLUMNS || (c->count && c->runs[0].rows != run->rows))
		return false;
	c->runs[c->count] = *run;
	c->from[c->count++] = ptr;
	c->width += run->len;
	return c->width < run->dst_stride || deal(p, c);
}

static bool take(struct pieces *p, struct columns *c, struct run *run, const uint8_t *ptr)
{
	if (!ptr)
		return false;
	if (run->rows > 1 && run->src_stride == run->len && run->dst_stride == run->len) {
		run->len *= run->rows;
		run->rows = 1;
	}
	if (run->rows > 1 || c->count)
		return take_column(p, c, run, ptr);
	return add(p, ptr, run->len);
}

bool pieces_find(struct pieces *p, const struct gather_range *range)
{
	struct columns c;
	struct plan plan;
	struct run run;
	bool ok = true;

	p->count = 0;
	p->most = range->len < (PIECES_MAX - 2) * PIECE ? 2 + (int)(range->len / PIECE) : PIECES_MAX;
	c.count = 0;
	c.width = 0;
	plan_begin(&plan, range->image, range->offset, range->len);
	while (ok && plan_next(&plan, &run))
		ok = take(p, &c, &run, memory_of(range->model->sources, &run));
	return ok && c.count == 0;
}
