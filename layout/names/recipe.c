/* SPDX-License-Identifier: Apache-2.0 */
/* The statements about tensors, one function each; those that declare are in recipe_declare.c, and recipe_check.c looks at the whole. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "layout/names/recipe_check.h"
#include "layout/names/recipe_declare.h"

#define LINES_MAX 4096

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

bool recipe_has_gaps(const struct recipe *r, uint32_t word)
{
	const struct recipe_word *w = &r->word[word];

	return w->kind == RECIPE_INDEX && (w->has_every || w->without || w->but != FACTORS_NONE);
}

/* A name, whose words in braces are indexes. */
static int parse_name(struct recipe_parsing *p, const char *word, struct pattern *out)
{
	int code = word ? pattern_parse(word, &p->r->words, p->arena, out, p->err) : recipe_declare_expected(p, "a tensor's name", NULL);

	for (uint32_t i = 0; code == 0 && i < out->count; i++)
		if (p->r->word[out->index[i]].kind != RECIPE_INDEX)
			return error_set(p->err, -EINVAL, "\"%s\": {%s} is no index", word, p->r->words.name[out->index[i]]);
	return code;
}

static int parse_extra(struct recipe_parsing *p)
{
	int code = 0;

	for (char *word = recipe_declare_word(p); code == 0 && word; word = recipe_declare_word(p))
		code = parse_name(p, word, &p->r->extras[p->r->extra_count++]);
	return code;
}

/* "[not] FLAG"... */
static int parse_conditions(struct recipe_parsing *p)
{
	for (char *word = recipe_declare_word(p); word; word = recipe_declare_word(p)) {
		bool not = strcmp(word, "not") == 0;
		uint32_t flag;

		if (not && !(word = recipe_declare_word(p)))
			return recipe_declare_expected(p, "a flag", NULL);
		flag = recipe_declare_flag(p->r, word);
		if (flag == p->r->flag_count)
			return recipe_declare_expected(p, "a flag that was declared", word);
		if (not)
			p->when.forbids |= UINT32_C(1) << flag;
		else
			p->when.needs |= UINT32_C(1) << flag;
	}
	return p->when.needs || p->when.forbids ? 0 : recipe_declare_expected(p, "a flag", NULL);
}

static int parse_names(struct recipe_parsing *p)
{
	char *word;

	p->when = (struct recipe_when){ 0 };
	while ((word = recipe_declare_word(p)) && strcmp(word, "if") != 0) {
		enum recipe_naming n = recipe_naming_find(word);

		if (n == RECIPE_NAMINGS || n == RECIPE_HF)
			return recipe_declare_expected(p, "legacy, mcore or mcore-train", word);
		p->when.namings |= UINT32_C(1) << n;
	}
	if (!p->when.namings)
		return recipe_declare_expected(p, "legacy, mcore or mcore-train", word);
	return word ? parse_conditions(p) : 0;
}

static int in_section(const struct recipe_parsing *p)
{
	return p->when.namings ? 0 : error_set(p->err, -EINVAL, "no `names` line before it");
}

/* All of the line that is left. */
static int parse_why(struct recipe_parsing *p, const char **why)
{
	const char *text = p->rest + strspn(p->rest, " \t\r");
	size_t len = strlen(text);

	while (len && strchr(" \t\r", text[len - 1]))
		len--;
	*why = arena_strndup(p->arena, text, len);
	return !len ? recipe_declare_expected(p, "words", NULL) : *why ? 0 : error_nomem(p->err);
}

static int parse_drop(struct recipe_parsing *p)
{
	uint32_t first = p->r->drop_count;
	const char *why = "these names have no place for it";
	int code = in_section(p);

	for (char *word = recipe_declare_word(p); code == 0 && word; word = recipe_declare_word(p)) {
		if (strcmp(word, ":") == 0) {
			code = parse_why(p, &why);
			break;
		}
		p->r->drops[p->r->drop_count].when = p->when;
		code = parse_name(p, word, &p->r->drops[p->r->drop_count++].hf);
	}
	for (uint32_t i = first; i < p->r->drop_count; i++)
		p->r->drops[i].why = why;
	return code;
}

static int parse_copy(struct recipe_parsing *p)
{
	struct recipe_copy *copy = &p->r->copies[p->r->copy_count++];
	int code = in_section(p);

	copy->when = p->when;
	copy->number = p->number;
	if (code == 0)
		code = parse_name(p, recipe_declare_word(p), &copy->of);
	if (code == 0)
		code = parse_name(p, recipe_declare_word(p), &copy->hf);
	return code == 0 ? recipe_declare_end(p) : code;
}

static struct recipe_line *new_line(struct recipe_parsing *p, uint32_t parts)
{
	struct recipe_line *line = &p->r->lines[p->r->line_count++];

	*line = (struct recipe_line){ .when = p->when, .number = p->number, .parts = arena_alloc(p->arena, parts, sizeof(*line->parts)) };
	p->part_room = parts;
	return line->parts ? line : NULL;
}

/* "NAME : SHAPE" */
static int parse_shaped(struct recipe_parsing *p, struct pattern *name, struct factors *shape)
{
	int code = parse_name(p, recipe_declare_word(p), name);
	const char *colon = code == 0 ? recipe_declare_word(p) : NULL;

	if (code < 0)
		return code;
	if (!colon || strcmp(colon, ":") != 0)
		return recipe_declare_expected(p, "\":\" and a shape", colon);
	return factors_parse(p->rest, &p->r->words, shape, p->err);
}

static int parse_weave(struct recipe_parsing *p)
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

static int parse_of(struct recipe_parsing *p)
{
	struct recipe_line *line = p->r->line_count ? &p->r->lines[p->r->line_count - 1] : NULL;

	if (!line || !line->woven || line->count == p->part_room)
		return error_set(p->err, -EINVAL, "no `weave` line before it, or too many of them");
	line->count++;
	return parse_shaped(p, &line->parts[line->count - 1].hf, &line->parts[line->count - 1].shape);
}

static int parse_rename(struct recipe_parsing *p, const char *hf)
{
	const char *ms = recipe_declare_word(p);
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
	return code == 0 ? recipe_declare_end(p) : code;
}

static const struct {
	const char *word;
	int (*parse)(struct recipe_parsing *p);
} statements[] = {
	{ "extra", parse_extra }, { "names", parse_names }, { "drop", parse_drop }, { "copy", parse_copy }, { "weave", parse_weave },
	{ "of", parse_of },
};

static int parse_line(struct recipe_parsing *p)
{
	const char *word = recipe_declare_word(p);
	int code;

	if (!word || *word == '#')
		return 0;
	for (size_t i = 0; i < sizeof(statements) / sizeof(*statements); i++)
		if (strcmp(word, statements[i].word) == 0)
			return statements[i].parse(p);
	return recipe_declare(p, word, &code) ? code : parse_rename(p, word);
}

static int parse_lines(struct recipe_parsing *p, char *text)
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
	struct recipe_parsing p = { .r = r, .arena = arena, .err = err };
	char *copy = arena_strndup(arena, text.len ? (const char *)text.ptr : "", text.len);
	int code;

	if (!r || !copy)
		return error_nomem(err);
	if (strlen(copy) != text.len)
		return error_set(err, -EINVAL, "a NUL at byte %zu", strlen(copy));
	r->words = names_new(arena);
	r->lines = arena_alloc(arena, count_of(copy, "\n"), sizeof(*r->lines));
	r->copies = arena_alloc(arena, count_of(copy, "\n"), sizeof(*r->copies));
	r->drops = arena_alloc(arena, count_of(copy, " \t\n"), sizeof(*r->drops));
	r->extras = arena_alloc(arena, count_of(copy, " \t\n"), sizeof(*r->extras));
	if (!r->lines || !r->copies || !r->drops || !r->extras || names_add(&r->words, "1") != FACTORS_ONE)
		return error_nomem(err);
	code = parse_lines(&p, copy);
	*out = r;
	return code == 0 ? recipe_check(r, err) : code;
}
