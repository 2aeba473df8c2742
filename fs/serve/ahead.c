/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The thread takes a step of one stream after the other. When both ends of what a stream wants are in the page cache, all of it is passed
 * over: so reading ahead costs a few system calls for each window, and nothing in a reader's way, while nothing is cold.
 *
 * A kernel that has many reads to wait for drops what it is asked to read ahead, and then even what readers need comes page by page: so
 * less is asked for then.
 */
#include <pthread.h>
#include <stdlib.h>

#include "fs/base/threads.h"
#include "fs/serve/ahead.h"
#include "fs/serve/streams.h"
#include "fs/source/cached.h"
#include "layout/view/needs.h"

/* A part of an image; it holds its model. */
struct part {
	struct hub_model *of;
	const struct image *image;
	bool down;              /* the places below count from the end of the image */
	uint64_t from, to, end; /* the step is [from, to), all that is wanted [from, end) */
};

struct ahead {
	struct hub *hub;
	pthread_t thread;
	_Atomic uint64_t asked, spared; /* see struct ahead_sum */

	pthread_mutex_t lock; /* of everything below; held for a few instructions only */
	pthread_cond_t wake;
	bool stop;
	struct streams streams;
	struct hub_model *held[STREAMS_MOST]; /* of each stream that wants something: its model, held; else NULL */
};

enum outcome {
	DONE,    /* asked for, or nothing to ask for */
	SPARED,  /* all that is wanted is there */
	DROPPED, /* by the kernel */
};

/* Where the model of a stream is noted. */
static struct hub_model **held_by(struct ahead *a, const struct stream *s)
{
	return &a->held[s - a->streams.list];
}

/* Holds the model of a stream exactly while it wants something. The lock is held. */
static void hold_or_drop(struct ahead *a, const struct stream *s, struct hub_model *of)
{
	struct hub_model **held = held_by(a, s);

	if (streams_wants(s) == (*held != NULL))
		return;
	if (*held)
		hub_drop(a->hub, *held, 1);
	else
		hub_hold(a->hub, of, 1);
	*held = *held ? NULL : of;
}

/* Gives the place of a stream to another. The lock is held. */
static void give_up(struct ahead *a, const struct stream *s)
{
	struct hub_model **held = held_by(a, s);

	if (*held)
		hub_drop(a->hub, *held, 1);
	*held = NULL;
}

void ahead_note(struct ahead *a, const struct hub_node *at, uint64_t offset, uint64_t size)
{
	const struct image *image = a && at->node->kind == TREE_IMAGE ? at->node->image : NULL;
	struct streams_read read = { .image = image, .offset = offset, .len = size };
	struct stream *s;

	if (!image || offset >= image->size || pthread_mutex_trylock(&a->lock) != 0)
		return;
	read.size = image->size;
	s = streams_find(&a->streams, &read);
	if (!streams_is_here(s, &read))
		give_up(a, s);
	streams_note(&a->streams, s, &read);
	hold_or_drop(a, s, at->of);
	if (streams_wants(s))
		pthread_cond_signal(&a->wake);
	pthread_mutex_unlock(&a->lock);
}

/* Waits until a stream wants something, and takes a step of it; NULL at the end. */
static struct stream *take(struct ahead *a, struct part *part)
{
	struct stream *s = NULL;

	pthread_mutex_lock(&a->lock);
	while (!a->stop && !(s = streams_next(&a->streams)))
		pthread_cond_wait(&a->wake, &a->lock);
	if (s) {
		*part = (struct part){ .of = *held_by(a, s), .image = s->image, .down = s->down, .end = s->ahead };
		hub_hold(a->hub, part->of, 1);
		streams_take(s, &part->from, &part->to);
		hold_or_drop(a, s, part->of);
	}
	pthread_mutex_unlock(&a->lock);
	return s;
}

static const struct source *source_of(const struct part *part, const struct need *n)
{
	return &part->of->model->sources->list[n->source];
}

/* What [from, to) needs, in places of the files. */
static void find_needs(const struct part *part, uint64_t from, uint64_t to, struct needs *needs)
{
	uint32_t kept = 0;

	needs_find(part->image, part->down ? part->image->size - to : from, to - from, needs);
	for (uint32_t i = 0; i < needs->count; i++) {
		struct need n = needs->list[i];
		uint64_t last = source_byte(source_of(part, &n), n.hi - 1); /* an address beyond the end stands for another place */

		n.lo = source_byte(source_of(part, &n), n.lo);
		n.hi = last + 1;
		if (n.lo < n.hi)
			needs->list[kept++] = n;
	}
	needs->count = kept;
}

/* The first of them that is not in the page cache; their count when all are. */
static uint32_t find_cold(const struct part *part, const struct needs *needs)
{
	uint32_t i = 0;

	while (i < needs->count && cached_has(source_of(part, &needs->list[i]), needs->list[i].lo, needs->list[i].hi) > 0)
		i++;
	return i;
}

static bool is_warm(const struct part *part, const struct needs *first)
{
	struct needs last;

	if (find_cold(part, first) < first->count)
		return false;
	if (part->to == part->end)
		return true;
	find_needs(part, part->end - part->to > STREAMS_STEP ? part->end - STREAMS_STEP : part->to, part->end, &last);
	return find_cold(part, &last) == last.count;
}

/* True when a range that was asked for is not even on its way, though it could be. */
static bool is_dropped(const struct part *part, const struct need *n)
{
	struct error change;

	return cached_has(source_of(part, n), n->lo, n->hi) == 0 && source_unchanged(source_of(part, n), &change) == 0;
}

static enum outcome work(struct ahead *a, const struct part *part)
{
	enum outcome outcome = DONE;
	struct needs needs;

	find_needs(part, part->from, part->to, &needs);
	if (is_warm(part, &needs)) {
		atomic_fetch_add(&a->spared, part->end - part->from);
		return SPARED;
	}
	for (uint32_t i = 0; i < needs.count; i++) {
		const struct need *n = &needs.list[i];

		cached_bring(source_of(part, n), n->lo, n->hi);
		atomic_fetch_add(&a->asked, n->hi - n->lo);
		if (is_dropped(part, n))
			outcome = DROPPED;
	}
	return outcome;
}

/* What came of a step, unless its stream has become another one or has turned meanwhile. */
static void settle(struct ahead *a, struct stream *s, const struct part *part, enum outcome outcome)
{
	pthread_mutex_lock(&a->lock);
	if (outcome == DROPPED && s->down == part->down)
		streams_shrink(s, part->image, part->from);
	if (outcome == SPARED && s->image == part->image && s->down == part->down && s->taken == part->to)
		s->taken = part->end;
	hold_or_drop(a, s, part->of);
	pthread_mutex_unlock(&a->lock);
	hub_drop(a->hub, part->of, 1);
}

static void *run(void *arg)
{
	struct ahead *a = arg;
	struct stream *s;
	struct part part;

	while ((s = take(a, &part)))
		settle(a, s, &part, work(a, &part));
	return NULL;
}

static void init(struct ahead *a, struct hub *hub, uint64_t budget)
{
	a->hub = hub;
	streams_init(&a->streams, budget);
	pthread_mutex_init(&a->lock, NULL);
	pthread_cond_init(&a->wake, NULL);
}

int ahead_start(struct hub *hub, uint64_t budget, struct ahead **out, struct error *err)
{
	struct ahead *a = budget ? calloc(1, sizeof(*a)) : NULL;
	int rc;

	*out = NULL;
	if (!a)
		return budget ? error_nomem(err) : 0;
	init(a, hub, budget);
	rc = threads_start(&a->thread, run, a, err);
	if (rc < 0) {
		free(a);
		return rc;
	}
	*out = a;
	return 0;
}

struct ahead_sum ahead_sum(const struct ahead *a)
{
	return a ? (struct ahead_sum){ atomic_load(&a->asked), atomic_load(&a->spared) } : (struct ahead_sum){ 0 };
}

bool ahead_stop(struct ahead *a, unsigned seconds)
{
	const struct timespec until = threads_until(seconds);

	if (!a)
		return true;
	pthread_mutex_lock(&a->lock);
	a->stop = true;
	pthread_cond_signal(&a->wake);
	pthread_mutex_unlock(&a->lock);
	if (!threads_join(a->thread, &until))
		return false;
	for (uint32_t i = 0; i < a->streams.count; i++)
		give_up(a, &a->streams.list[i]);
	pthread_mutex_destroy(&a->lock);
	pthread_cond_destroy(&a->wake);
	free(a);
	return true;
}
