/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Open files and folders are known by the number of their mount, which /proc/PID/fdinfo tells; mapped ones by their device, which
 * is the mount's own.
 */
#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "fs/serve/holders.h"

#define SHOWN 8 /* processes that are named; of the others there is the number */

struct holder {
	uint32_t open, mapped;
	bool works, root; /* its working directory, its root directory */
};

static FILE *open_proc(const char *pid, const char *name, const char *entry)
{
	char path[600];

	snprintf(path, sizeof(path), "/proc/%s/%s%s", pid, name, entry);
	return fopen(path, "re");
}

/* The mount in a file of fdinfo, 0 where that is not told. */
static uint64_t mount_of(FILE *f)
{
	char line[256];
	uint64_t id = 0;

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "mnt_id: %" SCNu64, &id) == 1)
			break;
	if (f)
		fclose(f);
	return id;
}

static uint32_t count_open(const char *pid, uint64_t mount)
{
	char path[300];
	const struct dirent *e;
	uint32_t n = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%s/fdinfo", pid);
	dir = opendir(path);
	while (dir && (e = readdir(dir)) != NULL)
		if (isdigit((unsigned char)e->d_name[0]) && mount_of(open_proc(pid, "fdinfo/", e->d_name)) == mount)
			n++;
	if (dir)
		closedir(dir);
	return n;
}

/* A file that is mapped in several pieces comes in lines that follow each other, and counts once. */
static uint32_t count_mapped(const char *pid, dev_t device)
{
	FILE *f = open_proc(pid, "maps", "");
	char line[4400];
	unsigned int major, minor;
	uint64_t inode, last = 0;
	uint32_t n = 0;

	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%*s %*s %*s %x:%x %" SCNu64, &major, &minor, &inode) != 3 || makedev(major, minor) != device || inode == last)
			continue;
		last = inode;
		n++;
	}
	if (f)
		fclose(f);
	return n;
}

/* Whether /proc/PID/cwd or root leads into the mount. A descriptor of O_PATH asks the filesystem nothing. */
static bool leads_in(const char *pid, const char *name, uint64_t mount)
{
	char path[300], number[16];
	bool in;
	int fd;

	snprintf(path, sizeof(path), "/proc/%s/%s", pid, name);
	fd = open(path, O_PATH | O_CLOEXEC);
	if (fd < 0)
		return false;
	snprintf(number, sizeof(number), "%d", fd);
	in = mount_of(open_proc("self", "fdinfo/", number)) == mount;
	close(fd);
	return in;
}

static struct holder look_at(const char *pid, const struct point_mounts *mounts)
{
	return (struct holder){
		.open = count_open(pid, mounts->id),
		.mapped = count_mapped(pid, mounts->device),
		.works = leads_in(pid, "cwd", mounts->id),
		.root = leads_in(pid, "root", mounts->id),
	};
}

/* The program's name; a process may call itself anything, the message escapes it. */
static void name_of(const char *pid, char name[32])
{
	FILE *f = open_proc(pid, "comm", "");

	snprintf(name, 32, "?");
	if (f && fgets(name, 32, f))
		name[strcspn(name, "\n")] = '\0';
	if (f)
		fclose(f);
}

static void add_part(struct text *t, bool *first, const char *format, uint32_t n)
{
	text_add(t, *first ? ": " : ", ");
	if (n)
		text_add(t, "%" PRIu32 " ", n);
	text_add(t, "%s", format);
	*first = false;
}

static void describe(struct text *t, const char *pid, const struct holder *h)
{
	char name[32];
	bool first = true;

	name_of(pid, name);
	text_add(t, "%s%s (pid %s", t->len ? ", " : "", name, pid);
	if (h->open)
		add_part(t, &first, "open", h->open);
	if (h->mapped)
		add_part(t, &first, "mapped", h->mapped);
	if (h->works)
		add_part(t, &first, "works in it", 0);
	if (h->root)
		add_part(t, &first, "has its root in it", 0);
	text_add(t, ")");
}

void holders_find(const struct point_mounts *mounts, struct text *text)
{
	DIR *dir = opendir("/proc");
	const struct dirent *e;
	uint32_t found = 0;

	while (dir && (e = readdir(dir)) != NULL) {
		struct holder h;

		if (!isdigit((unsigned char)e->d_name[0]))
			continue;
		h = look_at(e->d_name, mounts);
		if ((h.open || h.mapped || h.works || h.root) && found++ < SHOWN)
			describe(text, e->d_name, &h);
	}
	if (dir)
		closedir(dir);
	if (found > SHOWN)
		text_add(text, " and %" PRIu32 " more", found - SHOWN);
	if (point_has_mounts(mounts->id))
		text_add(text, "%sa mount below it", text->len ? ", " : "");
}
