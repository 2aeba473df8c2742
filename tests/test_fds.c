/* SPDX-License-Identifier: Apache-2.0 */
/* The bound on open files: what is kept, what comes and goes, and that a source which is opened again is the same one. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fs/source/source.h"

#define FILES 12

static int opened(void)
{
	int fd = open("/dev/null", O_RDONLY);

	cr_assert_geq(fd, 0);
	return fd;
}

static bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

/* Of 24 descriptors 12 are for other things, and 4 come and go. */
Test(fds, kept)
{
	struct fds *fds = fds_new(24);

	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 8; i++)
			cr_assert(fds_keep(fds));
		cr_assert(!fds_keep(fds));
		for (int i = 0; i < 8; i++)
			fds_unkeep(fds);
	}
	fds_free(fds_share(fds));
	fds_free(fds);
}

/* Those that nobody holds are closed, the one unused for longest first; those that are held never. */
Test(fds, come_and_go)
{
	struct fds_slot slots[7] = { 0 };
	struct fds *fds = fds_new(24);
	int fd[7];

	for (int i = 0; i < 7; i++) {
		slots[i].fd = -1;
		fd[i] = opened();
		cr_assert_eq(fds_hold(fds, &slots[i]), -1);
		cr_assert_eq(fds_offer(fds, &slots[i], fd[i]), fd[i]);
	}
	for (int i = 0; i < 6; i++)
		fds_release(fds, &slots[i]); /* the seventh stays held */
	for (int i = 0; i < 7; i++)
		cr_assert_eq(is_open(fd[i]), i >= 2, "%d", i);
	cr_assert_eq(fds_hold(fds, &slots[2]), fd[2]);
	cr_assert_eq(fds_hold(fds, &slots[2]), fd[2]); /* twice */
	fds_release(fds, &slots[2]);
	while (fds_spare(fds))
		continue;
	for (int i = 0; i < 7; i++)
		cr_assert_eq(is_open(fd[i]), i == 2 || i == 6, "%d", i);
	fds_release(fds, &slots[2]);
	fds_release(fds, &slots[6]);
	for (int i = 0; i < 7; i++)
		fds_close(fds, &slots[i]);
	cr_assert(!is_open(fd[2]) && !is_open(fd[6]) && !fds_spare(fds));
	fds_free(fds);
}

/* Two threads may open one file: the second descriptor is closed. */
Test(fds, offered_twice)
{
	struct fds_slot slot = { .fd = -1 };
	struct fds *fds = fds_new(24);
	int first = opened(), second = opened();

	cr_assert_eq(fds_offer(fds, &slot, first), first);
	cr_assert_eq(fds_offer(fds, &slot, second), first);
	cr_assert(!is_open(second));
	fds_release(fds, &slot);
	cr_assert(!fds_spare(fds), "it is still held");
	fds_release(fds, &slot);
	fds_close(fds, &slot);
	fds_free(fds);
}

/* FILES files of one byte, each its number, in a list with room for 8 that are kept. */
struct world {
	char folder[64], path[FILES][96];
	struct fds *fds;
	struct sources *sources;
};

static void put(const char *path, char byte)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	cr_assert_eq(write(fd, &byte, 1), 1);
	close(fd);
}

static struct world make(void)
{
	char folder[] = "/tmp/gatherfs-fds-XXXXXX";
	struct world w = { .fds = fds_new(24) };
	struct error err;
	uint32_t n;

	cr_assert(mkdtemp(folder));
	strcpy(w.folder, folder);
	w.sources = source_list_bounded(w.fds);
	for (int i = 0; i < FILES; i++) {
		snprintf(w.path[i], sizeof(w.path[i]), "%s/%d", folder, i);
		put(w.path[i], (char)i);
		cr_assert_eq(source_open(w.sources, w.path[i], &n, &err), 0, "%s", err.msg);
	}
	while (fds_spare(w.fds))
		continue;
	return w;
}

static void end(struct world *w)
{
	for (int i = 0; i < FILES; i++)
		unlink(w->path[i]);
	rmdir(w->folder);
	source_list_free(w->sources);
	fds_free(w->fds);
}

static int byte_of(const struct world *w, int i, struct error *err)
{
	char byte = 99;
	int code = source_read(&w->sources->list[i], 0, &byte, 1, err);

	return code < 0 ? code : byte;
}

Test(sources, opened_again)
{
	struct world w = make();
	struct error err;

	for (int round = 0; round < 3; round++)
		for (int i = 0; i < FILES; i++) {
			cr_assert_eq(w.sources->list[i].fd >= 0, i < 8);
			cr_assert_eq(byte_of(&w, i, &err), i, "%s", err.msg);
			cr_assert_eq(source_unchanged(&w.sources->list[i], &err), 0, "%s", err.msg);
		}
	end(&w);
}

/* A file that is closed has to be at its path, and the same: whatever else is there is no source of ours. */
Test(sources, another_file)
{
	struct world w = make();
	struct error err;
	int fd;

	for (int i = 0; i < FILES; i++) {
		unlink(w.path[i]);
		cr_assert_eq(byte_of(&w, i, &err), i < 8 ? i : -EIO);
		cr_assert(i < 8 || strstr(err.msg, "cannot be opened again: No such file or directory"), "%s", err.msg);
	}
	put(w.path[10], 77);
	cr_assert_eq(byte_of(&w, 10, &err), -EIO);
	cr_assert(strstr(err.msg, "changed since it was mounted: "), "%s", err.msg);
	cr_assert_eq(source_hold(&w.sources->list[10], &err), -EIO);
	cr_assert_eq(byte_of(&w, 7, &err), 7);
	fd = opened();
	close(fd); /* whatever was opened in vain is closed */
	for (int i = 0; i < 50; i++)
		byte_of(&w, 10, &err);
	cr_assert_eq(opened(), fd);
	end(&w);
}
