/* SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>

#include "fs/serve/falls.h"

#define READS 3  /* that make a fall */
#define GAP (UINT64_C(2) << 20) /* bytes between two of them: the kernel asks for its window in several reads, which come in any order */
#define SPARSE 4 /* times what was read: a reader who goes down more than that picks what he wants */
#define BESIDE 2 /* times what was read that he reads himself while what is below comes */

static uint64_t min64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

void falls_init(struct falls *f, uint64_t page)
{
	*f = (struct falls){ .page = page };
}

static uint64_t stop_of(const struct falls_read *r)
{
	return r->offset + r->len;
}

/* Goes on below. */
static bool follows(const struct fall *l, const struct falls_read *r)
{
	uint64_t floor = l->window ? l->from : l->low - min64(GAP, l->low);

	return r->offset < l->low && stop_of(r) >= floor && stop_of(r) <= l->low;
}

static bool is_inside(const struct fall *l, const struct falls_read *r)
{
	return r->offset >= l->low && r->offset < l->end;
}

/* Of a fall that was seen the kernel may ask for something above as well, around the first place that the reader came to. */
static bool goes_up(const struct fall *l, const struct falls_read *r)
{
	return r->offset == l->end && l->window == 0;
}

/*
 * Ends with another tensor, and all that was wanted has been taken. (Whoever copies a tensor looks at its first bytes before: what the
 * kernel asks for then ends with the page behind the tensor below.)
 */
static bool is_next(const struct falls *f, const struct fall *l, const struct falls_read *r)
{
	return l->window && l->from >= l->to && stop_of(r) >= r->end && stop_of(r) - r->end < f->page;
}

/* The reader that a read is of, else the one who is to be given up for it. */
static struct fall *find(struct falls *f, const struct falls_read *r)
{
	struct fall *oldest = &f->list[0], *next = NULL;

	for (struct fall *l = f->list; l < f->list + FALLS_MOST; l++) {
		if (l->file == r->file && (follows(l, r) || is_inside(l, r) || goes_up(l, r)))
			return l;
		if (l->file == r->file && is_next(f, l, r))
			next = l;
		if (l->used < oldest->used)
			oldest = l;
	}
	return next ? next : oldest;
}

static void begin(struct fall *l, const struct falls_read *r, uint64_t window)
{
	*l = (struct fall){ .file = r->file, .low = r->offset, .end = stop_of(r), .read = r->len, .window = window, .used = l->used };
}

/* Wants what is between `from` and what the reader has by then. */
static void want(const struct falls *f, struct fall *l, const struct falls_read *r, uint64_t from)
{
	uint64_t to = r->offset - min64(BESIDE * r->len, r->offset);

	l->from = from / f->page * f->page;
	l->to = to / f->page * f->page;
	l->to = l->to > l->from ? l->to : l->from;
}

/* Wants as much as the window and the tensor have. */
static void want_window(const struct falls *f, struct fall *l, const struct falls_read *r)
{
	want(f, l, r, r->offset - min64(l->window, r->offset - r->start));
}

static void fall(const struct falls *f, struct fall *l, const struct falls_read *r)
{
	l->low = r->offset;
	l->count++;
	l->read += r->len;
	if (l->window == 0 && (l->count < READS || (l->end - l->low) / SPARSE > l->read))
		return;
	if (l->window == 0 || r->offset <= l->from) {
		l->window = l->window ? min64(l->window * 2, FALLS_WINDOW) : FALLS_FIRST;
		want_window(f, l, r);
	} else if (r->offset < l->to) { /* he has overtaken */
		want(f, l, r, l->from);
	}
}

static void note(const struct falls *f, struct fall *l, const struct falls_read *r)
{
	bool same = l->file == r->file;

	if (same && follows(l, r)) {
		fall(f, l, r);
	} else if (same && is_inside(l, r)) {
		l->end = stop_of(r) > l->end ? stop_of(r) : l->end;
	} else if (same && is_next(f, l, r)) {
		begin(l, r, l->window);
		want_window(f, l, r);
	} else {
		begin(l, r, 0);
	}
}

bool falls_note(struct falls *f, const struct falls_read *read)
{
	struct fall *l = find(f, read);

	l->used = ++f->turn;
	note(f, l, read);
	return l->from < l->to;
}

bool falls_take(struct falls *f, uint64_t *file, uint64_t *offset, uint64_t *len)
{
	struct fall *last = NULL;

	for (struct fall *l = f->list; l < f->list + FALLS_MOST; l++)
		if (l->from < l->to && (!last || l->used > last->used))
			last = l;
	if (!last)
		return false;
	*len = min64(FALLS_STEP, last->to - last->from);
	last->to -= *len;
	*offset = last->to;
	*file = last->file;
	return true;
}

void falls_drop(struct falls *f, uint64_t file)
{
	for (struct fall *l = f->list; l < f->list + FALLS_MOST; l++)
		if (l->file == file)
			l->file = l->from = l->to = 0;
}
