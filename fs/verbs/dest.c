/* SPDX-License-Identifier: Apache-2.0 */
/* See dest.h. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/file.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "fs/base/term.h"
#include "fs/verbs/dest.h"

#define FOLDER (O_RDONLY | O_DIRECTORY | O_CLOEXEC)

static int fail(const char *path, const char *what, struct error *err)
{
	return error_set(err, -errno, "%s: %s%s", path, what, strerror(errno));
}

const char *dest_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* The folder that `path`, an absolute one, is in. */
static int open_parent(const char *path, struct error *err)
{
	char parent[PATH_MAX];
	size_t len = (size_t)(dest_name(path) - path);
	int fd;

	if (len >= sizeof(parent))
		return error_set(err, -ENAMETOOLONG, "%s: %s", path, strerror(ENAMETOOLONG));
	memcpy(parent, path, len);
	parent[len] = '\0';
	fd = open(parent, FOLDER);
	return fd < 0 ? fail(parent, "", err) : fd;
}

static bool is_one_of(const struct stat *st, const struct options_list *sources, uint32_t *which)
{
	struct stat source;

	for (*which = 0; *which < sources->count; ++*which)
		if (stat(sources->item[*which], &source) == 0 && S_ISDIR(source.st_mode) && source.st_ino == st->st_ino &&
		    source.st_dev == st->st_dev)
			return true;
	return false;
}

/* Walks from the folder `fd`, which it closes, up to the root. Names would not tell: links and bind mounts lead anywhere. */
static int check_outside(int fd, const char *path, const struct options_list *sources, struct error *err)
{
	struct stat st, last = { .st_ino = 0 };
	uint32_t which;
	int up, rc = 0;

	while (rc == 0 && fstat(fd, &st) == 0 && (st.st_ino != last.st_ino || st.st_dev != last.st_dev)) {
		if (is_one_of(&st, sources, &which))
			rc = error_set(err, -EINVAL, "%s: is in the source %s", path, sources->item[which]);
		up = openat(fd, "..", FOLDER | O_PATH);
		close(fd);
		fd = up;
		last = st;
	}
	if (fd >= 0)
		close(fd);
	return rc;
}

/* Empty, begun or other; a journal stands for everything beside it. */
static int look_inside(struct dest *d, struct error *err)
{
	int fd = openat(d->fd, ".", FOLDER);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *e;

	if (!dir) {
		if (fd >= 0)
			close(fd);
		return fail(d->path, "", err);
	}
	d->state = DEST_EMPTY;
	while (d->state != DEST_BEGUN && (e = readdir(dir)) != NULL)
		if (strcmp(e->d_name, DEST_JOURNAL) == 0)
			d->state = DEST_BEGUN;
		else if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			d->state = DEST_OTHER;
	closedir(dir);
	return 0;
}

/* Some filesystems cannot lock a folder: there two exports at once are the user's business. */
static int lock(const struct dest *d, struct error *err)
{
	if (flock(d->fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK)
		return error_set(err, -EBUSY, "%s: another export is at work there", d->path);
	return 0;
}

int dest_open(const char *path, const struct options_list *sources, struct dest *d, struct error *err)
{
	int fd, rc;

	*d = (struct dest){ .path = path, .state = DEST_ABSENT, .dir_mode = 0777 };
	d->fd = open(path, FOLDER);
	if (d->fd < 0 && errno != ENOENT)
		return fail(path, errno == ENOTDIR ? "expected a folder: " : "", err);
	fd = d->fd < 0 ? open_parent(path, err) : fcntl(d->fd, F_DUPFD_CLOEXEC, 0);
	if (fd < 0)
		return d->fd < 0 ? fd : fail(path, "", err);
	rc = check_outside(fd, path, sources, err);
	if (rc == 0 && d->fd >= 0)
		rc = look_inside(d, err);
	return rc == 0 && d->fd >= 0 ? lock(d, err) : rc;
}

void dest_close(struct dest *d)
{
	if (d->fd >= 0)
		close(d->fd);
	d->fd = -1;
}

int dest_make(struct dest *d, struct error *err)
{
	int parent;

	if (d->fd >= 0)
		return 0;
	if (mkdir(d->path, d->dir_mode) < 0)
		return fail(d->path, "cannot make the folder: ", err);
	parent = open_parent(d->path, err);
	if (parent < 0)
		return parent;
	fsync(parent); /* as good as can be had: what is in the folder matters more, and has its own */
	close(parent);
	d->fd = open(d->path, FOLDER | O_NOFOLLOW);
	return d->fd < 0 ? fail(d->path, "", err) : lock(d, err);
}

/* Root may use what is kept in reserve, as for any other program. */
int dest_has_room(const struct dest *d, uint64_t bytes, struct error *err)
{
	char need[TERM_TEXT], have[TERM_TEXT];
	int fd = d->fd >= 0 ? fcntl(d->fd, F_DUPFD_CLOEXEC, 0) : open_parent(d->path, err);
	struct statvfs fs;
	uint64_t room;
	int rc;

	if (fd < 0)
		return fd;
	rc = fstatvfs(fd, &fs);
	close(fd);
	if (rc < 0)
		return 0; /* nobody can tell: then writing will */
	if (__builtin_mul_overflow(geteuid() == 0 ? fs.f_bfree : fs.f_bavail, fs.f_frsize, &room) || room >= bytes)
		return 0;
	return error_set(err, -ENOSPC, "%s: there is no room on the disk: %s are needed, %s are free", d->path, term_size(need, bytes),
			 term_size(have, room));
}

/* One step down, `name` [len]; closes fd. */
static int step_down(int fd, const char *name, size_t len, mode_t mode, bool make)
{
	char part[NAME_MAX + 1];
	int next, code;

	if (len > NAME_MAX) {
		close(fd);
		return -ENAMETOOLONG;
	}
	memcpy(part, name, len);
	part[len] = '\0';
	code = make && mkdirat(fd, part, mode) < 0 && errno != EEXIST ? -errno : 0;
	next = code < 0 ? -1 : openat(fd, part, FOLDER | O_NOFOLLOW);
	if (code == 0 && next < 0)
		code = -errno;
	close(fd);
	return code < 0 ? code : next;
}

int dest_folder(const struct dest *d, const char *path, bool make, struct error *err)
{
	int fd = fcntl(d->fd, F_DUPFD_CLOEXEC, 0);
	const char *at = path, *slash;

	if (fd < 0)
		return fail(d->path, "", err);
	for (; fd >= 0 && (slash = strchr(at, '/')) != NULL; at = slash + 1)
		fd = step_down(fd, at, (size_t)(slash - at), d->dir_mode, make);
	return fd < 0 ? error_set(err, fd, "%s/%.*s: %s", d->path, (int)(at - path), path, strerror(-fd)) : fd;
}
