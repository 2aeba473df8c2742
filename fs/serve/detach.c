/* SPDX-License-Identifier: Apache-2.0 */
/* The report is a pipe: one zero byte for "all well", a sentence for a problem, its end without either for a sudden death. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fs/serve/detach.h"

static void close_streams(void)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (null < 0)
		return;
	for (int fd = 0; fd <= 2; fd++)
		dup2(null, fd);
	if (null > 2)
		close(null);
}

/* A shell starts what it puts into the background with SIGINT ignored, nohup with SIGHUP; a daemon of its own session ends by each. */
static void take_signals(void)
{
	static const int ends[] = { SIGINT, SIGTERM, SIGHUP };

	for (size_t i = 0; i < sizeof(ends) / sizeof(*ends); i++)
		signal(ends[i], SIG_DFL);
}

pid_t detach_fork(int *channel, struct error *err)
{
	int ends[2];
	pid_t child;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return error_set(err, -errno, "cannot make a pipe: %s", strerror(errno));
	child = fork();
	if (child < 0) {
		int rc = error_set(err, -errno, "cannot start the daemon: %s", strerror(errno));

		close(ends[0]);
		close(ends[1]);
		return rc;
	}
	close(ends[child == 0 ? 0 : 1]);
	*channel = ends[child == 0 ? 1 : 0];
	if (child > 0)
		return child;
	if (setsid() < 0 || chdir("/") < 0)
		_exit(1); /* neither can happen here; the parent would say that the daemon ended */
	close_streams();
	take_signals();
	return 0;
}

/* Writes all of it, or as much as the other side takes. */
static void put(int fd, const char *text, size_t len)
{
	while (len > 0) {
		ssize_t n = write(fd, text, len);

		if (n <= 0 && errno != EINTR)
			return;
		if (n > 0) {
			text += n;
			len -= (size_t)n;
		}
	}
}

void detach_report(int channel, const char *problem)
{
	if (channel < 0)
		return;
	put(channel, problem ? problem : "", problem ? strlen(problem) : 1);
	close(channel);
}

/* Reads to the end of the report, at most `room` bytes; how many. */
static size_t get(int fd, char *text, size_t room)
{
	size_t len = 0;

	while (len < room) {
		ssize_t n = read(fd, text + len, room - len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		len += (size_t)n;
	}
	return len;
}

int detach_wait(pid_t child, int channel, struct error *err)
{
	char said[sizeof(err->msg)];
	size_t len = get(channel, said, sizeof(said) - 1);
	int status = 0;

	close(channel);
	if (len > 0 && said[0] == '\0')
		return 0;
	said[len] = '\0';
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	if (len > 0)
		return error_set(err, -EIO, "%s", said);
	if (WIFSIGNALED(status))
		return error_set(err, -EIO, "the daemon was killed by signal %d before the mount answered", WTERMSIG(status));
	return error_set(err, -EIO, "the daemon ended before the mount answered");
}
