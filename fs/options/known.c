/* SPDX-License-Identifier: Apache-2.0 */
/* See known.h. */
#include <errno.h>
#include <string.h>

#include "fs/options/known.h"
#include "fs/options/option.h"
#include "fs/options/scope.h"
#include "fs/options/suggest.h"

/* What mount(8) and fstab add. A mount is read-only, nosuid and nodev whatever these say. */
static const char *const ignored[] = {
	"rw", "ro", "defaults", "_netdev", "_rnetdev", "auto", "noauto", "nofail", "user", "users", "nouser", "owner", "group",
	"comment", "suid", "nosuid", "dev", "nodev", "exec", "noexec", "sync", "async", "dirsync", "atime", "noatime", "diratime",
	"nodiratime", "relatime", "norelatime", "strictatime", "nostrictatime", "lazytime", "nolazytime", "mand", "nomand", "loud",
	"silent", "iversion", "noiversion", "nosymfollow",
};

static bool is_ignored(const char *name)
{
	if (strncmp(name, "x-", 2) == 0 || strncmp(name, "X-", 2) == 0)
		return true;
	for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
		if (strcmp(name, ignored[i]) == 0)
			return true;
	return false;
}

/* --part-size is part_size: both are what people expect somewhere. */
static bool is_called(const char *name, const char *own)
{
	while (*name && (*name == *own || (*name == '-' && *own == '_'))) {
		name++;
		own++;
	}
	return *name == *own;
}

static const struct option *find(const char *name, uint32_t *number)
{
	const struct option *opt;

	for (*number = 0; (opt = option_row(*number)); ++*number)
		if (is_called(name, opt->name))
			return opt;
	return NULL;
}

bool known_takes_value(const char *name)
{
	uint32_t number;
	const struct option *opt = find(name, &number);

	return opt && opt->kind != OPTION_FLAG && opt->kind != OPTION_REFUSED;
}

static int unknown(const char *name, uint32_t scope, struct error *err)
{
	struct suggest s = suggest_begin(name);
	const struct option *opt;

	for (uint32_t i = 0; (opt = option_row(i)); i++)
		if (opt->kind != OPTION_REFUSED && (opt->scope & scope))
			suggest_offer(&s, opt->name);
	if (s.best)
		return error_set(err, -EINVAL, "unknown option \"%s\"; did you mean \"%s\"?", name, s.best);
	return error_set(err, -EINVAL, "unknown option \"%s\"", name);
}

/* What is not in the table. What mount(8) and fstab add is known to mount alone, and changes nothing. */
static int give_other(const struct options *o, const char *name, struct error *err)
{
	uint32_t scope = scope_of(o->verb);

	if (!is_ignored(name))
		return o->sloppy ? 0 : unknown(name, scope, err);
	return scope & SCOPE_MOUNT ? 0 : scope_refuse(name, SCOPE_MOUNT, o->verb, err);
}

static int store(struct options *o, const struct option *opt, const char *value, struct error *err)
{
	void *place = (char *)o + opt->place;

	if (opt->kind == OPTION_PATHS)
		return option_push_path(o, place, value, err);
	if (opt->kind != OPTION_FLAG)
		return opt->set(o, value, err);
	*(bool *)place = true;
	return 0;
}

/* Whether an option may be given to the verb, and so. */
static int check(const struct options *o, const struct option *opt, const char *value, bool again, struct error *err)
{
	const char *name = opt->name;

	if (opt->kind == OPTION_REFUSED)
		return error_set(err, -EINVAL, "option \"%s\" is refused: %s", name, opt->help);
	if (!(opt->scope & scope_of(o->verb)))
		return scope_refuse(name, opt->scope, o->verb, err);
	if (opt->kind == OPTION_FLAG && value)
		return error_set(err, -EINVAL, "option \"%s\" takes no value, found \"%s\"", name, value);
	if (opt->kind != OPTION_FLAG && !value)
		return error_set(err, -EINVAL, "option \"%s\" needs a value: %s=%s", name, name, opt->arg);
	if (opt->kind != OPTION_LIST && opt->kind != OPTION_PATHS && again)
		return error_set(err, -EINVAL, "option \"%s\" is given twice", name);
	return 0;
}

int known_give(struct options *o, const char *name, const char *value, struct error *err)
{
	uint32_t number;
	const struct option *opt = find(name, &number);
	int rc;

	if (!opt)
		return give_other(o, name, err);
	rc = check(o, opt, value, o->seen >> number & 1, err);
	if (rc < 0)
		return rc;
	o->seen |= UINT64_C(1) << number;
	rc = store(o, opt, value, err);
	return rc < 0 ? error_prefix(err, rc, "option \"%s\"", opt->name) : 0;
}

#define HELP_COLUMN 22 /* width of the options; a longer one has a line of its own */

static void help_one(FILE *out, const struct option *opt)
{
	char left[64];

	snprintf(left, sizeof(left), "%s%s%s", opt->name, opt->arg ? "=" : "", opt->arg ? opt->arg : "");
	if (strlen(left) > HELP_COLUMN)
		fprintf(out, "  %s\n%*s", left, HELP_COLUMN + 3, "");
	else
		fprintf(out, "  %-*s ", HELP_COLUMN, left);
	for (const char *p = opt->help; *p; p++) {
		fputc(*p, out);
		if (*p == '\n')
			fprintf(out, "%*s", HELP_COLUMN + 3, "");
	}
	fputc('\n', out);
}

void known_help(const char *verb, FILE *out)
{
	uint32_t scope = scope_of(verb);
	const struct option *opt;

	fputs("Options, as `-o a=1,b`, several -o, or each as `--a 1`; `\\,` is a comma in a value:\n", out);
	for (uint32_t i = 0; (opt = option_row(i)); i++)
		if (opt->kind != OPTION_REFUSED && (opt->scope & scope))
			help_one(out, opt);
	if (scope & SCOPE_MOUNT)
		fputs("What mount(8) and fstab add (ro, rw, defaults, _netdev, nofail, x-* ...) is known and changes nothing.\n", out);
}
