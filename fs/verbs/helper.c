/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mount.gatherfs: the program under the name that mount(8) looks for, with the arguments that mount(8) gives to a helper:
 *
 *     mount.gatherfs SOURCE MOUNTPOINT [-sfnv] [-N NAMESPACE] [-t TYPE] [-o OPTIONS]
 *
 * Some letters mean other things there than on our own command line (-f is "fake"), and so do exit codes.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fs/verbs/verbs.h"

/* What mount(8) passes on as its own exit code. */
enum exit_code {
	HELPER_OK = 0,
	HELPER_USAGE = 1,
	HELPER_FAILED = 32,
};

/* The arguments of `gatherfs mount` that they become. */
struct command {
	const char **argv; /* [argc], with room for the NULL behind */
	int argc;
	bool verbose;
};

static void add(struct command *c, const char *arg)
{
	c->argv[c->argc++] = arg;
}

static int usage(FILE *out, int code)
{
	fputs("usage: mount.gatherfs SOURCE MOUNTPOINT [-sfnv] [-N NAMESPACE] [-t TYPE] [-o OPTIONS]\n"
	      "It is what `mount -t gatherfs` runs; `gatherfs help mount` tells of the options.\n", out);
	return code;
}

/* mount -N: the mount appears in another mount namespace. */
static bool enter_namespace(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	bool entered = fd >= 0 && setns(fd, CLONE_NEWNS) == 0;

	if (!entered)
		fprintf(stderr, "mount.gatherfs: cannot enter the mount namespace %s: %s\n", path, strerror(errno));
	if (fd >= 0)
		close(fd);
	return entered;
}

/* One letter; false when it is none of mount(8)'s. -n (no mtab) and -t (we know what we are) change nothing. */
static bool take(struct command *c, int letter)
{
	switch (letter) {
	case 's':
		add(c, "--sloppy");
		return true;
	case 'f':
		add(c, "--dry-run");
		return true;
	case 'v':
		c->verbose = true;
		return true;
	case 'o':
		add(c, "-o");
		add(c, optarg);
		return true;
	default:
		return letter == 'n' || letter == 't';
	}
}

static int mount_as_told(struct command *c, const char *source, const char *point)
{
	int code;

	if (!c->verbose)
		add(c, "--quiet");
	add(c, "--");
	add(c, source);
	add(c, point);
	code = mount_main(c->argc, (char **)c->argv);
	return code == VERBS_OK ? HELPER_OK : code == VERBS_USAGE ? HELPER_USAGE : HELPER_FAILED;
}

int helper_main(int argc, char **argv)
{
	struct command c = { .argv = calloc((size_t)argc * 2 + 8, sizeof(*c.argv)) };
	int letter, code = HELPER_OK;

	if (!c.argv)
		return HELPER_FAILED;
	add(&c, "mount");
	while (code == HELPER_OK && (letter = getopt(argc, argv, "hsfnvN:t:o:")) != -1) {
		if (letter == 'h')
			code = -1;
		else if (letter == 'N')
			code = enter_namespace(optarg) ? HELPER_OK : HELPER_FAILED;
		else if (!take(&c, letter))
			code = usage(stderr, HELPER_USAGE);
	}
	if (code == -1)
		code = usage(stdout, HELPER_OK);
	else if (code == HELPER_OK && argc - optind != 2)
		code = usage(stderr, HELPER_USAGE);
	else if (code == HELPER_OK)
		code = mount_as_told(&c, argv[optind], argv[optind + 1]);
	free(c.argv);
	return code;
}
