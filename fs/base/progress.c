/* SPDX-License-Identifier: Apache-2.0 */
/* The rate is that of the last seconds, smoothed, so that the time left follows a disk that slows down. */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "fs/base/progress.h"
#include "fs/base/term.h"

#define EVERY_MS 100
#define SMOOTHING 0.05 /* weight of the newest tenth of a second */
#define BAR_MAX 30     /* columns */
#define FIRST_S 0.3    /* work that is done sooner shows no bar */

struct progress {
	const char *what;
	uint64_t total;
	enum progress_unit unit;
	struct term term;
	_Atomic uint64_t done;
	struct timespec began;
	uint64_t seen;     /* `done` at the last drawing */
	double at, rate;   /* seconds of the last drawing; done in a second, 0 while unknown */
	bool shown;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	bool ending; /* protected by lock */
};

static double seconds_since(const struct timespec *began)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)(now.tv_sec - began->tv_sec) + (double)(now.tv_nsec - began->tv_nsec) / 1e9;
}

static void measure(struct progress *p, uint64_t done)
{
	double now = seconds_since(&p->began), passed = now - p->at;

	if (passed <= 0)
		return;
	if (p->rate <= 0)
		p->rate = (double)done / now;
	else
		p->rate += ((double)(done - p->seen) / passed - p->rate) * SMOOTHING;
	p->seen = done;
	p->at = now;
}

static void add_bar(struct text *line, const struct progress *p, double share, uint32_t columns)
{
	uint32_t full = (uint32_t)(share * columns);

	text_add(line, " %s%s", p->term.utf8 ? "" : "[", term_style(&p->term, TERM_GREEN));
	for (uint32_t i = 0; i < columns; i++) {
		if (i == full)
			text_add(line, "%s%s", term_style(&p->term, TERM_PLAIN), term_style(&p->term, TERM_DIM));
		text_add(line, "%s", p->term.utf8 ? "\u2501" : i < full ? "#" : "-");
	}
	text_add(line, "%s%s", term_style(&p->term, TERM_PLAIN), p->term.utf8 ? "" : "]");
}

/* "1:02:03", "0:07" */
static void add_time(struct text *line, double seconds)
{
	uint64_t s = seconds < 359999 ? (uint64_t)(seconds + 0.5) : 359999;

	if (s >= 3600)
		text_add(line, "%" PRIu64 ":%02" PRIu64, s / 3600, s / 60 % 60);
	else
		text_add(line, "%" PRIu64, s / 60);
	text_add(line, ":%02" PRIu64, s % 60);
}

/* "1.25 GiB of 2 GiB  1 MiB/s  0:07 left", or with files */
static void add_amounts(struct text *line, const struct progress *p, uint64_t done)
{
	const char *(*amount)(char *, uint64_t) = p->unit == PROGRESS_FILES ? term_number : term_size;
	char a[TERM_TEXT], b[TERM_TEXT];

	text_add(line, "%s of %s%s", amount(a, done), amount(b, p->total), p->unit == PROGRESS_FILES ? " files" : "");
	if (p->rate <= 0)
		return;
	text_add(line, "  %s/s  ", amount(a, (uint64_t)p->rate));
	add_time(line, (double)(p->total - done) / p->rate);
	text_add(line, " left");
}

static void draw(struct progress *p)
{
	uint64_t done = atomic_load(&p->done);
	struct text line = TEXT_EMPTY, rest = TEXT_EMPTY;
	double share;

	done = done < p->total ? done : p->total;
	measure(p, done);
	share = p->total ? (double)done / (double)p->total : 1;
	text_add(&rest, " %3.0f%%  ", share * 100);
	add_amounts(&rest, p, done);
	text_add(&line, "\r%s%s%s", term_style(&p->term, TERM_BOLD), p->what, term_style(&p->term, TERM_PLAIN));
	if (p->term.columns > strlen(p->what) + rest.len + 8) {
		uint64_t room = p->term.columns - strlen(p->what) - rest.len - 4;

		add_bar(&line, p, share, (uint32_t)(room < BAR_MAX ? room : BAR_MAX));
	}
	text_add_bytes(&line, rest.ptr, rest.ptr ? rest.len : 0);
	text_add(&line, "\033[K");
	term_write(&line, stderr);
	text_free(&rest);
	p->shown = true;
}

static void *run(void *arg)
{
	struct progress *p = arg;

	pthread_mutex_lock(&p->lock);
	while (!p->ending) {
		struct timespec until;

		clock_gettime(CLOCK_REALTIME, &until);
		until.tv_nsec += EVERY_MS * 1000000L;
		until.tv_sec += until.tv_nsec / 1000000000L;
		until.tv_nsec %= 1000000000L;
		if (pthread_cond_timedwait(&p->wake, &p->lock, &until) == ETIMEDOUT && seconds_since(&p->began) > FIRST_S)
			draw(p);
	}
	pthread_mutex_unlock(&p->lock);
	return NULL;
}

struct progress *progress_begin(const char *what, uint64_t total, enum progress_unit unit, bool quiet)
{
	struct term term = term_of(stderr);
	struct progress *p = quiet || !term.is_terminal ? NULL : calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->what = what;
	p->total = total;
	p->unit = unit;
	p->term = term;
	clock_gettime(CLOCK_MONOTONIC, &p->began);
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->wake, NULL);
	if (pthread_create(&p->thread, NULL, run, p) == 0)
		return p;
	pthread_cond_destroy(&p->wake);
	pthread_mutex_destroy(&p->lock);
	free(p);
	return NULL;
}

void progress_add(struct progress *progress, uint64_t done)
{
	if (progress)
		atomic_fetch_add_explicit(&progress->done, done, memory_order_relaxed);
}

void progress_end(struct progress *progress)
{
	if (!progress)
		return;
	pthread_mutex_lock(&progress->lock);
	progress->ending = true;
	pthread_cond_signal(&progress->wake);
	pthread_mutex_unlock(&progress->lock);
	pthread_join(progress->thread, NULL);
	if (progress->shown) {
		fputs("\r\033[K", stderr);
		fflush(stderr);
	}
	pthread_cond_destroy(&progress->wake);
	pthread_mutex_destroy(&progress->lock);
	free(progress);
}
