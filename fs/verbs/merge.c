/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gatherfs merge-strategy: the strategy files of all stages as one, as merge_pipeline_strategys writes it. The file appears under
 * its name only when it is whole.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/base/persist.h"
#include "fs/options/options.h"
#include "fs/source/strategies.h"
#include "fs/verbs/replace.h"
#include "fs/verbs/verbs.h"

/* What a new file of everybody's would get: mkstemp() makes it the owner's alone. */
static mode_t new_mode(void)
{
	mode_t mask = umask(0);

	umask(mask);
	return 0666 & ~mask;
}

static int write_file(const char *path, struct bytes b, struct arena *arena, struct error *err)
{
	char *temp = arena_printf(arena, "%s.XXXXXX", path);
	int fd = temp ? mkstemp(temp) : -1;
	int code = fd < 0 ? -errno : persist_bytes(fd, b);

	if (fd >= 0 && code == 0 && fchmod(fd, new_mode()) < 0)
		code = -errno;
	if (fd >= 0)
		close(fd);
	if (code == 0 && rename(temp, path) < 0)
		code = -errno;
	if (code < 0 && fd >= 0)
		unlink(temp);
	return code < 0 ? error_set(err, code, "%s: cannot write: %s", path, strerror(-code)) : 0;
}

static bool is_merged(struct bytes content)
{
	struct arena *arena = arena_new();
	struct strategy_file file;
	struct error ignored;
	bool is = arena && strategy_parse_pb(content, arena, &file, &ignored) == 0 && file.merged;

	arena_free(arena);
	return is;
}

static int merge(const char *from, const char *to, struct arena *arena, struct error *err)
{
	struct options_list none = { 0 }, named = { .item = &from, .count = 1 };
	struct strategies_look look = { .sources = &none, .named = &named };
	struct strategies found;
	struct bytes file;
	int code = replace_check(to, is_merged, STRATEGIES_FILE_MAX, "merged strategy", err);

	if (code == 0)
		code = strategies_load(&look, arena, &found, err);
	if (code == 0)
		code = strategy_write(found.strategy, arena, &file, err);
	return code == 0 ? write_file(to, file, arena, err) : code;
}

int merge_main(int argc, char **argv)
{
	struct options o;
	struct error err = { "" };
	int code, rc = options_parse("merge-strategy", argc - 1, argv + 1, &o, &err);

	if (rc == 0 && o.help) {
		verbs_help("merge-strategy", stdout);
		code = VERBS_OK;
	} else if (rc < 0 || o.args.count != 2) {
		code = verbs_misused("merge-strategy", rc < 0 ? err.msg : "expected DIR and FILE");
	} else {
		code = merge(o.args.item[0], o.args.item[1], o.arena, &err) < 0 ? verbs_failed("merge-strategy", err.msg) : VERBS_OK;
	}
	options_free(&o);
	return code;
}
