/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gatherfs status: what a mount says of itself, its .gatherfs/status. The mount is found in the kernel's list, because a dead one
 * answers nothing.
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "fs/base/term.h"
#include "fs/options/options.h"
#include "fs/options/point.h"
#include "fs/verbs/verbs.h"

/* Finds our mount that `text` names: as it is written, else where a link leads. */
static int find(const char *text, struct arena *arena, const char **point, struct error *err)
{
	struct point_mounts mounts;
	char real[PATH_MAX];
	int code = value_point(text, arena, point, err);

	if (code == 0)
		code = point_mounts(*point, &mounts, err);
	if (code == 0 && mounts.count == 0 && realpath(*point, real)) {
		*point = arena_strndup(arena, real, strlen(real));
		code = *point ? point_mounts(*point, &mounts, err) : error_nomem(err);
	}
	if (code < 0)
		return code;
	if (mounts.count == 0)
		return error_set(err, -EINVAL, "nothing is mounted on %s", *point);
	return mounts.ours ? 0 : error_set(err, -EINVAL, "what is mounted on %s is no gatherfs mount", *point);
}

/* The size of a report is known only at its end. */
static int read_all(const char *path, struct text *out)
{
	FILE *f = fopen(path, "re");
	char part[4096];
	size_t n;
	int code = f ? 0 : -errno;

	while (code == 0 && (n = fread(part, 1, sizeof(part), f)) > 0)
		text_add_bytes(out, part, n);
	if (f && ferror(f))
		code = -errno;
	if (f)
		fclose(f);
	return code;
}

static int run(const struct options *o, struct error *err)
{
	struct text out = TEXT_EMPTY;
	const char *point, *path;
	int code = find(o->args.item[0], o->arena, &point, err);

	if (code < 0)
		return code;
	path = arena_printf(o->arena, "%s/.gatherfs/status%s", point, o->json ? ".json" : "");
	if (!path)
		return error_nomem(err);
	code = read_all(path, &out);
	if (code == 0)
		return term_output(&out, err);
	text_free(&out);
	if (point_is_dead(-code))
		return error_set(err, code, "%s: the mount is there, but its process is gone; clear it with `gatherfs umount %s`", point, point);
	return error_set(err, code, "%s: %s", path, strerror(-code));
}

int status_verb_main(int argc, char **argv)
{
	struct options o;
	struct error err = { "" };
	int code, rc = options_parse("status", argc - 1, argv + 1, &o, &err);

	if (rc == 0 && o.help) {
		verbs_help("status", stdout);
		code = VERBS_OK;
	} else if (rc < 0 || o.args.count != 1) {
		code = verbs_misused("status", rc < 0 ? err.msg : "expected one MOUNTPOINT");
	} else {
		code = run(&o, &err) < 0 ? verbs_failed("status", err.msg) : VERBS_OK;
	}
	options_free(&o);
	return code;
}
