/* SPDX-License-Identifier: Apache-2.0 */
/* See fence.h. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/options/fence.h"
#include "fs/options/option.h"

static int add_list(struct options *o, struct options_list *all, const struct options_list *list, struct error *err)
{
	int code = 0;

	for (uint32_t i = 0; code == 0 && i < list->count; i++)
		code = option_push(o, all, list->item[i], err);
	return code;
}

/* What belongs to a SOURCE though it is not in it: the strategy beside it, and for a lone file its folder. */
static int add_beside(struct options *o, struct options_list *all, const char *source, struct error *err)
{
	const char *slash = strrchr(source, '/');
	int len = slash ? (int)(slash - source) : 0;
	struct stat st;
	bool file = stat(source, &st) == 0 && !S_ISDIR(st.st_mode);
	char *path = arena_printf(o->arena, file ? "%.*s" : "%.*s/strategy", len, source);

	return path ? option_push(o, all, path, err) : error_nomem(err);
}

int fence_set(struct options *o, struct error *err)
{
	struct options_list all = { 0 };
	struct fence *fence;
	int code;

	if (!o->allow_other || o->follow)
		return 0;
	code = add_list(o, &all, &o->source, err);
	if (code == 0)
		code = add_list(o, &all, &o->with, err);
	if (code == 0)
		code = add_list(o, &all, &o->strategy, err);
	if (code == 0 && o->to)
		code = option_push(o, &all, o->to, err);
	for (uint32_t i = 0; code == 0 && i < o->source.count; i++)
		code = add_beside(o, &all, o->source.item[i], err);
	fence = code == 0 ? arena_alloc(o->arena, 1, sizeof(*fence)) : NULL;
	if (!fence)
		return code < 0 ? code : error_nomem(err);
	*fence = (struct fence){ all.item, all.count };
	o->fence = fence;
	return 0;
}

/* True when `path` is `folder` or lies below it. */
static bool is_inside(const char *path, const char *folder)
{
	size_t len = strlen(folder);

	while (len > 0 && folder[len - 1] == '/')
		len--;
	return strncmp(path, folder, len) == 0 && (path[len] == '/' || !path[len]);
}

/* Where an open file is, in the kernel's own words: no link is left in them. Too long a path is no path of ours. */
static bool lets_through(const struct fence *fence, const char *path, const char *self)
{
	char real[PATH_MAX];
	ssize_t len = readlink(self, real, sizeof(real) - 1);

	if (len <= 0 || len >= (ssize_t)sizeof(real) - 1)
		return false;
	real[len] = '\0';
	for (uint32_t i = 0; i < fence->count; i++)
		if (is_inside(real, fence->named[i]) || strcmp(path, fence->named[i]) == 0)
			return true;
	return false;
}

static int open_plainly(const char *at, const char *path, int flags, struct error *err)
{
	int fd = open(at, flags | O_RDONLY | O_CLOEXEC);

	return fd < 0 ? error_set(err, -errno, "%s: %s", path, strerror(errno)) : fd;
}

/* O_PATH touches nothing: what lies outside, a device perhaps, is not opened to be asked. */
int fence_open(const struct fence *fence, const char *path, int flags, struct error *err)
{
	int place = fence ? open(path, O_PATH | O_CLOEXEC | (flags & O_DIRECTORY)) : -1, fd;
	char self[32];

	if (!fence)
		return open_plainly(path, path, flags, err);
	if (place < 0)
		return error_set(err, -errno, "%s: %s", path, strerror(errno));
	snprintf(self, sizeof(self), "/proc/self/fd/%d", place);
	if (lets_through(fence, path, self)) {
		fd = open_plainly(self, path, flags, err);
	} else {
		fd = error_set(err, -EXDEV, "%s: a link leads out of SOURCE here, and with allow_other everybody could read what is there; "
			       "-o follow allows that", path);
	}
	close(place);
	return fd;
}
