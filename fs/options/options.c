/* SPDX-License-Identifier: Apache-2.0 */
/* The grammar of options, and what no single one can know; what there is of them is in option.c. */
#include <errno.h>
#include <string.h>

#include "fs/options/known.h"
#include "fs/options/option.h"
#include "fs/options/scope.h"
#include "fs/options/value.h"

/* `name` or `name=value`; the text is the arena's and is cut at the sign. */
static int apply_item(struct options *o, char *item, struct error *err)
{
	char *value = strchr(item, '=');

	if (value)
		*value++ = '\0';
	return *item ? known_give(o, item, value, err) : error_set(err, -EINVAL, "an option without a name before \"=\"");
}

/* The text of one -o: items between commas, escapes undone. Empty items are stepped over, as mount(8) does. */
static int parse_list(struct options *o, const char *text, struct error *err)
{
	char *room = arena_alloc(o->arena, strlen(text) + 1, 1); /* for all items: each is followed by its NUL, where its comma was */
	int rc = 0;

	if (!room)
		return error_nomem(err);
	while (*text && rc == 0) {
		char *item = room, *out = item;

		for (; *text && *text != ','; text++) {
			if (*text == '\\' && (text[1] == ',' || text[1] == '\\'))
				text++;
			*out++ = *text;
		}
		if (*text == ',')
			text++;
		*out++ = '\0';
		room = out;
		if (*item)
			rc = apply_item(o, item, err);
	}
	return rc;
}

/* Walks the arguments: `at` is the one in hand. */
struct walk {
	char *const *argv;
	int argc, at;
};

/* The next argument, as the value of `of`. */
static int take_value(struct walk *w, const char *of, const char **value, struct error *err)
{
	if (w->at + 1 >= w->argc)
		return error_set(err, -EINVAL, "%s needs a value behind it", of);
	*value = w->argv[++w->at];
	return 0;
}

/* --name, --name=value, --name value. */
static int parse_long(struct options *o, struct walk *w, struct error *err)
{
	const char *arg = w->argv[w->at], *value = NULL;
	char *name = arena_strndup(o->arena, arg + 2, strlen(arg + 2));
	int rc = 0;

	if (!name)
		return error_nomem(err);
	if (strchr(name, '='))
		return apply_item(o, name, err);
	if (known_takes_value(name))
		rc = take_value(w, arg, &value, err);
	return rc < 0 ? rc : known_give(o, name, value, err);
}

static int parse_dash(struct options *o, struct walk *w, struct error *err)
{
	const char *arg = w->argv[w->at], *text = arg + 2;
	int rc = 0;

	if (arg[1] == '-')
		return parse_long(o, w, err);
	if (arg[1] == 'o') {
		if (!*text)
			rc = take_value(w, arg, &text, err);
		return rc < 0 ? rc : parse_list(o, text, err);
	}
	if (strcmp(arg, "-f") == 0)
		return known_give(o, "foreground", NULL, err);
	if (strcmp(arg, "-d") == 0)
		return known_give(o, "debug", NULL, err);
	if (strcmp(arg, "-q") == 0)
		return known_give(o, "quiet", NULL, err);
	if (strcmp(arg, "-h") == 0)
		return known_give(o, "help", NULL, err);
	return error_set(err, -EINVAL, "unknown option \"%s\"", arg);
}

/* What is of a view is refused where none is laid out, rather than taken and then ignored. */
static int check_view(const struct options *o, struct error *err)
{
	uint32_t scope = scope_of(o->verb);
	bool view = (scope & SCOPE_MAKES) || o->dry_run, ranks = o->to || o->to_same, unified = o->part_size || o->index;
	const char *of_unified = o->part_size ? "part_size" : "index";

	if (!view && (ranks || unified))
		return error_set(err, -EINVAL, "option \"%s\" is of a view: %s needs --dry-run with it", ranks ? "to" : of_unified, o->verb);
	if (!view && o->with.count && !o->has_names)
		return error_set(err, -EINVAL, "option \"with\" is of a view, or for the config.json that names= needs: %s %s", o->verb,
				 scope & SCOPE_INFO ? "needs --dry-run or names= with it" : "needs names= with it");
	if (ranks && unified)
		return error_set(err, -EINVAL, "option \"%s\" is of the unified view: it does not go with to=", of_unified);
	if (!ranks && (o->range_count || o->prefix))
		return error_set(err, -EINVAL, "option \"%s\" is of rank views: it needs to=", o->prefix ? "prefix" : "ranks");
	return 0;
}

/* What no single setter can see. */
static int check(struct options *o, struct error *err)
{
	o->foreground |= o->debug;
	if (o->allow_other && o->allow_root)
		return error_set(err, -EINVAL, "options \"allow_other\" and \"allow_root\" exclude each other");
	if (o->strategy_none && o->strategy.count > 0)
		return error_set(err, -EINVAL, "strategy=none and strategy=%s exclude each other", o->strategy.item[0]);
	if (o->all_steps && o->step)
		return error_set(err, -EINVAL, "steps=all and step=%s exclude each other", o->step);
	if (!o->has_names && (o->recipe || o->model || o->set.count))
		return error_set(err, -EINVAL, "option \"%s\" is for other names: it needs names=", o->recipe ? "recipe" : o->model ? "model" : "set");
	return check_view(o, err);
}

int options_parse(const char *verb, int argc, char *const *argv, struct options *o, struct error *err)
{
	struct walk w = { .argv = argv, .argc = argc };
	bool ended = false;
	int rc = 0;

	*o = (struct options){ .verb = verb, .arena = arena_new(), .readahead = OPTIONS_READAHEAD,
			       .cache_budget = OPTIONS_CACHE_BUDGET };
	if (!o->arena)
		return error_nomem(err);
	for (; w.at < argc && rc == 0; w.at++) {
		const char *arg = argv[w.at];

		if (!ended && strcmp(arg, "--") == 0)
			ended = true;
		else if (!ended && arg[0] == '-' && arg[1])
			rc = parse_dash(o, &w, err);
		else
			rc = option_push(o, &o->args, arg, err);
	}
	return rc < 0 ? rc : check(o, err);
}

void options_free(struct options *o)
{
	arena_free(o->arena);
	*o = (struct options){ 0 };
}

int options_take_point(struct options *o, struct error *err)
{
	struct options_list given = o->source;
	int rc = 0;

	o->source = (struct options_list){ 0 };
	if (o->args.count == 0 || o->args.count + given.count < 2)
		return error_set(err, -EINVAL, "expected SOURCE and MOUNTPOINT");
	for (uint32_t i = 0; i + 1 < o->args.count && rc == 0; i++)
		rc = option_push_path(o, &o->source, o->args.item[i], err);
	for (uint32_t i = 0; i < given.count && rc == 0; i++)
		rc = option_push(o, &o->source, given.item[i], err);
	return rc < 0 ? rc : value_point(o->args.item[o->args.count - 1], o->arena, &o->mountpoint, err);
}
