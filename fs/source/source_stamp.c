/* SPDX-License-Identifier: Apache-2.0 */
/* What a source file is known by, and whether it still is that. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#include "fs/source/source.h"

struct source_stamp source_stamp_of(const struct stat *st)
{
	return (struct source_stamp){ .dev = st->st_dev, .ino = st->st_ino, .size = (uint64_t)st->st_size, .mtime = st->st_mtim,
				       .ctime = st->st_ctim };
}

int source_look(const char *path, struct source_stamp *out)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return -errno;
	*out = source_stamp_of(&st);
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

int source_check(const struct source *source, int fd, struct error *err)
{
	const struct source_stamp *old = &source->stamp;
	struct stat st;

	if (fstat(fd, &st) < 0)
		return error_set(err, -errno, "%s: %s", source->path, strerror(errno));

	struct source_stamp now = source_stamp_of(&st);

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
