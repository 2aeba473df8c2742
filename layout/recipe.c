/* SPDX-License-Identifier: Apache-2.0 */
/* The statements of a recipe, one function each; what a woven line must be is checked in recipe_check.c. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "layout/recipe.h"
#include "layout/recipe_check.h"

#define LINES_MAX 4096

/* What parsing carries from line to line. */
struct parse {
	struct recipe *r;
	struct arena *arena;
	struct recipe_when when;  /* of the section */
	uint64_t number;          /* of the line */
	char *rest;               /* of the line, behind the words that were taken */
	uint32_t part_room;       /* of the woven line at hand */
	struct error *err;
};

static const char *const namings[RECIPE_NAMINGS] = { "hf", "legacy", "mcore", "mcore-train" };

const char *recipe_naming_name(enum recipe_naming naming)
{
	return namings[naming];
}

enum recipe_naming recipe_naming_find(const char *name)
{
	for (uint32_t i = 0; i < RECIPE_NAMINGS; i++)
		if (strcmp(namings[i], name) == 0)
			return (enum recipe_naming)i;
	return RECIPE_NAMINGS;
}

/* The next word of the line, or NULL. Cuts the line. */
static char *next(struct parse *p)
{
	char *start = p->rest + strspn(p->rest, " \t\r"), *end = start + strcspn(start, " \t\r");

	p->rest = *end ? end + 1 : end;
	*end = '\0';
	return *start ? start : NULL;
}

static int expected(const struct parse *p, const char *what, const char *found)
{
	return error_set(p->err, -EINVAL, "expected %s, found %s%s%s", what, found ? "\"" : "", found ? found : "the end of the line",
			 found ? "\"" : "");
}

static int at_end(struct parse *p)
{
	const char *more = next(p);

	return more ? expected(p, "the end of the line", more) : 0;
}

static char *kept(const struct parse *p, const char *word)
{
	return word ? arena_strndup(p->arena, word, strlen(word)) : NULL;
}

static int parse_family(struct parse *p)
{
	p->r->family = kept(p, next(p));
	return p->r->family ? at_end(p) : expected(p, "a name", NULL);
}

/* All words of the line into a list that has room for `most`. */
static int parse_list(struct parse *p, const char **list, uint32_t *count, uint32_t most)
{
	char *word;

	while ((word = next(p))) {
		if (*count == most)
			return error_set(p->err, -EINVAL, "more than %u of them", most);
		list[*count] = kept(p, word);
		if (!list[(*count)++])
			return error_nomem(p->err);
	}
	return *count ? 0 : expected(p, "a name", NULL);
}

static int parse_types(struct parse *p)
{
	return parse_list(p, p->r->types, &p->r->type_count, RECIPE_TYPES);
}

static int parse_optimizer(struct parse *p)
{
	return parse_list(p, p->r->prefixes, &p->r->prefix_count, RECIPE_PREFIXES);
}

/* A literal, or a number of above. */
static int parse_term(struct parse *p, uint32_t *word, uint64_t *literal)
{
	const char *text = next(p);
	char *end;

	*word = FACTORS_NONE;
	if (!text)
		return expected(p, "a number", NULL);
	if (*text >= '0' && *text <= '9') {
		*literal = strtoull(text, &end, 10);
		return *end || strlen(text) > 9 ? expected(p, "a number", text) : 0;
	}
	*word = names_find(&p->r->words, text);
	return *word == NAMES_NONE || p->r->word[*word].kind != RECIPE_NUMBER ? expected(p, "a number that was declared", text) : 0;
}

/* N, or N OPERATOR N where `operators` is set. */
static int parse_value(struct parse *p, bool operators, struct recipe_value *v)
{
	int code = parse_term(p, &v->a, &v->literal_a);
	const char *op = code == 0 && operators ? next(p) : NULL;

	if (!op)
		return code;
	if (strlen(op) != 1 || !strchr("+-*/", *op))
		return expected(p, "one of + - * /", op);
	v->operator = *op;
	return parse_term(p, &v->b, &v->literal_b);
}

/* A new word of the recipe. */
static int declare(struct parse *p, struct recipe_word **out)
{
	char *name = kept(p, next(p));
	uint32_t before = p->r->words.count, n;

	if (!name)
		return expected(p, "a name", NULL);
	if (strspn(name, "abcdefghijklmnopqrstuvwxyz_") != strlen(name))
		return expected(p, "a name of small letters", name);
	n = names_add(&p->r->words, name);
	if (n != before || n >= FACTORS_WORDS)
		return error_set(p->err, -EINVAL, n < before ? "\"%s\" is declared twice" : "too many words at \"%s\"", name);
	*out = &p->r->word[n];
	return 0;
}

static int parse_number(struct parse *p)
{
	struct recipe_word *w;
	int code = declare(p, &w);
	const char *word = code == 0 ? next(p) : NULL;

	if (code == 0 && word && strcmp(word, "|") != 0) {
		w->key = kept(p, word);
		word = next(p);
	}
	if (code == 0 && word && strcmp(word, "|") != 0)
		return expected(p, "\"|\"", word);
	if (code == 0 && word) {
		w->has_value = true;
		code = parse_value(p, true, &w->value);
	}
	if (code == 0 && !w->key && !w->has_value)
		return expected(p, "a key or a value", NULL);
	if (code == 0)
		w->kind = RECIPE_NUMBER;
	return code == 0 ? at_end(p) : code;
}

static int parse_index(struct parse *p)
{
	struct recipe_word *w;
	int code = declare(p, &w);

	if (code == 0)
		code = parse_value(p, false, &w->value);
	if (code == 0)
		code = parse_value(p, true, &w->end);
	if (code == 0)
		w->kind = RECIPE_INDEX;
	return code == 0 ? at_end(p) : code;
}

static uint32_t find_flag(const struct recipe *r, const char *name)
{
	uint32_t i = 0;

	while (i < r->flag_count && strcmp(r->flags[i].name, name) != 0)
		i++;
	return i;
}

static int add_flag(struct parse *p, bool option)
{
	struct recipe *r = p->r;
	const char *name = kept(p, next(p)), *key = kept(p, next(p)), *bar = next(p), *value = next(p);

	if (!name || !key || !bar || strcmp(bar, "|") != 0 || !value || (strcmp(value, "true") != 0 && strcmp(value, "false") != 0))
		return expected(p, "NAME KEY | true or false", value);
	if (r->flag_count == RECIPE_FLAGS || find_flag(r, name) < r->flag_count)
		return error_set(p->err, -EINVAL, "flag \"%s\" is declared twice, or is one too many", name);
	r->flags[r->flag_count++] = (struct recipe_flag){ .name = name, .key = key, .value = *value == 't', .option = option };
	return at_end(p);
}

static int parse_flag(struct parse *p)
{
	return add_flag(p, false);
}

static int parse_option(struct parse *p)
{
	return add_flag(p, true);
}

static int parse_expect(struct parse *p)
{
	const char *key = kept(p, next(p)), *value = kept(p, next(p));

	if (!key || !value)
		return expected(p, "KEY VALUE", NULL);
	if (p->r->expect_count == RECIPE_EXPECTS)
		return error_set(p->err, -EINVAL, "more than %d of them", RECIPE_EXPECTS);
	p->r->expects[p->r->expect_count++] = (struct pair){ key, value };
	return at_end(p);
}

/* A name, whose words in braces are indexes. */
static int parse_name(struct parse *p, const char *word, struct pattern *out)
{
	int code = word ? pattern_parse(word, &p->r->words, p->arena, out, p->err) : expected(p, "a tensor's name", NULL);

	for (uint32_t i = 0; code == 0 && i < out->count; i++)
		if (p->r->word[out->index[i]].kind != RECIPE_INDEX)
			return error_set(p->err, -EINVAL, "\"%s\": {%s} is no index", word, p->r->words.name[out->index[i]]);
	return code;
}

static int parse_extra(struct parse *p)
{
	int code = 0;

	for (char *word = next(p); code == 0 && word; word = next(p))
		code = parse_name(p, word, &p->r->extras[p->r->extra_count++]);
	return code;
}

/* "[not] FLAG"... */
static int parse_conditions(struct parse *p)
{
	for (char *word = next(p); word; word = next(p)) {
		bool not = strcmp(word, "not") == 0;
		uint32_t flag;

		if (not && !(word = next(p)))
			return expected(p, "a flag", NULL);
		flag = find_flag(p->r, word);
		if (flag == p->r->flag_count)
			return expected(p, "a flag that was declared", word);
		if (not)
			p->when.forbids |= UINT32_C(1) << flag;
		else
			p->when.needs |= UINT32_C(1) << flag;
	}
	return p->when.needs || p->when.forbids ? 0 : expected(p, "a flag", NULL);
}

static int parse_names(struct parse *p)
{
	char *word;

	p->when = (struct recipe_when){ 0 };
	while ((word = next(p)) && strcmp(word, "if") != 0) {
		enum recipe_naming n = recipe_naming_find(word);

		if (n == RECIPE_NAMINGS || n == RECIPE_HF)
			return expected(p, "legacy, mcore or mcore-train", word);
		p->when.namings |= UINT32_C(1) << n;
	}
	if (!p->when.namings)
		return expected(p, "legacy, mcore or mcore-train", word);
	return word ? parse_conditions(p) : 0;
}

static int in_section(const struct parse *p)
{
	return p->when.namings ? 0 : error_set(p->err, -EINVAL, "no `names` line before it");
}

static int parse_drop(struct parse *p)
{
	int code = in_section(p);

	for (char *word = next(p); code == 0 && word; word = next(p)) {
		p->r->drops[p->r->drop_count].when = p->when;
		code = parse_name(p, word, &p->r->drops[p->r->drop_count++].hf);
	}
	return code;
}

static struct recipe_line *new_line(struct parse *p, uint32_t parts)
{
	struct recipe_line *line = &p->r->lines[p->r->line_count++];

	*line = (struct recipe_line){ .when = p->when, .number = p->number, .parts = arena_alloc(p->arena, parts, sizeof(*line->parts)) };
	p->part_room = parts;
	return line->parts ? line : NULL;
}

/* "NAME : SHAPE" */
static int parse_shaped(struct parse *p, struct pattern *name, struct factors *shape)
{
	int code = parse_name(p, next(p), name);
	const char *colon = code == 0 ? next(p) : NULL;

	if (code < 0)
		return code;
	if (!colon || strcmp(colon, ":") != 0)
		return expected(p, "\":\" and a shape", colon);
	return factors_parse(p->rest, &p->r->words, shape, p->err);
}

static int parse_weave(struct parse *p)
{
	struct recipe_line *line;
	int code = in_section(p);

	if (code < 0)
		return code;
	line = new_line(p, FACTORS_SUM);
	if (!line)
		return error_nomem(p->err);
	line->woven = true;
	return parse_shaped(p, &line->ms, &line->shape);
}

static int parse_of(struct parse *p)
{
	struct recipe_line *line = p->r->line_count ? &p->r->lines[p->r->line_count - 1] : NULL;

	if (!line || !line->woven || line->count == p->part_room)
		return error_set(p->err, -EINVAL, "no `weave` line before it, or too many of them");
	line->count++;
	return parse_shaped(p, &line->parts[line->count - 1].hf, &line->parts[line->count - 1].shape);
}

static int parse_rename(struct parse *p, const char *hf)
{
	const char *ms = next(p);
	struct recipe_line *line;
	int code = in_section(p);

	if (code < 0)
		return code;
	line = new_line(p, 1);
	if (!line)
		return error_nomem(p->err);
	line->count = 1;
	code = parse_name(p, hf, &line->parts[0].hf);
	if (code == 0)
		code = parse_name(p, ms, &line->ms);
	return code == 0 ? at_end(p) : code;
}

static const struct {
	const char *word;
	int (*parse)(struct parse *p);
} statements[] = {
	{ "family", parse_family }, { "model_type", parse_types }, { "number", parse_number }, { "flag", parse_flag },
	{ "option", parse_option }, { "expect", parse_expect }, { "index", parse_index }, { "optimizer", parse_optimizer },
	{ "extra", parse_extra }, { "names", parse_names }, { "drop", parse_drop }, { "weave", parse_weave }, { "of", parse_of },
};

static int parse_line(struct parse *p)
{
	const char *word = next(p);

	if (!word || *word == '#')
		return 0;
	for (size_t i = 0; i < sizeof(statements) / sizeof(*statements); i++)
		if (strcmp(word, statements[i].word) == 0)
			return statements[i].parse(p);
	return parse_rename(p, word);
}

static int parse_lines(struct parse *p, char *text)
{
	int code = 0;

	while (code == 0 && text) {
		char *end = strchr(text, '\n');

		if (end)
			*end++ = '\0';
		p->rest = text;
		p->number++;
		if (p->number > LINES_MAX)
			return error_set(p->err, -EINVAL, "more than %d lines", LINES_MAX);
		code = parse_line(p);
		if (code < 0)
			return error_prefix(p->err, code, "line %llu", (unsigned long long)p->number);
		text = end;
	}
	return 0;
}

/* At most so many parts has a text that any of these bytes separates. */
static uint64_t count_of(const char *text, const char *separators)
{
	uint64_t n = 1;

	for (text = strpbrk(text, separators); text; text = strpbrk(text + 1, separators))
		n++;
	return n;
}

int recipe_parse(struct bytes text, struct arena *arena, struct recipe **out, struct error *err)
{
	struct recipe *r = arena_alloc(arena, 1, sizeof(*r));
	struct parse p = { .r = r, .arena = arena, .err = err };
	char *copy = arena_strndup(arena, text.len ? (const char *)text.ptr : "", text.len);
	int code;

	if (!r || !copy)
		return error_nomem(err);
	if (strlen(copy) != text.len)
		return error_set(err, -EINVAL, "a NUL at byte %zu", strlen(copy));
	r->words = names_new(arena);
	r->lines = arena_alloc(arena, count_of(copy, "\n"), sizeof(*r->lines));
	r->drops = arena_alloc(arena, count_of(copy, " \t\n"), sizeof(*r->drops));
	r->extras = arena_alloc(arena, count_of(copy, " \t\n"), sizeof(*r->extras));
	if (!r->lines || !r->drops || !r->extras || names_add(&r->words, "1") != FACTORS_ONE)
		return error_nomem(err);
	code = parse_lines(&p, copy);
	*out = r;
	return code == 0 ? recipe_check(r, err) : code;
}
