/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gatherfs umount: ends a mount of ours, alive or dead. The mount is found in the kernel's list, because a dead one answers
 * nothing, and nothing but a gatherfs mount is touched.
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "fs/capture.h"
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

static int busy(const char *point, struct error *err)
{
	return error_set(err, -EBUSY, "%s is busy: something still has a file of it open or mapped, or works in it", point);
}

static int run_fusermount(const char *point, struct error *err)
{
	int status = 0;
	pid_t child;

	child = fork();
	if (child == 0) {
		execlp("fusermount3", "fusermount3", "-u", "--", point, (char *)NULL);
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
static int unmount_as_user(const char *point, struct error *err)
{
	struct capture c;
	char said[1024];
	int rc;

	capture_begin(&c);
	rc = run_fusermount(point, err);
	capture_end(&c, said, sizeof(said));
	if (rc < 0 && strstr(said, strerror(EBUSY)))
		return busy(point, err);
	return rc < 0 && said[0] ? error_set(err, rc, "%s", said) : rc;
}

static int unmount(const char *point, struct error *err)
{
	if (geteuid() != 0)
		return unmount_as_user(point, err);
	if (umount2(point, UMOUNT_NOFOLLOW) == 0)
		return 0;
	return errno == EBUSY ? busy(point, err) : error_set(err, -errno, "%s: %s", point, strerror(errno));
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

static int run(const char *text, struct arena *arena, struct error *err)
{
	struct point_mounts mounts = { 0 };
	const char *point;
	int rc = find(text, arena, &point, &mounts, err);

	if (rc < 0)
		return rc;
	if (mounts.count == 0)
		return error_set(err, -EINVAL, "nothing is mounted on %s", point);
	if (!mounts.ours)
		return error_set(err, -EINVAL, "what is mounted on %s is no gatherfs mount", point);
	rc = unmount(point, err);
	return rc < 0 ? rc : wait_until_gone(point, mounts.count, err);
}

int umount_main(int argc, char **argv)
{
	struct arena *arena;
	struct error err;
	int code;

	if (argc == 2 && (strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "--help") == 0)) {
		verbs_help("umount", stdout);
		return VERBS_OK;
	}
	if (argc == 3 && strcmp(argv[1], "--") == 0)
		argv++, argc--;
	else if (argc >= 2 && argv[1][0] == '-')
		return verbs_misused("umount", "there are no options yet");
	if (argc != 2)
		return verbs_misused("umount", "expected one MOUNTPOINT");
	arena = arena_new();
	if (!arena)
		return verbs_failed("umount", "out of memory");
	code = run(argv[1], arena, &err) < 0 ? verbs_failed("umount", err.msg) : VERBS_OK;
	arena_free(arena);
	return code;
}
