/* SPDX-License-Identifier: Apache-2.0 */
/* Source files. A file is stamped from its open descriptor, so no rename between stat and open can slip in. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/source.h"

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

static struct source_stamp stamp_of(const struct stat *st)
{
	return (struct source_stamp){ .dev = st->st_dev, .ino = st->st_ino, .size = (uint64_t)st->st_size, .mtime = st->st_mtim,
				       .ctime = st->st_ctim };
}

/* Fills *out from an open descriptor. */
static int describe(struct source *out, struct error *err)
{
	struct stat st;

	if (fstat(out->fd, &st) < 0)
		return error_set(err, -errno, "%s: %s", out->path, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return error_set(err, -EINVAL, "%s: expected a regular file, found %s", out->path, kind_name(st.st_mode));
	out->stamp = stamp_of(&st);
	out->mode = st.st_mode & 07777;
	out->uid = st.st_uid;
	out->gid = st.st_gid;
	return 0;
}

int source_open_file(const char *path, const struct fence *fence, struct source *out, struct error *err)
{
	int rc;

	*out = (struct source){ .path = path };
	out->fd = fence_open(fence, path, O_NOCTTY | O_NONBLOCK, err); /* a pipe without a writer must not block the mount */
	if (out->fd < 0)
		return out->fd;
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

int source_splice(struct sources *s, uint32_t index, const struct ckpt_splice *splices, uint64_t count, struct error *err)
{
	struct ckpt_splice *own = arena_alloc(s->arena, count, sizeof(*own));

	if (!own)
		return error_nomem(err);
	if (count)
		memcpy(own, splices, count * sizeof(*own));
	s->list[index].splices = own;
	s->list[index].splice_count = count;
	return 0;
}

static int read_held(const struct source *source, int fd, uint64_t offset, void *buf, uint64_t len, struct error *err)
{
	uint64_t done = 0;

	while (done < len) {
		ssize_t n = pread(fd, (char *)buf + done, len - done, (off_t)(offset + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return error_set(err, -errno, "%s: reading at %" PRIu64 ": %s", source->path, offset + done, strerror(errno));
		if (n == 0)
			return error_set(err, -EIO, "%s: ends at byte %" PRIu64 ", expected %" PRIu64 " or more", source->path,
					 offset + done, offset + len);
		done += (uint64_t)n;
	}
	return 0;
}

static int read_file(const struct source *source, uint64_t offset, void *buf, uint64_t len, struct error *err)
{
	int fd, code;

	if (offset > INT64_MAX || len > INT64_MAX - offset)
		return error_set(err, -EIO, "%s: a read beyond what a file can hold", source->path);
	fd = source_hold(source, err);
	if (fd < 0)
		return fd;
	code = read_held(source, fd, offset, buf, len, err);
	source_release(source);
	return code;
}

/* The splice that `address` lies in, or NULL. */
static const struct ckpt_splice *find_splice(const struct source *source, uint64_t address)
{
	uint64_t lo = 0, hi = source->splice_count; /* those before lo begin at or before the address, those from hi on behind it */

	while (lo < hi) {
		uint64_t mid = lo + (hi - lo) / 2;

		if (source->splices[mid].logical <= address)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo == 0 || address - source->splices[lo - 1].logical >= source->splices[lo - 1].len)
		return NULL;
	return &source->splices[lo - 1];
}

uint64_t source_byte(const struct source *source, uint64_t address)
{
	const struct ckpt_splice *s = address < source->stamp.size ? NULL : find_splice(source, address);

	return address < source->stamp.size ? address : s ? s->physical + (address - s->logical) : UINT64_MAX;
}

static int read_spliced(const struct source *source, uint64_t address, char *buf, uint64_t len, struct error *err)
{
	uint64_t skip, n;
	int code = 0;

	for (; code == 0 && len > 0; address += n, buf += n, len -= n) {
		const struct ckpt_splice *s = find_splice(source, address);

		if (!s)
			return error_set(err, -EIO, "%s: address %" PRIu64 " stands for nothing", source->path, address);
		skip = address - s->logical;
		n = len < s->len - skip ? len : s->len - skip;
		code = read_file(source, s->physical + skip, buf, n, err);
	}
	return code;
}

int source_read(const struct source *source, uint64_t offset, void *buf, uint64_t len, struct error *err)
{
	if (source->splice_count && offset >= source->stamp.size)
		return read_spliced(source, offset, buf, len, err);
	return read_file(source, offset, buf, len, err);
}

/* Whether one call brought all of it. */
static bool scatter_at_once(const struct source *source, uint64_t offset, const struct iovec *to, int count)
{
	uint64_t len = 0;
	struct error err;
	ssize_t got;
	int fd;

	for (int i = 0; i < count; i++)
		len += to[i].iov_len;
	if (offset >= source->stamp.size || len > source->stamp.size - offset)
		return false;
	fd = source_hold(source, &err);
	if (fd < 0)
		return false;
	got = preadv(fd, to, count, (off_t)offset);
	source_release(source);
	return got == (ssize_t)len;
}

/* One by one where one call does not bring all: that also tells why. */
int source_scatter(const struct source *source, uint64_t offset, const struct iovec *to, int count, struct error *err)
{
	int rc = 0;

	if (count > 1 && scatter_at_once(source, offset, to, count))
		return 0;
	for (int i = 0; i < count && rc == 0; offset += to[i++].iov_len)
		rc = source_read(source, offset, to[i].iov_base, to[i].iov_len, err);
	return rc;
}

int source_look(const char *path, struct source_stamp *out)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return -errno;
	*out = stamp_of(&st);
	return 0;
}

bool source_same(const struct source_stamp *a, const struct source_stamp *b)
{
	return a->dev == b->dev && a->ino == b->ino && a->size == b->size && a->mtime.tv_sec == b->mtime.tv_sec &&
	       a->mtime.tv_nsec == b->mtime.tv_nsec;
}

static int changed(const struct source *source, const char *field, uint64_t expected, uint64_t found, struct error *err)
{
	return error_set(err, -EIO, "%s: changed since it was mounted: %s: expected %" PRIu64 ", found %" PRIu64, source->path,
			 field, expected, found);
}

static int changed_mtime(const struct source *source, struct timespec found, struct error *err)
{
	struct timespec expected = source->stamp.mtime;

	return error_set(err, -EIO, "%s: changed since it was mounted: mtime: expected %jd.%09ld, found %jd.%09ld", source->path,
			 (intmax_t)expected.tv_sec, expected.tv_nsec, (intmax_t)found.tv_sec, found.tv_nsec);
}

/* 0 when the open file `fd` is as the source is stamped. */
static int check(const struct source *source, int fd, struct error *err)
{
	const struct source_stamp *old = &source->stamp;
	struct stat st;

	if (fstat(fd, &st) < 0)
		return error_set(err, -errno, "%s: %s", source->path, strerror(errno));

	struct source_stamp now = stamp_of(&st);

	if (now.dev != old->dev)
		return changed(source, "device", old->dev, now.dev, err);
	if (now.ino != old->ino)
		return changed(source, "inode", old->ino, now.ino, err);
	if (now.size != old->size)
		return changed(source, "size", old->size, now.size, err);
	if (now.mtime.tv_sec != old->mtime.tv_sec || now.mtime.tv_nsec != old->mtime.tv_nsec)
		return changed_mtime(source, now.mtime, err);
	return 0;
}

int source_unchanged(const struct source *source, struct error *err)
{
	int fd = source_hold(source, err), code;

	if (fd < 0)
		return fd;
	code = check(source, fd, err);
	source_release(source);
	return code;
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
	code = check(source, fd, err);
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
