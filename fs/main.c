/* SPDX-License-Identifier: Apache-2.0 */
/* gatherfs: finds the verb and runs it. */
#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <malloc.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "fs/serve/reader.h"
#include "fs/verbs/verbs.h"

#define KEPT (256 << 20) /* bytes */

/*
 * What is freed while a model is loaded is used again: each page that is asked of the kernel anew costs 2 to 4 us. So there is one heap for
 * all threads, few of which ask it for much, and load.c gives back what is left of it.
 */
static void settle_memory(void)
{
	mallopt(M_ARENA_MAX, 1);
	mallopt(M_MMAP_THRESHOLD, KEPT / 8);
	mallopt(M_TRIM_THRESHOLD, KEPT);
}

/*
 * A checkpoint of many ranks has more files than a program may usually have open. A file that becomes longer than allowed is an error of
 * write(), and no reason to die. Where a shell ignores the ends of its children, ours would be gone before their exit codes are asked for.
 */
static void settle_limits(void)
{
	struct rlimit limit;

	signal(SIGXFSZ, SIG_IGN);
	signal(SIGCHLD, SIG_DFL);
	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit); /* where this fails the mount says which file could not be opened */
}

/* A file that took the place of a standard stream that is closed would be closed with it, or written to. */
static void settle_streams(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		close(fd);
}

/* mount(8) calls its helpers mount.TYPE. */
static bool is_helper(const char *program)
{
	const char *slash = strrchr(program, '/');

	return strncmp(slash ? slash + 1 : program, "mount.", strlen("mount.")) == 0;
}

int main(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : "";
	const struct verb *verb;

	if (argc == 2 && strcmp(name, READER_VERB) == 0)
		return reader_main();
	settle_streams();
	settle_memory();
	if (argc > 0 && is_helper(argv[0])) {
		settle_limits();
		return helper_main(argc, argv);
	}
	if (!*name) {
		verbs_usage(stderr);
		return VERBS_USAGE;
	}
	if (strcmp(name, "-h") == 0 || strcmp(name, "--help") == 0) {
		verbs_usage(stdout);
		return VERBS_OK;
	}
	if (strcmp(name, "--version") == 0 || strcmp(name, "-V") == 0) {
		printf("gatherfs %s\nlibfuse %s\n", GATHERFS_VERSION, fuse_pkgversion());
		return VERBS_OK;
	}
	verb = verbs_find(name);
	if (!verb)
		return VERBS_USAGE;
	settle_limits();
	return verb->run(argc - 1, argv + 1);
}
