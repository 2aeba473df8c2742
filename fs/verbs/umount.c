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

#include "fs/options/value.h"
#include "fs/serve/unmount.h"
#include "fs/verbs/verbs.h"

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

static int run(const char *text, bool lazy, struct arena *arena, struct error *err)
{
	struct unmount u = { .lazy = lazy };
	int rc = find(text, arena, &u.point, &u.mounts, err);

	if (rc < 0)
		return rc;
	if (u.mounts.count == 0)
		return error_set(err, -EINVAL, "nothing is mounted on %s", u.point);
	if (!u.mounts.ours)
		return error_set(err, -EINVAL, "what is mounted on %s is no gatherfs mount", u.point);
	return unmount_run(&u, err);
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
