/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See below.h. The file is open for a step only, for the mount is busy as long as it is. A model that this thread is the last to let go of
 * is freed when the watcher looks the next time: the event that wakes him is not in this thread's table.
 */
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/base/threads.h"
#include "fs/serve/below.h"
#include "fs/serve/falls.h"
#include "fs/serve/own.h"

#define PIECE (UINT64_C(128) << 10) /* bytes that the kernel reads ahead at once, where nobody has raised it */

struct below {
	struct hub *hub;
	const char *point;
	pthread_t thread;
	_Atomic pid_t self;     /* of the thread, as the kernel knows readers; 0: not yet */
	_Atomic dev_t device;   /* of the mount; 0: not yet */
	_Atomic uint64_t asked; /* bytes */

	pthread_mutex_t lock; /* of everything below; held for a few instructions only */
	pthread_cond_t wake;
	bool stop;
	struct falls falls;
};

/* A part of a file that is to be read. */
struct part {
	uint64_t file, offset, len;
};

void below_at(struct below *b, dev_t device)
{
	if (b)
		atomic_store(&b->device, device);
}

bool below_is(const struct below *b, pid_t caller)
{
	return b && caller == atomic_load(&b->self);
}

void below_note(struct below *b, const struct below_read *read)
{
	const struct image *image = b && read->at->node->kind == TREE_IMAGE ? read->at->node->image : NULL;
	struct falls_read fall = { .file = read->number, .offset = read->offset };
	uint64_t extent;

	if (!image || read->offset >= image->size || below_is(b, read->reader))
		return;
	extent = image_find(image, read->offset);
	fall.len = read->size < image->size - read->offset ? read->size : image->size - read->offset;
	fall.start = image->extents[extent].offset;
	fall.end = fall.start + image_extent_len(image, extent);
	if (pthread_mutex_trylock(&b->lock) != 0)
		return;
	if (falls_note(&b->falls, &fall))
		pthread_cond_signal(&b->wake);
	pthread_mutex_unlock(&b->lock);
}

/* Waits until something is wanted, and takes a step of it; false at the end. */
static bool take(struct below *b, struct part *part)
{
	bool has = false;

	pthread_mutex_lock(&b->lock);
	while (!b->stop && !(has = falls_take(&b->falls, &part->file, &part->offset, &part->len)))
		pthread_cond_wait(&b->wake, &b->lock);
	pthread_mutex_unlock(&b->lock);
	return has;
}

/* Puts `text` before what begins at `at` in `path`; false when there is no room. */
static bool put_before(char *path, size_t *at, const char *text)
{
	size_t len = strlen(text);

	if (len > *at)
		return false;
	while (len > 0)
		path[--*at] = text[--len];
	return true;
}

static bool put_name(char *path, size_t *at, const char *name)
{
	return put_before(path, at, name) && put_before(path, at, "/");
}

/* The path of a node, made from its end; NULL when it is too long. */
static const char *path_of(const struct below *b, const struct hub_node *node, char path[PATH_MAX])
{
	const struct tree *tree = node->tree;
	size_t at = PATH_MAX - 1;
	bool fits = true;

	path[at] = '\0';
	for (const struct tree_node *n = node->node; fits && n != tree->nodes; n = &tree->nodes[n->parent])
		fits = put_name(path, &at, n->name);
	if (fits && hub_is_many(b->hub))
		fits = put_name(path, &at, node->of->name);
	return fits && put_before(path, &at, b->point) ? path + at : NULL;
}

/* Another file may have that path now, of another step, another mount or none. */
static bool is_file(const struct below *b, int fd, const struct part *part)
{
	struct stat st;

	return fstat(fd, &st) == 0 && st.st_dev == atomic_load(&b->device) && st.st_ino == part->file;
}

static bool read_below(const struct below *b, const char *path, const struct part *part)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
	bool done = fd >= 0 && is_file(b, fd, part);

	for (uint64_t left = part->len; done && left > 0;) {
		uint64_t len = left < PIECE ? left : PIECE;

		left -= len;
		done = readahead(fd, (off64_t)(part->offset + left), len) == 0;
	}
	if (fd >= 0)
		close(fd);
	return done;
}

/* False when the reader had better ask himself: the file has gone, or cannot be opened. */
static bool work(struct below *b, const struct part *part)
{
	char room[PATH_MAX];
	const char *path;
	struct hub_node at;
	bool done;

	if (!hub_get(b->hub, part->file, &at))
		return false;
	path = path_of(b, &at, room);
	hub_drop(b->hub, at.of, 1);
	own_begin();
	done = path && read_below(b, path, part);
	own_end();
	return done;
}

static void drop(struct below *b, uint64_t number)
{
	pthread_mutex_lock(&b->lock);
	falls_drop(&b->falls, number);
	pthread_mutex_unlock(&b->lock);
}

void below_closed(struct below *b, uint64_t number)
{
	if (b)
		drop(b, number);
}

static void *run(void *arg)
{
	struct below *b = arg;
	struct part part;

	if (close_range(3, ~0U, CLOSE_RANGE_UNSHARE) < 0)
		return NULL; /* where that cannot be, nothing is read */
	atomic_store(&b->self, gettid());
	while (take(b, &part)) {
		if (work(b, &part))
			atomic_fetch_add(&b->asked, part.len);
		else
			drop(b, part.file);
	}
	return NULL;
}

void below_free(struct below *b)
{
	if (!b)
		return;
	pthread_mutex_destroy(&b->lock);
	pthread_cond_destroy(&b->wake);
	free(b);
}

int below_start(struct hub *hub, const char *point, struct below **out, struct error *err)
{
	struct below *b = calloc(1, sizeof(*b));
	int rc;

	if (!b)
		return error_nomem(err);
	b->hub = hub;
	b->point = point;
	pthread_mutex_init(&b->lock, NULL);
	pthread_cond_init(&b->wake, NULL);
	falls_init(&b->falls, (uint64_t)sysconf(_SC_PAGESIZE));
	rc = threads_start(&b->thread, run, b, err);
	if (rc < 0)
		below_free(b);
	else
		*out = b;
	return rc;
}

uint64_t below_sum(const struct below *b)
{
	return b ? atomic_load(&b->asked) : 0;
}

bool below_stop(struct below *b, unsigned seconds)
{
	const struct timespec until = threads_until(seconds);

	if (!b)
		return true;
	pthread_mutex_lock(&b->lock);
	b->stop = true;
	pthread_cond_signal(&b->wake);
	pthread_mutex_unlock(&b->lock);
	return threads_join(b->thread, &until);
}
