/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gatherfs umount: ends a mount of ours, alive or dead. The mount is found in the kernel's list, because a dead one answers
 * nothing, and nothing but a gatherfs mount is touched.
 */
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "fs/capture.h"
#include "fs/holders.h"
#include "fs/point.h"
#include "fs/value.h"
#include "fs/verbs.h"

#define WAIT_STEPS 100 /* of 50 ms, for the kernel to drop the mount */

/* Finds the mount that `text` names: as it is written, else where a link leads. */
static int find(const char *text, struct arena *arena, const char **point, struct point_mounts *mounts, struct error *err)
{
	char real[PATH_MAX];
	int rc = value_point(text, arena, point, err);

	if (rc == 0)
		rc = point_mounts(*point, mounts, err);
	if (rc < 0 || mounts->count > 0 || !realpath(*point, real))
		return rc;
	*point = arena_strndup(arena, real, strlen(real));
	return *point ? point_mounts(*point, mounts, err) : error_nomem(err);
}

/* What to unmount, and how. */
struct target {
	const char *point;
	struct point_mounts mounts;
	bool lazy;
};

static int busy(const struct target *t, struct error *err)
{
	struct text who = TEXT_EMPTY;
	int rc;

	holders_find(&t->mounts, &who);
	if (who.len == 0 || who.failed)
		rc = error_set(err, -EBUSY, "%s is busy: something still has a file of it open or mapped, or works in it%s", t->point,
			       geteuid() != 0 ? "; root sees which process" : "");
	else
		rc = error_set(err, -EBUSY, "%s is busy, held by %s; `gatherfs umount -l` detaches it now, and ends when they are done",
			       t->point, who.ptr);
	text_free(&who);
	return rc;
}

static int run_fusermount(const struct target *t, struct error *err)
{
	int status = 0;
	pid_t child;

	child = fork();
	if (child == 0) {
		execlp("fusermount3", "fusermount3", t->lazy ? "-uz" : "-u", "--", t->point, (char *)NULL);
		_exit(127);
	}
	if (child < 0)
		return error_set(err, -errno, "cannot start fusermount3: %s", strerror(errno));
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
		return error_set(err, -ENOENT, "fusermount3 is missing, and only root can unmount without it (package fuse3)");
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : error_set(err, -EPERM, "fusermount3 failed");
}

/* For everybody but root. What fusermount3 says becomes the message. */
static int unmount_as_user(const struct target *t, struct error *err)
{
	struct capture c;
	char said[1024];
	int rc;

	capture_begin(&c);
	rc = run_fusermount(t, err);
	capture_end(&c, said, sizeof(said));
	if (rc < 0 && strstr(said, strerror(EBUSY)))
		return busy(t, err);
	return rc < 0 && said[0] ? error_set(err, rc, "%s", said) : rc;
}

static int unmount(const struct target *t, struct error *err)
{
	if (geteuid() != 0)
		return unmount_as_user(t, err);
	if (umount2(t->point, UMOUNT_NOFOLLOW | (t->lazy ? MNT_DETACH : 0)) == 0)
		return 0;
	return errno == EBUSY ? busy(t, err) : error_set(err, -errno, "%s: %s", t->point, strerror(errno));
}

/* Waits until there are fewer mounts on the point than before. */
static int wait_until_gone(const char *point, uint32_t before, struct error *err)
{
	const struct timespec step = { .tv_nsec = 50 * 1000 * 1000 };
	struct point_mounts now;

	for (int i = 0; i < WAIT_STEPS; i++) {
		int rc = point_mounts(point, &now, err);

		if (rc < 0 || now.count < before)
			return rc;
		nanosleep(&step, NULL);
	}
	return error_set(err, -EBUSY, "%s: the mount is still there", point);
}

static int run(const char *text, bool lazy, struct arena *arena, struct error *err)
{
	struct target t = { .lazy = lazy };
	int rc = find(text, arena, &t.point, &t.mounts, err);

	if (rc < 0)
		return rc;
	if (t.mounts.count == 0)
		return error_set(err, -EINVAL, "nothing is mounted on %s", t.point);
	if (!t.mounts.ours)
		return error_set(err, -EINVAL, "what is mounted on %s is no gatherfs mount", t.point);
	rc = unmount(&t, err);
	return rc < 0 ? rc : wait_until_gone(t.point, t.mounts.count, err);
}

int umount_main(int argc, char **argv)
{
	static const struct option longer[] = { { "lazy", 0, NULL, 'l' }, { "help", 0, NULL, 'h' }, { 0 } };
	struct arena *arena;
	struct error err;
	bool lazy = false;
	int letter, code;

	opterr = 0; /* wrong usage is told in our own words */
	while ((letter = getopt_long(argc, argv, "lh", longer, NULL)) != -1) {
		if (letter == '?')
			return verbs_misused("umount", "the only option is -l");
		if (letter == 'h') {
			verbs_help("umount", stdout);
			return VERBS_OK;
		}
		lazy = true;
	}
	if (argc - optind != 1)
		return verbs_misused("umount", "expected one MOUNTPOINT");
	arena = arena_new();
	if (!arena)
		return verbs_failed("umount", "out of memory");
	code = run(argv[optind], lazy, arena, &err) < 0 ? verbs_failed("umount", err.msg) : VERBS_OK;
	arena_free(arena);
	return code;
}
