/* SPDX-License-Identifier: Apache-2.0 */
/* See unmount.h. A dead mount is told from one that does not answer by a child, which may wait for ever in our place. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "fs/serve/capture.h"
#include "fs/serve/holders.h"
#include "fs/serve/unmount.h"

#define WAIT_STEPS 100 /* of 50 ms, for the kernel to drop the mount */
#define BUSY_STEPS 10  /* likewise, for what reads ahead (reader.h), or whoever has just been killed, to let go of it */
#define ASK_STEPS 200  /* of 10 ms, for a mount to answer */
#define DEAD_MAX 16    /* dead mounts, one over the other, that are cleared */

static const struct timespec wait_step = { .tv_nsec = 50 * 1000 * 1000 };

static int busy(const struct unmount *u, struct error *err)
{
	struct text who = TEXT_EMPTY;
	int rc;

	holders_find(&u->mounts, &who);
	if (who.len == 0 || who.failed)
		rc = error_set(err, -EBUSY, "%s is busy: something still has a file of it open or mapped, or works in it%s", u->point,
			       geteuid() != 0 ? "; root sees which process" : "");
	else
		rc = error_set(err, -EBUSY, "%s is busy, held by %s; `gatherfs umount -l` detaches it now, and ends when they are done",
			       u->point, who.ptr);
	text_free(&who);
	return rc;
}

static int run_fusermount(const struct unmount *u, struct error *err)
{
	int status = 0;
	pid_t child;

	child = fork();
	if (child == 0) {
		execlp("fusermount3", "fusermount3", u->lazy ? "-uz" : "-u", "--", u->point, (char *)NULL);
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

/* For everybody but root. What fusermount3 says becomes the message. -EBUSY is without one. */
static int unmount_as_user(const struct unmount *u, struct error *err)
{
	struct capture c;
	char said[1024];
	int rc;

	capture_begin(&c);
	rc = run_fusermount(u, err);
	capture_end(&c, said, sizeof(said));
	if (rc < 0 && strstr(said, strerror(EBUSY)))
		return -EBUSY;
	return rc < 0 && said[0] ? error_set(err, rc, "%s", said) : rc;
}

/* Likewise. */
static int unmount_once(const struct unmount *u, struct error *err)
{
	if (geteuid() != 0)
		return unmount_as_user(u, err);
	if (umount2(u->point, UMOUNT_NOFOLLOW | (u->lazy ? MNT_DETACH : 0)) == 0)
		return 0;
	return errno == EBUSY ? -EBUSY : error_set(err, -errno, "%s: %s", u->point, strerror(errno));
}

static int unmount(const struct unmount *u, struct error *err)
{
	int rc = unmount_once(u, err);

	for (int i = 0; rc == -EBUSY && i < BUSY_STEPS; i++) {
		nanosleep(&wait_step, NULL);
		rc = unmount_once(u, err);
	}
	return rc == -EBUSY ? busy(u, err) : rc;
}

/* Waits until there are fewer mounts on the point than before. */
static int wait_until_gone(const char *point, uint32_t before, struct error *err)
{
	struct point_mounts now;

	for (int i = 0; i < WAIT_STEPS; i++) {
		int rc = point_mounts(point, &now, err);

		if (rc < 0 || now.count < before)
			return rc;
		nanosleep(&wait_step, NULL);
	}
	return error_set(err, -EBUSY, "%s: the mount is still there", point);
}

int unmount_run(const struct unmount *u, struct error *err)
{
	int rc = unmount(u, err);

	return rc < 0 ? rc : wait_until_gone(u->point, u->mounts.count, err);
}

/* Opens the directory in a child: 0, the errno of it, or EAGAIN when there is no answer. */
static int ask(const char *point)
{
	const struct timespec step = { .tv_nsec = 10 * 1000 * 1000 };
	pid_t child = fork();
	int status = 0;

	if (child == 0) {
		int fd = open(point, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

		_exit(fd < 0 ? errno : 0);
	}
	for (int i = 0; child > 0 && i < ASK_STEPS; i++) {
		if (waitpid(child, &status, WNOHANG) == child)
			return WIFEXITED(status) ? WEXITSTATUS(status) : EAGAIN;
		nanosleep(&step, NULL);
	}
	if (child > 0)
		kill(child, SIGKILL); /* it ends when the mount answers or ends */
	return EAGAIN;
}

/* The path of a directory without links; false where there is none. O_PATH asks no daemon, so this works where nothing answers. */
static bool resolve(const char *point, char *real, size_t room)
{
	int fd = open(point, O_PATH | O_CLOEXEC);
	char link[64];
	ssize_t n = -1;

	if (fd >= 0) {
		snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
		n = readlink(link, real, room);
		close(fd);
	}
	if (n < 0 || (size_t)n >= room)
		return false;
	real[n] = '\0';
	return true;
}

int unmount_dead(const char *point, uint32_t *count, struct error *err)
{
	char real[PATH_MAX];
	struct unmount u = { .point = real, .lazy = true };
	int answer, rc = 0;

	*count = 0;
	if (!resolve(point, real, sizeof(real)))
		return 0; /* whoever uses it will say what is wrong with it */
	while (rc == 0) {
		rc = point_mounts(real, &u.mounts, err);
		if (rc < 0 || !u.mounts.ours)
			return rc;
		answer = *count < DEAD_MAX ? ask(real) : 0;
		if (!point_is_dead(answer))
			return error_set(err, -EBUSY, "mount point %s: a gatherfs mount is there already%s", point,
					 answer == EAGAIN ? ", and does not answer" : "");
		rc = unmount_run(&u, err);
		*count += rc == 0;
	}
	return error_prefix(err, rc, "mount point %s: the dead mount there cannot be cleared", point);
}
