/* SPDX-License-Identifier: Apache-2.0 */
/* See cache_dir.h. Files are opened below the descriptor of the folder that was looked at. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/base/buffer.h"
#include "fs/base/persist.h"
#include "fs/source/cache_dir.h"
#include "fs/source/cache_prune.h"

#define OTHERS_WRITE (S_IWGRP | S_IWOTH)

/* The folder `name` in `base`, if that is an absolute path. */
static bool below(const char *base, const char *name, struct arena *arena, struct cache_dir *out)
{
	if (!base || base[0] != '/')
		return false;
	*out = (struct cache_dir){ CACHE_DIR_FOLDER, arena_printf(arena, "%s/%s", base, name), arena_strndup(arena, base, strlen(base)) };
	return true;
}

static void find_default(struct arena *arena, struct cache_dir *out)
{
	const char *home = getenv("HOME");

	if (below(getenv("XDG_CACHE_HOME"), "gatherfs", arena, out))
		return;
	if (geteuid() == 0)
		below("/var/cache", "gatherfs", arena, out);
	else if (home && home[0] == '/')
		below(arena_printf(arena, "%s/.cache", home), "gatherfs", arena, out);
}

int cache_dir_find(const struct options *o, struct arena *arena, struct cache_dir *out)
{
	struct stat st;

	*out = (struct cache_dir){ CACHE_DIR_NONE, NULL, NULL };
	if (o->no_header_cache)
		return 0;
	if (!o->header_cache) {
		find_default(arena, out);
		return out->kind == CACHE_DIR_NONE || (out->path && out->above) ? 0 : -ENOMEM;
	}
	out->path = o->header_cache;
	out->kind = stat(out->path, &st) == 0 && !S_ISDIR(st.st_mode) ? CACHE_DIR_FILE : CACHE_DIR_FOLDER;
	return 0;
}

static int failed(const char *path, int number, struct error *err)
{
	return error_set(err, -number, "%s: %s", path, strerror(number));
}

/* Opens the folder, after it was made if need be. */
static int open_folder(const struct cache_dir *dir, bool make, struct error *err)
{
	int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, fd;
	struct stat st;

	if (make && dir->above)
		mkdir(dir->above, 0700); /* as the XDG specification wants it; what is wrong shows below */
	if (make)
		mkdir(dir->path, 0700);
	fd = open(dir->path, flags);
	if (fd < 0)
		return failed(dir->path, errno, err);
	if (fstat(fd, &st) == 0 && st.st_uid == geteuid() && !(st.st_mode & OTHERS_WRITE))
		return fd;
	close(fd);
	return error_set(err, -EPERM, "%s: not used: it must belong to uid %u, and nobody else may write to it", dir->path,
			 (unsigned)geteuid());
}

/* True when an index that has been named may belong to `uid`. */
static bool is_trusted(uid_t uid, const char *source)
{
	struct stat st;

	return uid == geteuid() || uid == 0 || (source && stat(source, &st) == 0 && st.st_uid == uid);
}

static int check_file(const char *path, const struct stat *st, const char *source, uint64_t most, struct error *err)
{
	if (!S_ISREG(st->st_mode))
		return error_set(err, -EINVAL, "%s: not used: not a regular file", path);
	if ((st->st_uid != geteuid() && !is_trusted(st->st_uid, source)) || st->st_mode & OTHERS_WRITE)
		return error_set(err, -EPERM, "%s: not used: it belongs to uid %u, or others may write to it", path, (unsigned)st->st_uid);
	if ((uint64_t)st->st_size > most)
		return error_set(err, -EFBIG, "%s: not used: %llu bytes, where at most %llu make sense", path, (unsigned long long)st->st_size,
				 (unsigned long long)most);
	return 0;
}

static int read_all(int fd, const char *path, uint64_t size, struct bytes *out, struct error *err)
{
	uint8_t *buf = buffer_new(size);
	uint64_t done = 0;
	ssize_t n = 1;

	if (!buf)
		return error_nomem(err);
	while (done < size && n > 0) {
		n = read(fd, buf + done, size - done);
		if (n < 0 && errno == EINTR)
			n = 1;
		else if (n > 0)
			done += (uint64_t)n;
	}
	if (n < 0) {
		int number = errno;

		free(buf);
		return failed(path, number, err);
	}
	*out = (struct bytes){ buf, done };
	return 0;
}

/* Reads what was opened, and closes it; `source` is NULL for a file that must be our own. */
static int take(int fd, const char *path, const char *source, uint64_t most, struct bytes *out, struct error *err)
{
	struct stat st;
	int code;

	if (fd < 0)
		return failed(path, errno, err);
	code = fstat(fd, &st) < 0 ? failed(path, errno, err) : check_file(path, &st, source, most, err);
	if (code == 0)
		code = read_all(fd, path, (uint64_t)st.st_size, out, err);
	if (code == 0 && !source)
		futimens(fd, NULL); /* it was used now: others are removed before it */
	close(fd);
	return code;
}

int cache_dir_read(const struct cache_dir *dir, const char *name, const char *source, struct bytes *out, struct error *err)
{
	int flags = O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, folder, code;
	char path[PATH_MAX];

	if (dir->kind == CACHE_DIR_FILE)
		return take(open(dir->path, flags & ~O_NOFOLLOW), dir->path, source, CACHE_DIR_SHARED, out, err);
	folder = open_folder(dir, false, err);
	if (folder < 0)
		return folder;
	snprintf(path, sizeof(path), "%s/%s", dir->path, name);
	code = take(openat(folder, name, flags), path, NULL, CACHE_DIR_LARGEST, out, err);
	close(folder);
	return code;
}

/* Puts a file into a folder under its name once it is on the disk. */
static int put(int folder, const char *name, mode_t mode, struct bytes file)
{
	int flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, fd, code;
	char temp[NAME_MAX + 1];

	snprintf(temp, sizeof(temp), "." CACHE_PRUNE_TEMP "%d-%.200s", (int)getpid(), name);
	unlinkat(folder, temp, 0); /* of a process that had this number before */
	fd = openat(folder, temp, flags, mode);
	if (fd < 0)
		return -errno;
	code = persist_bytes(fd, file);
	close(fd);
	if (code == 0 && renameat(folder, temp, folder, name) < 0)
		code = -errno;
	if (code < 0)
		unlinkat(folder, temp, 0);
	return code;
}

int cache_dir_write(const struct cache_dir *dir, const char *name, struct bytes file, struct error *err)
{
	int folder, code;

	if (file.len > CACHE_DIR_LARGEST)
		return error_set(err, -E2BIG, "%s/%s: not written: %llu bytes", dir->path, name, (unsigned long long)file.len);
	folder = open_folder(dir, true, err);
	if (folder < 0)
		return folder;
	cache_prune(folder, CACHE_DIR_BYTES - file.len);
	code = put(folder, name, 0600, file);
	close(folder);
	return code < 0 ? error_set(err, code, "%s/%s: not written: %s", dir->path, name, strerror(-code)) : 0;
}

int cache_dir_save(const char *path, struct bytes file, struct error *err)
{
	const char *slash = strrchr(path, '/');
	char folder[PATH_MAX];
	int fd, code;

	snprintf(folder, sizeof(folder), "%.*s", (int)(slash == path ? 1 : slash - path), path);
	fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	code = fd < 0 ? -errno : put(fd, slash + 1, 0644, file);
	if (fd >= 0)
		close(fd);
	return code < 0 ? error_set(err, code, "%s: cannot write: %s", path, strerror(-code)) : 0;
}
