/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gatherfs index: what the headers of a SOURCE say as one file, for hosts that mount the same SOURCE and need not read thousands of
 * headers each. It is made of the headers themselves, never of an index that is there, and of a SOURCE only that could be mounted.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "fs/base/term.h"
#include "fs/options/value.h"
#include "fs/source/cache.h"
#include "fs/verbs/replace.h"
#include "fs/verbs/subject.h"
#include "fs/verbs/verbs.h"
#include "layout/checkpoint/index.h"

static void write_text(const struct cache_made *made, const struct cache_told *told, const char *path, struct text *out)
{
	text_shown(out, path);
	text_add(out, ": %" PRIu64 " files, %" PRIu64 " distinct headers, %" PRIu64 " bytes\n", made->files, made->headers, made->bytes);
	if (told->young)
		text_add(out, "%" PRIu64 " files are too new to be sure of and were left out: they changed less than %d seconds ago\n", told->young,
			 CACHE_YOUNG);
}

static void write_json(const struct cache_made *made, const struct cache_told *told, const char *path, struct text *out)
{
	text_add(out, "{\"index\": ");
	text_json(out, path);
	text_add(out, ", \"files\": %" PRIu64 ", \"headers\": %" PRIu64 ", \"bytes\": %" PRIu64 ", \"left_out\": %" PRIu64 "}\n", made->files,
		 made->headers, made->bytes, told->young);
}

static bool is_index(struct bytes content)
{
	const uint64_t magic = INDEX_MAGIC;

	return content.len == sizeof(magic) && memcmp(content.ptr, &magic, sizeof(magic)) == 0;
}

static int run(struct subject *s, struct error *err)
{
	struct load_look look = { .cache = CACHE_MAKE };
	struct text out = TEXT_EMPTY;
	struct cache_made made;
	struct cache_told told;
	const char *path;
	int code = value_path(s->args[0], s->options.arena, &path, err);

	if (code == 0)
		code = replace_check(path, is_index, sizeof(INDEX_MAGIC), "index", err);
	if (code == 0)
		code = load_look(&s->options, &look, &s->model, err);
	if (code == 0 && !s->model->cache)
		code = error_nomem(err);
	if (code < 0)
		return code;
	cache_tell(s->model->cache, &told);
	if (told.ours)
		return error_set(err, -EINVAL, "%s: a mount of gatherfs, which looks the same with other options; index what it is made of",
				 s->options.source.item[0]);
	code = cache_save(s->model->cache, path, &made, err);
	if (code < 0)
		return code;
	if (s->options.json)
		write_json(&made, &told, path, &out);
	else if (!s->options.quiet)
		write_text(&made, &told, path, &out);
	code = term_output(&out, err);
	return code < 0 ? code : VERBS_OK;
}

int index_main(int argc, char **argv)
{
	struct subject s;
	struct error err = { "" };
	int code = subject_begin(&s, argc, argv, 1, 1);

	return subject_end(&s, code == SUBJECT_GO ? run(&s, &err) : code, &err);
}
