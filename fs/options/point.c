/* SPDX-License-Identifier: Apache-2.0 */
/* A dead mount answers nothing but an error, so the list of mounts is asked by name and the path left alone. */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "fs/options/point.h"

#define OUR_TYPE "fuse.gatherfs"

bool point_is_dead(int number)
{
	return number == ENOTCONN || number == ECONNABORTED;
}

/* What looking at a mount point has failed with. The kernel still knows a dead mount's attributes, but opens nothing there. */
static int cannot_look(const char *point, int number, struct error *err)
{
	if (point_is_dead(number))
		return error_set(err, -number, "mount point %s: a mount is there whose process is gone; clear it with "
				 "`umount -l %s`", point, point);
	return error_set(err, -number, "mount point %s: %s", point, strerror(number));
}

static int check_directory(const char *point, struct error *err)
{
	struct stat st;

	if (stat(point, &st) < 0)
		return cannot_look(point, errno, err);
	if (!S_ISDIR(st.st_mode))
		return error_set(err, -ENOTDIR, "mount point %s: expected a directory, found another kind of file", point);
	return 0;
}

static int check_empty(const char *point, struct error *err)
{
	DIR *dir = opendir(point);
	const struct dirent *e;
	int rc = 0;

	if (!dir)
		return cannot_look(point, errno, err);
	while (rc == 0 && (e = readdir(dir)) != NULL)
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			rc = error_set(err, -ENOTEMPTY, "mount point %s: expected an empty directory, found \"%s\" in it", point,
				       e->d_name);
	closedir(dir);
	return rc;
}

/* True when `path` is `dir` or below it; both are without links. */
static bool is_within(const char *path, const char *dir)
{
	size_t len = strlen(dir);

	if (len == 1)
		return true;
	return strncmp(path, dir, len) == 0 && (path[len] == '\0' || path[len] == '/');
}

/* Undoes the kernel's \ooo in place. */
static void unescape(char *text)
{
	char *out = text;

	for (const char *p = text; *p; out++) {
		if (p[0] == '\\' && p[1] >= '0' && p[1] <= '3' && p[2] >= '0' && p[2] <= '7' && p[3] >= '0' && p[3] <= '7') {
			*out = (char)((p[1] - '0') * 64 + (p[2] - '0') * 8 + (p[3] - '0'));
			p += 4;
		} else {
			*out = *p++;
		}
	}
	*out = '\0';
}

/* A line of mountinfo; the texts point into it. */
struct line {
	uint64_t id, parent;
	dev_t device;
	char *point, *type;
};

/* `ID PARENT MAJOR:MINOR ROOT POINT ... - TYPE ...`; false when it has another form. */
static bool parse_line(char *text, struct line *out)
{
	unsigned int major, minor;
	int root = 0;
	char *end;

	if (sscanf(text, "%" SCNu64 " %" SCNu64 " %u:%u %n", &out->id, &out->parent, &major, &minor, &root) < 4 || root == 0)
		return false;
	out->device = makedev(major, minor);
	out->point = strchr(text + root, ' ');
	end = out->point ? strchr(++out->point, ' ') : NULL;
	out->type = end ? strstr(end, " - ") : NULL;
	if (!out->type)
		return false;
	*end = '\0';
	out->type += 3;
	out->type[strcspn(out->type, " \n")] = '\0';
	unescape(out->point);
	return true;
}

/* The next line of that form; `room` and `text` are getline()'s. */
static bool next_line(FILE *f, char **text, size_t *room, struct line *out)
{
	while (getline(text, room, f) > 0)
		if (parse_line(*text, out))
			return true;
	return false;
}

int point_mounts(const char *real, struct point_mounts *out, struct error *err)
{
	FILE *f = fopen("/proc/self/mountinfo", "re");
	char *text = NULL;
	size_t room = 0;
	struct line l;

	*out = (struct point_mounts){ 0 };
	if (!f)
		return error_set(err, -errno, "/proc/self/mountinfo: %s", strerror(errno));
	while (next_line(f, &text, &room, &l)) {
		if (strcmp(l.point, real) != 0)
			continue;
		*out = (struct point_mounts){ /* the last line is the topmost mount */
			.count = out->count + 1,
			.ours = strcmp(l.type, OUR_TYPE) == 0,
			.id = l.id,
			.device = l.device,
		};
	}
	free(text);
	fclose(f);
	return 0;
}

int point_devices(struct arena *arena, dev_t **list, uint64_t *count)
{
	FILE *f = fopen("/proc/self/mountinfo", "re");
	char *text = NULL;
	size_t size = 0;
	uint64_t room = 0;
	struct line l;
	int code = f ? 0 : -errno;

	*list = NULL;
	*count = 0;
	while (code == 0 && next_line(f, &text, &size, &l)) {
		dev_t *more;

		if (strcmp(l.type, OUR_TYPE) != 0)
			continue;
		more = arena_grow(arena, *list, *count, &room, sizeof(*more));
		*list = more ? more : *list;
		code = more ? 0 : -ENOMEM;
		if (more)
			more[(*count)++] = l.device;
	}
	free(text);
	if (f)
		fclose(f);
	return code;
}

bool point_has_mounts(uint64_t id)
{
	FILE *f = fopen("/proc/self/mountinfo", "re");
	char *text = NULL;
	size_t room = 0;
	struct line l;
	bool found = false;

	while (f && !found && next_line(f, &text, &room, &l))
		found = l.parent == id;
	free(text);
	if (f)
		fclose(f);
	return found;
}

/* Where the directory is full because a mount of ours is there, says that instead. */
static int check_free(const char *point, const char *real, struct error *err)
{
	struct point_mounts mounts;
	struct error unread;
	int rc = check_empty(point, err);

	if (rc == -ENOTEMPTY && point_mounts(real, &mounts, &unread) == 0 && mounts.ours)
		return error_set(err, -EBUSY, "mount point %s: a gatherfs mount is there already", point);
	return rc;
}

int point_check(const char *point, const struct options_list *sources, struct arena *arena, const char **real, struct error *err)
{
	char resolved[PATH_MAX];
	int rc = check_directory(point, err);

	if (rc < 0)
		return rc;
	if (!realpath(point, resolved))
		return cannot_look(point, errno, err);
	for (uint32_t i = 0; i < sources->count; i++)
		if (is_within(resolved, sources->item[i]))
			return error_set(err, -EINVAL, "mount point %s: is %s the source %s", point,
					 strcmp(resolved, sources->item[i]) == 0 ? "itself" : "below", sources->item[i]);
	rc = check_free(point, resolved, err);
	if (rc < 0)
		return rc;
	*real = arena_strndup(arena, resolved, strlen(resolved));
	return *real ? 0 : error_nomem(err);
}
