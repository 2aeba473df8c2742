/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lists a folder of a mount in every way that there is, and walks to names in it by every path.
 *
 *     folders DIR COUNT
 *
 * DIR has COUNT entries besides "." and "..". Says what is not as it should be.
 */
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/calls.h"

struct seen {
	char *name;
	ino_t ino;
	unsigned char type;
	long before, after; /* telldir() around it */
};

struct place {
	const char *dir;
	DIR *d;
	struct seen *list; /* [count + 2], in the order of the listing */
	long count;
	struct calls calls;
};

/* The next entry of a listing is entry `i`. */
static bool is_next(const struct place *p, DIR *d, long i)
{
	const struct dirent *e = readdir(d);

	return i < p->count ? e && strcmp(e->d_name, p->list[i].name) == 0 && e->d_ino == p->list[i].ino : !e;
}

static void list_once(struct place *p, long expected)
{
	const struct dirent *e;
	long before = telldir(p->d);

	errno = 0;
	while (p->count < expected && (e = readdir(p->d))) {
		p->list[p->count++] = (struct seen){ strdup(e->d_name), e->d_ino, e->d_type, before, telldir(p->d) };
		before = telldir(p->d);
	}
	HOLDS(p->count == expected && !readdir(p->d) && !readdir(p->d));
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void names_come_once(struct place *p)
{
	const char **names = calloc((size_t)p->count, sizeof(*names));
	bool twice = false, self = false, parent = false;

	for (long i = 0; i < p->count; i++) {
		names[i] = p->list[i].name;
		self |= strcmp(names[i], ".") == 0;
		parent |= strcmp(names[i], "..") == 0;
	}
	qsort(names, (size_t)p->count, sizeof(*names), by_name);
	for (long i = 1; i < p->count; i++)
		twice |= strcmp(names[i], names[i - 1]) == 0;
	HOLDS(self && parent && !twice);
	free(names);
}

/* Every place that was told can be gone to, in any order, in this listing and in another one. */
static void seek(struct place *p)
{
	DIR *again = opendir(p->dir);
	bool good = again, place = true;
	uint32_t random = 1;

	for (int n = 0; n < 3000 && good; n++) {
		long i = (long)((random = random * 1664525 + 1013904223) >> 8) % p->count;

		seekdir(n % 2 ? p->d : again, p->list[i].before);
		place = place && (n % 2 == 0 || telldir(p->d) == p->list[i].before);
		good = good && is_next(p, n % 2 ? p->d : again, i) && is_next(p, n % 2 ? p->d : again, i + 1);
	}
	HOLDS(good && place);
	seekdir(p->d, p->list[p->count - 1].after);
	HOLDS(is_next(p, p->d, p->count));
	rewinddir(p->d);
	HOLDS(is_next(p, p->d, 0) && is_next(p, p->d, 1));
	rewinddir(again);
	for (long i = 0; i < p->count && good; i++)
		good = good && is_next(p, again, i) && is_next(p, p->d, (i + 2) < p->count ? i + 2 : p->count);
	HOLDS(good && is_next(p, again, p->count));
	closedir(again);
}

/* One entry a call: a buffer with room for no more; too small a one is an error, not the end. */
static void list_by_hand(struct place *p)
{
	char buf[280] __attribute__((aligned(8)));
	int fd = open(p->dir, O_RDONLY | O_DIRECTORY);
	bool good = fd >= 0;
	long n, i = 0;

	TRY(syscall(SYS_getdents64, fd, buf, 16), EINVAL);
	while (good && (n = syscall(SYS_getdents64, fd, buf, sizeof(buf))) > 0)
		for (long at = 0; good && at < n; at += *(uint16_t *)(void *)(buf + at + 16), i++)
			good = i < p->count && strcmp(buf + at + 19, p->list[i].name) == 0;
	HOLDS(good && i == p->count);
	HOLDS(lseek(fd, 0, SEEK_SET) == 0 && syscall(SYS_getdents64, fd, buf, sizeof(buf)) > 0 && strcmp(buf + 19, p->list[0].name) == 0);
	TRY(read(fd, buf, 1), EISDIR);
	HOLDS(fsync(fd) == 0 && fdatasync(fd) == 0 && flock(fd, LOCK_SH) == 0 && flock(fd, LOCK_UN) == 0);
	close(fd);
}

/* A sample of the names: what the listing says of them is what stat says, and goes on to say. */
static void entries_are_there(struct place *p)
{
	bool good = true, stable = true;
	struct stat a, b;

	for (long i = 0; i < p->count; i += 1 + p->count / 500) {
		const struct seen *s = &p->list[i];

		if (strcmp(s->name, "..") == 0)
			continue;
		good = good && fstatat(dirfd(p->d), s->name, &a, AT_SYMLINK_NOFOLLOW) == 0 && a.st_ino == s->ino && (a.st_mode >> 12) == s->type;
		stable = stable && fstatat(dirfd(p->d), s->name, &b, AT_SYMLINK_NOFOLLOW) == 0 && a.st_ino == b.st_ino && a.st_mtime == b.st_mtime;
	}
	HOLDS(good && stable);
}

static const char *first_file(const struct place *p)
{
	for (long i = 0; i < p->count; i++)
		if (p->list[i].type == DT_REG)
			return p->list[i].name;
	return NULL;
}

/* The long way to a name. */
static const char *path(char *buf, const struct place *p, const char *before, const char *name, const char *after)
{
	snprintf(buf, PATH_MAX + 512, "%s%s%s%s", p->dir, before, name, after);
	return buf;
}

static void walk(struct place *p)
{
	const char *file = first_file(p);
	char buf[PATH_MAX + 512], name[NAME_MAX + 2] = "", deep[PATH_MAX + 8] = "";
	struct stat a, b;

	memset(name, 'x', NAME_MAX);
	while (strlen(deep) < PATH_MAX)
		strcat(deep, "/.");
	HOLDS(file != NULL);
	TRY(stat(path(buf, p, "/", name, ""), &a), ENOENT);
	name[NAME_MAX] = 'x';
	TRY(stat(path(buf, p, "/", name, ""), &a), ENAMETOOLONG);
	TRY(stat(path(buf, p, deep, "", ""), &a), ENAMETOOLONG);
	TRY(stat(path(buf, p, "/", "", "nothing"), &a), ENOENT);
	TRY(open(path(buf, p, "/", file, "/"), O_RDONLY), ENOTDIR);
	TRY(open(path(buf, p, "/", file, "/."), O_RDONLY), ENOTDIR);
	TRY(open(path(buf, p, "/", file, "/.."), O_RDONLY), ENOTDIR);
	TRY(open(path(buf, p, "/", file, "/x"), O_RDONLY), ENOTDIR);
	TRY(open(path(buf, p, "/", file, ""), O_RDONLY | O_DIRECTORY), ENOTDIR);
	TRY((long)opendir(buf) - 1, ENOTDIR);
	TRY(chdir(buf), ENOTDIR);
	HOLDS(stat(path(buf, p, "/././/", file, ""), &a) == 0 && stat(path(buf, p, "/", file, ""), &b) == 0 && a.st_ino == b.st_ino);
	HOLDS(stat(p->dir, &a) == 0 && stat(path(buf, p, "/", "", "/"), &b) == 0 && a.st_ino == b.st_ino && a.st_dev == b.st_dev);
	HOLDS(S_ISDIR(a.st_mode) && a.st_nlink >= 1 && !(a.st_mode & 0222));
	HOLDS(access(p->dir, R_OK | X_OK) == 0);
	HOLDS(fstatat(dirfd(p->d), "..", &b, 0) == 0 && S_ISDIR(b.st_mode));
	TRY(readlink(p->dir, buf, sizeof(buf)), EINVAL);
}

int main(int argc, char **argv)
{
	static void (*const all[])(struct place *) = { names_come_once, seek, list_by_hand, entries_are_there, walk };
	struct place p = { 0 };
	long expected;

	if (argc != 3)
		return 2;
	p.dir = argv[1];
	expected = atol(argv[2]) + 2;
	p.d = opendir(p.dir);
	p.list = calloc((size_t)expected + 1, sizeof(*p.list));
	if (!p.d || !p.list) {
		perror(p.dir);
		return 2;
	}
	list_once(&p, expected);
	for (size_t i = 0; p.count > 3 && i < sizeof(all) / sizeof(*all); i++)
		all[i](&p);
	for (long i = 0; i < p.count; i++)
		free(p.list[i].name);
	free(p.list);
	closedir(p.d);
	return calls_end(&p.calls);
}
