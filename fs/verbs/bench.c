/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gatherfs bench: how fast a mount is read here, in a few seconds. It reads the largest file, in every way in which programs read, and
 * works on any folder, so that a mount and a copy can be compared. Nothing but the page cache of that file is touched.
 */
#include <errno.h>
#include <fts.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#include "fs/base/table.h"
#include "fs/options/options.h"
#include "fs/verbs/speed.h"
#include "fs/verbs/verbs.h"

#define SECONDS 1.0 /* that one way may take */

struct measured {
	const char *path;
	uint64_t size; /* bytes of the file */
	struct speed speeds[SPEED_WAYS];
};

/* The largest regular file in `tree`. What is made for people to browse is no model. */
static int find_largest(FTS *tree, struct arena *arena, struct measured *m, struct error *err)
{
	FTSENT *at;

	while ((at = fts_read(tree))) {
		if (at->fts_info == FTS_D && at->fts_level > 0 && (at->fts_name[0] == '.' || strcmp(at->fts_name, "tensors") == 0))
			fts_set(tree, at, FTS_SKIP);
		if (at->fts_info != FTS_F || (uint64_t)at->fts_statp->st_size <= m->size)
			continue;
		m->size = (uint64_t)at->fts_statp->st_size;
		m->path = arena_strndup(arena, at->fts_path, strlen(at->fts_path));
		if (!m->path)
			return error_nomem(err);
	}
	return 0;
}

static int find(const char *place, struct arena *arena, struct measured *m, struct error *err)
{
	char *roots[] = { arena_strndup(arena, place, strlen(place)), NULL };
	FTS *tree = roots[0] ? fts_open(roots, FTS_COMFOLLOW | FTS_PHYSICAL | FTS_NOCHDIR, NULL) : NULL;
	struct stat st;
	int code;

	if (!tree)
		return error_set(err, -ENOMEM, "%s: cannot be listed: %s", place, strerror(errno));
	code = find_largest(tree, arena, m, err);
	fts_close(tree);
	if (code < 0 || m->path)
		return code;
	if (stat(place, &st) < 0)
		return error_set(err, -errno, "%s: %s", place, strerror(errno));
	return error_set(err, -ENODATA, "%s: there is no file in it that could be read", place);
}

static double rate(const struct speed *s)
{
	return s->seconds > 0 ? (double)s->bytes / s->seconds / 1e9 : 0;
}

static void write_table(const struct measured *m, const struct term *term, struct text *out)
{
	static const struct table_column columns[] = { { "reading", false, 0 }, { "GB/s", true, 0 }, { "of it", true, 0 }, { "p50", true, 0 },
						       { "p99", true, 0 } };
	struct table t = table_new(columns, 5);
	char size[TERM_TEXT];

	term_name(out, m->path, 0);
	text_add(out, ", %s\n", term_size(size, m->size));
	for (enum speed_way way = 0; way < SPEED_WAYS; way++) {
		const struct speed *s = &m->speeds[way];

		table_add(&t, "%s", speed_name(way));
		table_add(&t, "%.2f", rate(s));
		table_add(&t, "%s", term_size(size, s->bytes));
		table_add(&t, s->reads ? "%.0f us" : "", s->p50 * 1e6);
		table_add(&t, s->reads ? "%.0f us" : "", s->p99 * 1e6);
	}
	table_write(&t, term, true, out);
	table_free(&t);
}

static void write_json(const struct measured *m, struct text *out)
{
	text_add(out, "{\n  \"file\": ");
	text_json_ascii(out, m->path);
	text_add(out, ",\n  \"bytes\": %" PRIu64 ",\n  \"ways\": [", m->size);
	for (enum speed_way way = 0; way < SPEED_WAYS; way++) {
		const struct speed *s = &m->speeds[way];

		text_add(out, "%s\n    {\"way\": \"%s\", \"bytes\": %" PRIu64 ", \"seconds\": %.6f", way ? "," : "", speed_name(way), s->bytes,
			 s->seconds);
		if (s->reads)
			text_add(out, ", \"reads\": %" PRIu64 ", \"p50_us\": %.2f, \"p99_us\": %.2f", s->reads, s->p50 * 1e6, s->p99 * 1e6);
		text_add(out, "}");
	}
	text_add(out, "\n  ]\n}\n");
}

static int run(const struct options *o, struct error *err)
{
	struct measured m = { 0 };
	struct text out = TEXT_EMPTY;
	struct term term = term_of(stdout);
	int code = find(o->args.item[0], o->arena, &m, err);

	for (enum speed_way way = 0; code == 0 && way < SPEED_WAYS; way++)
		code = speed_measure(m.path, way, SECONDS, &m.speeds[way], err);
	if (code < 0)
		return code;
	if (o->json)
		write_json(&m, &out);
	else
		write_table(&m, &term, &out);
	return term_output(&out, err);
}

int bench_main(int argc, char **argv)
{
	struct options o;
	struct error err = { "" };
	int code, rc = options_parse("bench", argc - 1, argv + 1, &o, &err);

	if (rc == 0 && o.help) {
		verbs_help("bench", stdout);
		code = VERBS_OK;
	} else if (rc < 0 || o.args.count != 1) {
		code = verbs_misused("bench", rc < 0 ? err.msg : "expected one MOUNTPOINT");
	} else {
		code = run(&o, &err) < 0 ? verbs_failed("bench", err.msg) : VERBS_OK;
	}
	options_free(&o);
	return code;
}
