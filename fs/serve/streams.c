/* SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>

#include "fs/serve/streams.h"

#define SHARE_LEAST (UINT64_C(1) << 20) /* bytes: a smaller budget is for fewer streams */
#define FIRST 4                         /* times what was read: the first window */
#define WINDOW_LEAST (UINT64_C(1) << 20) /* bytes: what a storage must take beside the readers, or else it is left alone */
#define REST (UINT64_C(64) << 20)       /* bytes that a reader goes on until it is tried again */
#define SLOWLY 64                        /* the part by which such a window grows */
#define FALLS 2                         /* reads, each below all others ... */
#define FALL (UINT64_C(4) << 20)        /* ... and bytes that they fall, to show a reader who goes down: no small tensor is turned for */

static uint64_t min64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t max64(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

void streams_init(struct streams *s, uint64_t budget)
{
	uint64_t count;

	*s = (struct streams){ .share = min64(budget, max64(budget / STREAMS_MOST, SHARE_LEAST)) };
	count = budget / s->share;
	s->count = count < STREAMS_MOST ? (uint32_t)count : STREAMS_MOST;
}

/* A read as the stream counts, cut at the end of the image. */
static struct streams_read seen_by(const struct stream *s, const struct streams_read *read)
{
	struct streams_read r = *read;

	r.len = min64(r.len, r.size - r.offset);
	if (s->down)
		r.offset = r.size - r.offset - r.len;
	return r;
}

bool streams_is_here(const struct stream *s, const struct streams_read *read)
{
	struct streams_read r = seen_by(s, read);

	return s->image == r.image && r.offset + STREAMS_BELOW >= s->low && r.offset <= max64(s->at, s->ahead) + STREAMS_NEAR;
}

struct stream *streams_find(struct streams *s, const struct streams_read *read)
{
	struct stream *oldest = &s->list[0];

	for (uint32_t i = 0; i < s->count; i++) {
		if (streams_is_here(&s->list[i], read))
			return &s->list[i];
		if (s->list[i].used < oldest->used)
			oldest = &s->list[i];
	}
	return oldest;
}

/* Whether a read shows that the reader goes down. */
static bool goes_down(struct stream *s, const struct streams_read *r)
{
	if (s->down || r->offset + r->len > s->low)
		return false;
	s->low = r->offset;
	return ++s->falls >= FALLS && s->at - r->offset >= FALL;
}

/* Begins anew the other way, at this read. */
static struct streams_read turn(struct stream *s, const struct streams_read *read)
{
	struct streams_read r;

	*s = (struct stream){ .image = s->image, .down = true, .most = s->most, .used = s->used };
	r = seen_by(s, read);
	s->at = s->taken = s->ahead = s->low = r.offset;
	return r;
}

static void move_on(struct stream *s, const struct streams_read *r)
{
	if (!s->down)
		s->low = r->offset;
	s->falls = 0;
	s->at = r->offset + r->len;
	s->taken = max64(s->taken, s->at);
	s->ahead = max64(s->ahead, s->at);
}

void streams_note(struct streams *s, struct stream *here, const struct streams_read *read)
{
	bool first = !streams_is_here(here, read);
	struct streams_read r;

	if (first)
		*here = (struct stream){ .image = read->image, .most = s->share };
	here->used = ++s->turn;
	r = seen_by(here, read);
	if (!first && goes_down(here, &r))
		r = turn(here, read);
	if (r.offset + r.len <= here->at)
		return;
	move_on(here, &r);
	if (first || here->ahead - here->at > here->window / 2 || here->at < here->rest)
		return;
	here->most = min64(s->share, here->most + here->most / SLOWLY);
	here->window = min64(here->most, here->window ? here->window * 2 : r.len * FIRST);
	here->ahead = max64(here->ahead, min64(r.size, here->at + here->window));
}

bool streams_wants(const struct stream *stream)
{
	return stream->taken < stream->ahead;
}

struct stream *streams_next(struct streams *s)
{
	for (uint32_t i = 1; i <= s->count; i++) {
		uint32_t n = (s->last + i) % s->count;

		if (streams_wants(&s->list[n])) {
			s->last = n;
			return &s->list[n];
		}
	}
	return NULL;
}

void streams_take(struct stream *stream, uint64_t *from, uint64_t *to)
{
	*from = stream->taken;
	*to = stream->taken = min64(stream->ahead, stream->taken + STREAMS_STEP);
}

void streams_shrink(struct stream *s, const void *image, uint64_t from)
{
	if (s->image != image || from >= s->taken)
		return;
	s->most = min64(s->most, from > s->at ? (from - s->at) / 4 * 3 : 0);
	if (s->most < WINDOW_LEAST) {
		s->rest = s->at + REST;
		s->most = WINDOW_LEAST;
	}
	s->window = min64(s->window, s->most);
	s->taken = s->ahead = max64(s->at, from);
}
