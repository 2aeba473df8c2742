/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <regex.h>
#include <stdlib.h>
#include <string.h>

#include "layout/base/regexp.h"
#include "layout/base/text.h"
#include "layout/base/utf8.h"
#include "layout/names/rename.h"

#define GROUPS 10
#define RULES_MAX 10000
#define NAME_MAX_BYTES (1 << 16) /* rules that double names must not double them for ever: from here on a name is none */

struct rule {
	regex_t from;
	char *to;
};

struct rename {
	struct arena *arena;
	struct rule *rules; /* [count] */
	uint64_t count;
};

void rename_free(struct rename *rules)
{
	if (!rules)
		return;
	for (uint64_t i = 0; i < rules->count; i++)
		regfree(&rules->rules[i].from);
	arena_free(rules->arena);
	free(rules);
}

/* The next field of a line, ended by blanks; NULL when there is none. Cuts the line. */
static char *field(char **line)
{
	char *start = *line + strspn(*line, " \t\r"), *end = start + strcspn(start, " \t\r");

	*line = *end ? end + 1 : end;
	*end = 0;
	return *start ? start : NULL;
}

/* Every \digit of TO must be a group of FROM. */
static int check_to(const char *to, size_t groups, struct error *err)
{
	for (; *to; to++) {
		if (*to != '\\')
			continue;
		to++;
		if (*to != '\\' && (*to < '0' || *to > '9'))
			return error_set(err, -EINVAL, "TO: \"\\\" must be followed by a digit or \"\\\"");
		if (*to != '\\' && (size_t)(*to - '0') > groups)
			return error_set(err, -EINVAL, "TO: \\%c, but FROM has %zu groups", *to, groups);
	}
	return 0;
}

static int add_rule(struct rename *r, char *line, struct error *err)
{
	char *from = field(&line), *to = field(&line);
	char why[256];
	int rc;

	if (!from || *from == '#')
		return 0;
	if (!to || field(&line))
		return error_set(err, -EINVAL, "expected FROM and TO, found %s", to ? "more" : "one field");
	if (r->count == RULES_MAX)
		return error_set(err, -E2BIG, "more than %d rules", RULES_MAX);
	if (regexp_check(from, err) < 0)
		return error_prefix(err, -EINVAL, "FROM");
	rc = regcomp(&r->rules[r->count].from, from, REG_EXTENDED);
	if (rc != 0) {
		regerror(rc, &r->rules[r->count].from, why, sizeof(why));
		return error_set(err, -EINVAL, "FROM \"%s\": %s", from, why);
	}
	r->rules[r->count++].to = to;
	return check_to(to, r->rules[r->count - 1].from.re_nsub, err);
}

static int add_lines(struct rename *r, char *text, struct error *err)
{
	int code = 0;

	for (uint64_t n = 1; code == 0 && text; n++) {
		char *next = strchr(text, '\n');

		if (next)
			*next++ = 0;
		code = add_rule(r, text, err);
		if (code < 0)
			return error_prefix(err, code, "line %llu", (unsigned long long)n);
		text = next;
	}
	return 0;
}

static uint64_t count_lines(const char *text)
{
	uint64_t n = 1;

	for (; (text = strchr(text, '\n')); text++)
		n++;
	return n < RULES_MAX ? n : RULES_MAX;
}

int rename_parse(struct bytes text, struct rename **out, struct error *err)
{
	struct rename *r = calloc(1, sizeof(*r));
	char *copy = NULL;
	int code;

	if (!r || !(r->arena = arena_new()) || !(copy = arena_strndup(r->arena, (const char *)text.ptr, text.len)) ||
	    !(r->rules = arena_alloc(r->arena, count_lines(copy), sizeof(*r->rules))))
		code = error_nomem(err);
	else if (strlen(copy) != text.len)
		code = error_set(err, -EINVAL, "a NUL at byte %zu", strlen(copy));
	else
		code = add_lines(r, copy, err);
	if (code < 0) {
		rename_free(r);
		return code;
	}
	*out = r;
	return 0;
}

/* Writes TO with what its groups matched in `name`. */
static void write_to(struct text *text, const char *to, const char *name, const regmatch_t *group)
{
	for (; *to && text->len < NAME_MAX_BYTES; to++) {
		const regmatch_t *g = NULL;

		if (*to == '\\' && *++to != '\\')
			g = &group[*to - '0'];
		if (!g)
			text_add_bytes(text, to, 1);
		else if (g->rm_so >= 0)
			text_add_bytes(text, name + g->rm_so, (uint64_t)(g->rm_eo - g->rm_so));
	}
}

/* One rule on all of `name`. A match of nothing takes one byte along, so that the end is reached. */
static void apply_rule(const struct rule *rule, const char *name, struct text *text)
{
	regmatch_t group[GROUPS];
	int flags = 0;

	while (regexec(&rule->from, name, GROUPS, group, flags) == 0 && text->len < NAME_MAX_BYTES) {
		bool empty = group[0].rm_eo == group[0].rm_so;

		text_add_bytes(text, name, (uint64_t)group[0].rm_so);
		write_to(text, rule->to, name, group);
		name += group[0].rm_eo;
		if (empty && !*name)
			return;
		if (empty)
			text_add_bytes(text, name++, 1);
		flags = REG_NOTBOL;
	}
	text_add(text, "%s", name);
}

const char *rename_apply(const struct rename *rules, const char *name, struct arena *arena)
{
	uint64_t len = 0;

	for (uint64_t i = 0; name && len < NAME_MAX_BYTES && i < rules->count; i++) {
		struct text text = TEXT_EMPTY;

		apply_rule(&rules->rules[i], name, &text);
		len = text.len;
		name = text.failed ? NULL : arena_strndup(arena, text.ptr ? text.ptr : "", len);
		text_free(&text);
	}
	return name;
}

static bool is_name(const char *name)
{
	const uint8_t *p = (const uint8_t *)name;
	uint64_t left = strlen(name);
	uint32_t code, n;

	if (left == 0 || left >= NAME_MAX_BYTES)
		return false;
	for (; left > 0; p += n, left -= n)
		if ((n = utf8_decode(p, left, &code)) == 0)
			return false;
	return true;
}

/* Renames tensors [count] into *out; every new name goes into `seen`. */
static int rename_tensors(const struct tensor *t, uint64_t count, const struct rename *rules, struct names *seen, struct tensor **out,
			  struct error *err)
{
	struct tensor *copy = arena_alloc(seen->arena, count, sizeof(*copy));

	if (!copy)
		return error_nomem(err);
	for (uint64_t i = 0; i < count; i++) {
		copy[i] = t[i];
		copy[i].name = rename_apply(rules, t[i].name, seen->arena);
		if (!copy[i].name)
			return error_nomem(err);
		if (!is_name(copy[i].name))
			return error_set(err, -EINVAL, "tensor \"%s\" would get the name \"%.200s\", which is none: empty, too long or not UTF-8",
					 t[i].name, copy[i].name);
		if (names_find(seen, copy[i].name) != NAMES_NONE)
			return error_set(err, -EINVAL, "tensor \"%s\" would get the name \"%.200s\", which another tensor has",
					 t[i].name, copy[i].name);
		if (names_add(seen, copy[i].name) == NAMES_NONE)
			return error_nomem(err);
	}
	*out = copy;
	return 0;
}

/* Metadata keys that are tensors' names mark those tensors, so they change with them. */
static int rename_meta(struct checkpoint *ckpt, const struct rename *rules, struct arena *arena, struct error *err)
{
	struct pair *meta = arena_alloc(arena, ckpt->meta_count, sizeof(*meta));

	if (!meta)
		return error_nomem(err);
	for (uint64_t i = 0; i < ckpt->meta_count; i++) {
		meta[i] = ckpt->meta[i];
		if (checkpoint_find(ckpt->tensors, ckpt->count, meta[i].key))
			meta[i].key = rename_apply(rules, meta[i].key, arena);
		if (!meta[i].key)
			return error_nomem(err);
	}
	ckpt->meta = meta;
	return 0;
}

int rename_checkpoint(struct checkpoint *ckpt, const struct rename *rules, struct arena *arena, struct error *err)
{
	struct names seen = names_new(arena);
	struct tensor *tensors = NULL;
	int code = rename_meta(ckpt, rules, arena, err);

	if (code == 0)
		code = rename_tensors(ckpt->tensors, ckpt->count, rules, &seen, &tensors, err);
	for (uint64_t i = 0; code == 0 && i < ckpt->outside_count; i++)
		if (names_find(&seen, ckpt->outside[i].name) != NAMES_NONE)
			code = error_set(err, -EINVAL, "a tensor would get the name \"%s\", which a parameter outside the strategy has",
					 ckpt->outside[i].name);
	if (code == 0)
		code = checkpoint_sort(tensors, ckpt->count, err);
	if (code == 0)
		ckpt->tensors = tensors;
	return code;
}
