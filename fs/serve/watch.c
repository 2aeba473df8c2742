/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A step appears by the rename of one file for each rank, so a look waits until nothing has happened for a moment, but not for long. A
 * look takes a while where there are many ranks; the next one then waits longer, so that watching never takes more than a part
 * of a processor.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include "fs/base/threads.h"
#include "fs/serve/watch.h"

#define QUIET 60        /* ms without events before a look */
#define PATIENCE 250    /* ms after the first event in any case */
#define RESCAN 5000     /* ms between looks where the kernel tells of changes */
#define RESCAN_BLIND 1000 /* ms where it may not */
#define SHARE 8         /* of what the last look took: the least pause before one that nothing asks for */

#define FOLDER_EVENTS (IN_CREATE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_CLOSE_WRITE | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR)

struct watch {
	struct follow *f;
	pthread_t thread;
	int inotify;      /* -1: there is none */
	int wake;         /* an event: end */
	int newest;       /* highest number of a watch */
	bool remote;      /* a folder may be changed by other hosts */
	bool failed;      /* a folder could not be watched the last time */
	int64_t first, last; /* ms: when the first and the last event came that no look has followed; 0: none */
	int64_t looked, took; /* ms: when the last look ended, and how long it took */
};

static int64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* True for the filesystems of this machine alone. What is not known may be shared with others. */
static bool is_local(const char *path)
{
	static const uint32_t local[] = {
		0xef53 /* ext4 */, 0x58465342 /* xfs */, 0x9123683e /* btrfs */, 0x01021994 /* tmpfs */, 0x858458f6 /* ramfs */,
		0x794c7630 /* overlay */, 0xf2f52010 /* f2fs */, 0x2fc12fc1 /* zfs */, 0xca451a4e /* bcachefs */, 0x4d44 /* vfat */,
		0x2011bab0 /* exfat */, 0x7366746e /* ntfs3 */, 0x3153464a /* jfs */,
	};
	struct statfs st;

	if (statfs(path, &st) < 0)
		return false;
	for (size_t i = 0; i < sizeof(local) / sizeof(*local); i++)
		if ((uint32_t)st.f_type == local[i])
			return true;
	return false;
}

/* Watches a folder; true when it was not watched yet. A folder that was put in its place is another, with a number of its own. */
static bool watch_folder(struct watch *w, const char *path)
{
	int number = w->inotify < 0 ? -1 : inotify_add_watch(w->inotify, path, FOLDER_EVENTS);

	w->failed |= number < 0;
	if (number <= w->newest)
		return false;
	w->newest = number;
	w->remote |= !is_local(path);
	return true;
}

/* True when a folder was not watched before: what has happened in it until now nobody has told. */
static bool watch_all(struct watch *w)
{
	const struct options_list *sources = &w->f->options->source;
	bool fresh = false;

	w->failed = false;
	for (uint32_t i = 0; i < sources->count; i++)
		fresh |= watch_folder(w, sources->item[i]);
	for (uint64_t i = 0; i < w->f->ranks.count; i++)
		fresh |= watch_folder(w, w->f->ranks.folders[i].path);
	return fresh;
}

static void look(struct watch *w)
{
	int64_t began = now();

	w->first = w->last = 0;
	do {
		follow_look(w->f);
	} while (watch_all(w) && !w->f->stop);
	w->looked = now();
	w->took = w->looked - began;
}

/* The temporary files of a save, and what is written beside the weights, tell nothing; an event of a folder itself has no name. */
static bool is_telling(const struct inotify_event *e)
{
	size_t len = e->len ? strlen(e->name) : 0;

	if (len == 0 || (e->mask & IN_ISDIR))
		return true;
	if (e->name[0] == '.' || strncmp(e->name, "tmp", 3) == 0 || strcmp(e->name, "meta.json") == 0)
		return false;
	return len < 4 || strcmp(e->name + len - 4, ".tmp") != 0;
}

static void take_events(struct watch *w)
{
	char buf[16384] __attribute__((aligned(__alignof__(struct inotify_event))));
	const struct inotify_event *e;
	ssize_t n;

	while ((n = read(w->inotify, buf, sizeof(buf))) > 0)
		for (char *at = buf; at < buf + n; at += sizeof(*e) + e->len) {
			e = (const struct inotify_event *)(const void *)at;
			if (!is_telling(e))
				continue;
			w->last = now();
			if (!w->first)
				w->first = w->last;
		}
}

static int64_t at_least(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

static int64_t at_most(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* When to look next. */
static int64_t next_look(const struct watch *w)
{
	int64_t pause = w->remote || w->failed ? RESCAN_BLIND : RESCAN;
	int64_t regular = w->looked + at_least(pause, w->took * SHARE);
	int64_t asked = w->last + QUIET < w->first + PATIENCE ? w->last + QUIET : w->first + PATIENCE;

	return w->first ? at_least(asked, w->looked + w->took) : regular;
}

static void *run(void *arg)
{
	struct watch *w = arg;
	struct pollfd on[] = { { .fd = w->wake, .events = POLLIN }, { .fd = hub_event(w->f->hub), .events = POLLIN },
			       { .fd = w->inotify, .events = POLLIN } };

	watch_all(w);
	look(w);
	while (!w->f->stop) {
		int64_t wait = at_most(hub_prune(w->f->hub, now()), next_look(w)) - now();

		poll(on, 3, wait > 0 ? (int)at_most(wait, RESCAN) : 0);
		if (on[2].revents)
			take_events(w);
		hub_reap(w->f->hub);
		if (!w->f->stop && now() >= next_look(w))
			look(w);
	}
	return NULL;
}

static void free_watch(struct watch *w)
{
	if (w->inotify >= 0)
		close(w->inotify);
	if (w->wake >= 0)
		close(w->wake);
	free(w);
}

int watch_start(struct follow *f, struct watch **out, struct error *err)
{
	struct watch *w = calloc(1, sizeof(*w));
	int rc;

	if (!w)
		return error_nomem(err);
	w->f = f;
	w->inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK); /* where there is none, looking from time to time has to do */
	w->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	rc = w->wake < 0 ? error_set(err, -errno, "%s", strerror(errno)) : threads_start(&w->thread, run, w, err);
	if (rc < 0) {
		free_watch(w);
		return error_prefix(err, rc, "cannot watch for new steps");
	}
	*out = w;
	return 0;
}

bool watch_stop(struct watch *w, unsigned seconds)
{
	const struct timespec until = threads_until(seconds);

	w->f->stop = true;
	eventfd_write(w->wake, 1);
	if (!threads_join(w->thread, &until))
		return false;
	free_watch(w);
	return true;
}
