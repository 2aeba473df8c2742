/* SPDX-License-Identifier: Apache-2.0 */
/* See reader.h. One message a task, one byte an answer. */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <signal.h>
#include <spawn.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fs/serve/privileges.h"
#include "fs/serve/reader.h"

#define PIECE (UINT64_C(128) << 10) /* bytes that the kernel reads ahead at once, where nobody has raised it */
#define PATIENCE 30 /* seconds that a task may take: somebody may have stopped the process */

/* It hears every signal, as programs do, but those that a terminal has for the daemon. */
static void set_attributes(posix_spawnattr_t *attr)
{
	sigset_t none, all;

	sigemptyset(&none);
	sigfillset(&all);
	posix_spawnattr_setsigmask(attr, &none);
	posix_spawnattr_setsigdefault(attr, &all);
	posix_spawnattr_setpgroup(attr, 0);
	posix_spawnattr_setflags(attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
}

/* The same file, even where there is another one of its name by now. */
static int spawn(pid_t *pid, int in)
{
	char *argv[] = { "gatherfs", READER_VERB, NULL };
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	int rc;

	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, in, STDIN_FILENO);
	posix_spawnattr_init(&attr);
	set_attributes(&attr);
	rc = posix_spawn(pid, "/proc/self/exe", &actions, &attr, argv, environ);
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&actions);
	return -rc;
}

int reader_start(struct reader *r)
{
	const struct timeval patience = { .tv_sec = PATIENCE };
	int ends[2], rc;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		return -errno;
	setsockopt(ends[0], SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	rc = spawn(&r->pid, ends[1]);
	close(ends[1]);
	if (rc < 0)
		close(ends[0]);
	else
		r->socket = ends[0];
	return rc;
}

int reader_ask(const struct reader *r, const struct reader_task *task)
{
	size_t size = offsetof(struct reader_task, path) + strlen(task->path) + 1;
	bool done;

	if (send(r->socket, task, size, MSG_NOSIGNAL) != (ssize_t)size || recv(r->socket, &done, sizeof(done), 0) != sizeof(done))
		return -EPIPE;
	return done;
}

void reader_wake(const struct reader *r)
{
	shutdown(r->socket, SHUT_RDWR);
}

void reader_end(struct reader *r)
{
	close(r->socket);
	kill(r->pid, SIGKILL); /* it has nothing to lose, and may be stopped */
	waitpid(r->pid, NULL, 0);
	*r = (struct reader){ 0 };
}

/* Another file may have that path by now, of another step, another mount or none. */
static bool is_file(int fd, const struct reader_task *task)
{
	struct stat st;

	return fstat(fd, &st) == 0 && st.st_dev == task->device && st.st_ino == task->file;
}

/* The path is one without links: where one has come into it, it leads elsewhere. */
static int open_file(const char *path)
{
	const struct open_how how = { .flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, .resolve = RESOLVE_NO_SYMLINKS };

	return (int)syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof(how));
}

/* From the end on: what is asked for is what lies below a reader. */
static bool read_ahead(const struct reader_task *task)
{
	int fd = open_file(task->path);
	bool done = fd >= 0 && is_file(fd, task);

	for (uint64_t left = task->len; done && left > 0;) {
		uint64_t len = left < PIECE ? left : PIECE;

		left -= len;
		done = readahead(fd, (off64_t)(task->offset + left), len) == 0;
	}
	if (fd >= 0)
		close(fd);
	return done;
}

/* False at the end, and for what is no task. */
static bool next(struct reader_task *task)
{
	ssize_t n = recv(STDIN_FILENO, task, sizeof(*task), 0);

	return n > (ssize_t)offsetof(struct reader_task, path) && ((const char *)task)[n - 1] == '\0';
}

int reader_main(void)
{
	struct reader_task task;
	struct error ignored;
	bool done;

	prctl(PR_SET_NAME, "gatherfs", 0, 0, 0);
	close_range(3, ~0U, 0);
	if (privileges_drop(&ignored) < 0)
		return 1;
	do {
		if (!next(&task))
			return 0;
		done = read_ahead(&task);
	} while (send(STDIN_FILENO, &done, sizeof(done), MSG_NOSIGNAL) == sizeof(done));
	return 0;
}
