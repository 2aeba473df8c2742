/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as the arguments of some verbs, one a line: what options.h promises of those that are taken. The first line is also a
 * value, which comes through the grammar as it is, whatever is in it.
 */
#include <errno.h>
#include <string.h>

#include "fs/options/options.h"
#include "layout/base/utf8.h"
#include "tests/fuzz/fuzz.h"

#define ARGS 64

/* A message is one line that a terminal can take. */
static void check_message(const char *msg)
{
	uint64_t len = strlen(msg);
	uint32_t n, code;

	FUZZ_PROMISE(len > 0);
	for (uint64_t i = 0; i < len; i += n) {
		n = utf8_decode((const uint8_t *)msg + i, len - i, &code);
		FUZZ_PROMISE(n > 0 && utf8_is_harmless(code));
	}
}

static void check_paths(const struct options_list *list)
{
	FUZZ_PROMISE(list->count <= list->capacity);
	for (uint32_t i = 0; i < list->count; i++)
		FUZZ_PROMISE(list->item[i][0] == '/');
}

static void check_options(const struct options *o)
{
	const struct options_list *paths[] = { &o->source, &o->strategy, &o->with, &o->rename };
	const char *alone[] = { o->recipe, o->to };

	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
		check_paths(paths[i]);
	for (size_t i = 0; i < sizeof(alone) / sizeof(alone[0]); i++)
		FUZZ_PROMISE(!alone[i] || alone[i][0] == '/');
	for (uint32_t i = 0; i < o->filter.count; i++)
		FUZZ_PROMISE(*o->filter.item[i]);
	for (uint32_t i = 0; i < o->set.count; i++)
		FUZZ_PROMISE(strchr(o->set.item[i], '=') > o->set.item[i]);
	for (uint32_t i = 0; i < o->range_count; i++) {
		FUZZ_PROMISE(o->ranks[i].first <= o->ranks[i].last && o->ranks[i].last <= INT32_MAX);
		FUZZ_PROMISE(i == 0 || o->ranks[i].first > o->ranks[i - 1].last);
	}
	FUZZ_PROMISE(o->part_size <= INT64_MAX && o->readahead <= INT64_MAX && o->max_threads <= 1024 && o->mode <= 0777);
	FUZZ_PROMISE(!(o->allow_other && o->allow_root) && !(o->all_steps && o->step) && !(o->strategy_none && o->strategy.count));
	FUZZ_PROMISE(o->names <= RECIPE_NAMINGS && (!o->prefix || (*o->prefix && !strchr(o->prefix, '/'))));
}

static void parse(const char *verb, int argc, char **argv)
{
	struct error err = { "" };
	struct options o;

	if (options_parse(verb, argc, argv, &o, &err) == 0)
		check_options(&o);
	else
		check_message(err.msg);
	if (argc > 0 && !err.msg[0] && options_take_point(&o, &err) == 0)
		FUZZ_PROMISE(o.mountpoint[0] == '/' && o.source.count > 0);
	options_free(&o);
}

/* `value` behind `-o fsname=`, with its commas escaped, and as an argument of its own. */
static void come_through(const char *value)
{
	char *text = malloc(2 * strlen(value) + sizeof("ro,fsname=,rw")), *out = text + sprintf(text, "ro,fsname=");
	char *argv[2][3] = { { (char[]){ "-o" }, text }, { (char[]){ "--fsname" }, (char *)(uintptr_t)value } };
	struct error err;
	struct options o;

	for (const char *p = value; *p; p++) {
		if (*p == ',' || *p == '\\')
			*out++ = '\\';
		*out++ = *p;
	}
	strcpy(out, ",rw");
	for (int i = 0; i < 2; i++) {
		FUZZ_PROMISE(options_parse("mount", 2, argv[i], &o, &err) == (*value ? 0 : -EINVAL));
		FUZZ_PROMISE(!*value || strcmp(o.fsname, value) == 0);
		options_free(&o);
	}
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const verbs[] = { "mount", "export", "info", "check", "status" };
	char *text = malloc(size + 1), *argv[ARGS + 1] = { NULL };
	int argc = 0;

	memcpy(text, data, size);
	text[size] = '\0';
	for (char *line = text; line && argc < ARGS; argc++) {
		argv[argc] = line;
		line = strchr(line, '\n');
		if (line)
			*line++ = '\0';
	}
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
		parse(verbs[i], argc, argv);
	come_through(argv[0]);
	free(text);
	return 0;
}
