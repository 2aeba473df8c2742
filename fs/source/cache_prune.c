/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "fs/source/cache_prune.h"
#include "fs/source/scan.h"
#include "layout/base/arena.h"

#define ABANDONED 3600 /* seconds */

struct kept {
	const char *name;
	uint64_t size;
	struct timespec used;
};

struct list {
	struct kept *kept; /* [count] */
	uint64_t count, room, bytes;
};

static int by_use(const void *a, const void *b)
{
	const struct timespec *x = &((const struct kept *)a)->used, *y = &((const struct kept *)b)->used;

	if (x->tv_sec != y->tv_sec)
		return x->tv_sec < y->tv_sec ? -1 : 1;
	return (x->tv_nsec > y->tv_nsec) - (x->tv_nsec < y->tv_nsec);
}

static void look_at(int folder, const char *name, struct arena *arena, struct list *list)
{
	bool temp = strncmp(name, "." CACHE_PRUNE_TEMP, strlen("." CACHE_PRUNE_TEMP)) == 0;
	struct kept *kept;
	struct stat st;

	if ((!temp && (name[0] == '.' || !scan_ends_in(name, CACHE_PRUNE_NAME))) || fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
	    !S_ISREG(st.st_mode))
		return;
	if (temp && st.st_mtim.tv_sec < time(NULL) - ABANDONED)
		unlinkat(folder, name, 0);
	kept = temp ? NULL : arena_grow(arena, list->kept, list->count, &list->room, sizeof(*kept));
	if (!kept)
		return;
	list->kept = kept;
	kept[list->count++] = (struct kept){ arena_strndup(arena, name, strlen(name)), (uint64_t)st.st_size, st.st_mtim };
	list->bytes += (uint64_t)st.st_size;
}

void cache_prune(int folder, uint64_t bytes)
{
	int again = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC); /* closedir() closes it */
	DIR *dir = again < 0 ? NULL : fdopendir(again);
	struct arena *arena = arena_new();
	struct list list = { .count = 0 };

	if (!dir && again >= 0)
		close(again);
	for (const struct dirent *d; dir && arena && (d = readdir(dir));)
		look_at(folder, d->d_name, arena, &list);
	if (list.count)
		qsort(list.kept, list.count, sizeof(*list.kept), by_use);
	for (uint64_t i = 0; i < list.count && list.bytes > bytes; i++)
		if (list.kept[i].name && unlinkat(folder, list.kept[i].name, 0) == 0)
			list.bytes -= list.kept[i].size;
	if (dir)
		closedir(dir);
	arena_free(arena);
}
