/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/source/scan.h"

bool scan_ends_in(const char *name, const char *suffix)
{
	size_t n = strlen(name), s = strlen(suffix);

	return n > s && strcmp(name + n - s, suffix) == 0;
}

static bool is_self_or_parent(const char *name)
{
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

static int add(struct scan_list *list, uint64_t *room, int dirfd, const char *name, struct arena *arena)
{
	struct scan_entry e = { .name = arena_strndup(arena, name, strlen(name)) };
	struct scan_entry *entries = arena_grow(arena, list->entries, list->count, room, sizeof(*entries));
	struct stat st;

	if (!e.name || !entries)
		return -ENOMEM;
	list->entries = entries;
	e.is_there = fstatat(dirfd, name, &st, 0) == 0;
	if (e.is_there) {
		e.is_dir = S_ISDIR(st.st_mode);
		e.is_file = S_ISREG(st.st_mode);
		e.size = e.is_file ? (uint64_t)st.st_size : 0;
	} else {
		e.is_there = fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
	}
	list->entries[list->count++] = e;
	return 0;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct scan_entry *)a)->name, ((const struct scan_entry *)b)->name);
}

static int read_all(DIR *dir, struct scan_list *list, struct arena *arena)
{
	uint64_t room = 0;
	struct dirent *d;
	int code = 0;

	while (code == 0 && (errno = 0, d = readdir(dir)))
		if (!is_self_or_parent(d->d_name))
			code = add(list, &room, dirfd(dir), d->d_name, arena);
	if (code == 0 && errno)
		code = -errno;
	if (code == 0 && list->count)
		qsort(list->entries, list->count, sizeof(*list->entries), by_name);
	return code;
}

int scan_dir(const char *path, const struct fence *fence, struct arena *arena, struct scan_list *out, struct error *err)
{
	int fd = fence_open(fence, path, O_DIRECTORY | O_NONBLOCK, err), code;
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;

	*out = (struct scan_list){ .fence = fence };
	if (fd == -EXDEV)
		return fd;
	code = fd < 0 ? fd : dir ? 0 : -errno;
	if (fd >= 0 && !dir)
		close(fd);
	if (dir) {
		code = read_all(dir, out, arena);
		closedir(dir);
	}
	return code < 0 ? error_set(err, code, "%s: cannot list the directory: %s", path, strerror(-code)) : 0;
}
