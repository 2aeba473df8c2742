/* SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>

#include "fs/streams.h"

#define SHARE_LEAST (UINT64_C(1) << 20) /* bytes: a smaller budget is for fewer streams */
#define FIRST 4                         /* times what was read: the first window */
#define WINDOW_LEAST (UINT64_C(1) << 20) /* bytes: what a storage must take beside the readers, or else it is left alone */
#define REST (UINT64_C(64) << 20)       /* bytes that a reader goes on until it is tried again */
#define SLOWLY 64                        /* the part by which such a window grows */

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

bool streams_is_here(const struct stream *s, const struct streams_read *read)
{
	return s->image == read->image && read->offset + STREAMS_NEAR >= s->at && read->offset <= max64(s->at, s->ahead) + STREAMS_NEAR;
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

void streams_note(struct streams *s, struct stream *here, const struct streams_read *read)
{
	uint64_t end = min64(read->offset + read->len, read->size);
	bool first = !streams_is_here(here, read);

	if (first)
		*here = (struct stream){ .image = read->image, .most = s->share };
	here->used = ++s->turn;
	if (end <= here->at)
		return;
	here->at = end;
	here->taken = max64(here->taken, end);
	here->ahead = max64(here->ahead, end);
	if (first || here->ahead - here->at > here->window / 2 || here->at < here->rest)
		return;
	here->most = min64(s->share, here->most + here->most / SLOWLY);
	here->window = min64(here->most, here->window ? here->window * 2 : read->len * FIRST);
	here->ahead = max64(here->ahead, min64(read->size, here->at + here->window));
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
