/* SPDX-License-Identifier: Apache-2.0 */
/* Opening source files. A file is stamped from its open descriptor, so no rename between stat and open can slip in. */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "fs/source/source.h"

#define TICK 10000000 /* ns: the longest of a kernel that counts times in ticks (100 a second) */
#define LOOKS 10      /* at a file that is being written; it will be found changed later */

struct sources *source_list_new(void)
{
	struct sources *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->arena = arena_new();
	if (!s->arena) {
		free(s);
		return NULL;
	}
	return s;
}

struct sources *source_list_bounded(struct fds *fds)
{
	struct sources *s = source_list_new();

	if (s)
		s->fds = fds_share(fds);
	return s;
}

void source_close(struct source *source)
{
	if (source->slot)
		fds_close(source->fds, source->slot);
	else if (source->fds)
		fds_unkeep(source->fds);
	if (source->fd >= 0)
		close(source->fd);
	source->fd = -1;
}

void source_list_free(struct sources *s)
{
	if (!s)
		return;
	for (uint32_t i = 0; i < s->count; i++) {
		void *map = atomic_load(s->list[i].map);

		if (map)
			munmap(map, s->list[i].stamp.size);
		source_close(&s->list[i]);
	}
	fds_free(s->fds);
	arena_free(s->arena);
	free(s->list);
	free(s);
}

static int grow(struct sources *s, struct error *err)
{
	uint32_t capacity = s->capacity ? s->capacity * 2 : 16;
	struct source *list;

	if (s->count < s->capacity)
		return 0;
	if (capacity < s->capacity)
		return error_nomem(err);
	list = reallocarray(s->list, capacity, sizeof(*list));
	if (!list)
		return error_nomem(err);
	s->list = list;
	s->capacity = capacity;
	return 0;
}

static const char *kind_name(mode_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFDIR:
		return "a directory";
	case S_IFIFO:
		return "a named pipe";
	case S_IFSOCK:
		return "a socket";
	case S_IFCHR:
	case S_IFBLK:
		return "a device";
	default:
		return "something else";
	}
}

/* Nanoseconds for which a file that was just changed could be changed again without a trace in its times; 0 or less: none. */
static int64_t unsettled(const struct stat *st)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	if (st->st_mtim.tv_sec > now.tv_sec || now.tv_sec - st->st_mtim.tv_sec > 1)
		return 0;
	return TICK - ((now.tv_sec - st->st_mtim.tv_sec) * 1000000000 + now.tv_nsec - st->st_mtim.tv_nsec);
}

/* Many kernels count the times of files in ticks of a clock: what was changed in the last tick is looked at again when that is over. */
static int look(int fd, struct stat *st)
{
	int rc = fstat(fd, st);
	int64_t wait;

	for (int i = 0; rc == 0 && i < LOOKS && (wait = unsettled(st)) > 0 && wait <= TICK; i++) {
		nanosleep(&(struct timespec){ .tv_nsec = (long)wait }, NULL);
		rc = fstat(fd, st);
	}
	return rc;
}

/* Fills *out from an open descriptor. */
static int describe(struct source *out, struct error *err)
{
	struct stat st;

	if (look(out->fd, &st) < 0)
		return error_set(err, -errno, "%s: %s", out->path, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return error_set(err, -EINVAL, "%s: expected a regular file, found %s", out->path, kind_name(st.st_mode));
	out->stamp = source_stamp_of(&st);
	out->mode = st.st_mode & 07777;
	out->uid = st.st_uid;
	out->gid = st.st_gid;
	return 0;
}

/* Some files are known by how they do not open. */
static int why_none(const char *path, int code, struct error *err)
{
	struct stat st;

	if (code == -ENXIO)
		return error_set(err, code, "%s: expected a regular file, found a socket, or a device that is not there", path);
	if (code == -ENOENT && lstat(path, &st) == 0)
		return error_set(err, code, "%s: expected a regular file, found a link that leads nowhere", path);
	return code;
}

int source_open_file(const char *path, const struct fence *fence, struct source *out, struct error *err)
{
	int rc;

	*out = (struct source){ .path = path };
	out->fd = fence_open(fence, path, O_NOCTTY | O_NONBLOCK, err); /* a pipe without a writer must not block the mount */
	if (out->fd < 0)
		return why_none(path, out->fd, err);
	rc = describe(out, err);
	if (rc < 0)
		source_close(out);
	return rc;
}

/* Counts the source's descriptor, or gives it a slot where no more can be kept. */
static int bound(struct sources *s, struct source *source)
{
	if (!s->fds)
		return 0;
	if (!fds_keep(s->fds)) {
		source->slot = arena_alloc(s->arena, 1, sizeof(*source->slot));
		if (!source->slot)
			return -ENOMEM;
		source->slot->fd = -1;
		fds_offer(s->fds, source->slot, source->fd);
		fds_release(s->fds, source->slot);
		source->fd = -1;
	}
	source->fds = s->fds;
	return 0;
}

int source_adopt(struct sources *s, struct source *source, uint32_t *index, struct error *err)
{
	int rc = grow(s, err);

	if (rc == 0) {
		source->path = arena_strndup(s->arena, source->path, strlen(source->path));
		source->map = arena_alloc(s->arena, 1, sizeof(*source->map));
		if (!source->path || !source->map || bound(s, source) < 0)
			rc = error_nomem(err);
	}
	if (rc < 0) {
		source_close(source);
		return rc;
	}
	*index = s->count;
	s->list[s->count++] = *source;
	return 0;
}

int source_open(struct sources *s, const char *path, uint32_t *index, struct error *err)
{
	struct source source;
	int rc = source_open_file(path, s->fence, &source, err);

	return rc < 0 ? rc : source_adopt(s, &source, index, err);
}

/* Opens a file again that is not kept open. */
static int reopen(const struct source *source, struct error *err)
{
	int fd, code;

	do
		fd = open(source->path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	while (fd < 0 && (errno == EMFILE || errno == ENFILE) && fds_spare(source->fds));
	if (fd < 0)
		return error_set(err, errno == ENOENT ? -EIO : -errno, "%s: there are more files than can be kept open (ulimit -n), and this one "
				 "cannot be opened again: %s", source->path, strerror(errno));
	code = source_check(source, fd, err);
	if (code < 0) {
		close(fd);
		return code;
	}
	return fds_offer(source->fds, source->slot, fd);
}

int source_hold(const struct source *source, struct error *err)
{
	int fd;

	if (!source->slot)
		return source->fd;
	fd = fds_hold(source->fds, source->slot);
	return fd >= 0 ? fd : reopen(source, err);
}

void source_release(const struct source *source)
{
	if (source->slot)
		fds_release(source->fds, source->slot);
}
