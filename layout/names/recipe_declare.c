/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "layout/names/recipe_declare.h"

/* The next word of the line, or NULL. Cuts the line. */
char *recipe_declare_word(struct recipe_parsing *p)
{
	char *start = p->rest + strspn(p->rest, " \t\r"), *end = start + strcspn(start, " \t\r");

	p->rest = *end ? end + 1 : end;
	*end = '\0';
	return *start ? start : NULL;
}

int recipe_declare_expected(const struct recipe_parsing *p, const char *what, const char *found)
{
	return error_set(p->err, -EINVAL, "expected %s, found %s%s%s", what, found ? "\"" : "", found ? found : "the end of the line",
			 found ? "\"" : "");
}

int recipe_declare_end(struct recipe_parsing *p)
{
	const char *more = recipe_declare_word(p);

	return more ? recipe_declare_expected(p, "the end of the line", more) : 0;
}

static char *kept(const struct recipe_parsing *p, const char *word)
{
	return word ? arena_strndup(p->arena, word, strlen(word)) : NULL;
}

static int parse_family(struct recipe_parsing *p)
{
	p->r->family = kept(p, recipe_declare_word(p));
	return p->r->family ? recipe_declare_end(p) : recipe_declare_expected(p, "a name", NULL);
}

/* All words of the line into a list that has room for `most`. */
static int parse_list(struct recipe_parsing *p, const char **list, uint32_t *count, uint32_t most)
{
	char *word;

	while ((word = recipe_declare_word(p))) {
		if (*count == most)
			return error_set(p->err, -EINVAL, "more than %u of them", most);
		list[*count] = kept(p, word);
		if (!list[(*count)++])
			return error_nomem(p->err);
	}
	return *count ? 0 : recipe_declare_expected(p, "a name", NULL);
}

static int parse_types(struct recipe_parsing *p)
{
	return parse_list(p, p->r->types, &p->r->type_count, RECIPE_TYPES);
}

static int parse_optimizer(struct recipe_parsing *p)
{
	return parse_list(p, p->r->prefixes, &p->r->prefix_count, RECIPE_PREFIXES);
}

/* A literal, or a number of above. */
static int parse_term(struct recipe_parsing *p, uint32_t *word, uint64_t *literal)
{
	const char *text = recipe_declare_word(p);
	char *end;

	*word = FACTORS_NONE;
	if (!text)
		return recipe_declare_expected(p, "a number", NULL);
	if (*text >= '0' && *text <= '9') {
		*literal = strtoull(text, &end, 10);
		return *end || strlen(text) > 9 ? recipe_declare_expected(p, "a number", text) : 0;
	}
	*word = names_find(&p->r->words, text);
	return *word == NAMES_NONE || p->r->word[*word].kind != RECIPE_NUMBER
		       ? recipe_declare_expected(p, "a number that was declared", text)
		       : 0;
}

/* True when a word of letters comes next. */
static bool at_word(const struct recipe_parsing *p)
{
	const char *next = p->rest + strspn(p->rest, " \t\r");

	return *next >= 'a' && *next <= 'z';
}

/* N, or N OPERATOR N where `operators` is set. */
static int parse_value(struct recipe_parsing *p, bool operators, struct recipe_value *v)
{
	int code = parse_term(p, &v->a, &v->literal_a);
	const char *op = code == 0 && operators && !at_word(p) ? recipe_declare_word(p) : NULL;

	if (!op)
		return code;
	if (strlen(op) != 1 || !strchr("+-*/", *op))
		return recipe_declare_expected(p, "one of + - * /", op);
	v->op = *op;
	return parse_term(p, &v->b, &v->literal_b);
}

/* A new word of the recipe. */
static int declare(struct recipe_parsing *p, struct recipe_word **out)
{
	char *name = kept(p, recipe_declare_word(p));
	uint32_t before = p->r->words.count, n;

	if (!name)
		return recipe_declare_expected(p, "a name", NULL);
	if (strspn(name, "abcdefghijklmnopqrstuvwxyz_") != strlen(name))
		return recipe_declare_expected(p, "a name of small letters", name);
	n = names_add(&p->r->words, name);
	if (n != before || n >= FACTORS_WORDS)
		return error_set(p->err, -EINVAL, n < before ? "\"%s\" is declared twice" : "too many words at \"%s\"", name);
	*out = &p->r->word[n];
	return 0;
}

static int parse_number(struct recipe_parsing *p)
{
	struct recipe_word *w;
	int code = declare(p, &w);
	const char *word = code == 0 ? recipe_declare_word(p) : NULL;

	if (code == 0 && word && strcmp(word, "|") != 0) {
		w->key = kept(p, word);
		word = recipe_declare_word(p);
	}
	if (code == 0 && word && strcmp(word, "|") != 0)
		return recipe_declare_expected(p, "\"|\"", word);
	if (code == 0 && word) {
		w->has_value = true;
		code = parse_value(p, true, &w->value);
	}
	if (code == 0 && !w->key && !w->has_value)
		return recipe_declare_expected(p, "a key or a value", NULL);
	if (code == 0)
		w->kind = RECIPE_NUMBER;
	return code == 0 ? recipe_declare_end(p) : code;
}

/* An index declared before that leaves out no other's, so that nothing goes round in circles. */
static int parse_but(struct recipe_parsing *p, struct recipe_word *w)
{
	const char *text = recipe_declare_word(p);
	uint32_t n = text ? names_find(&p->r->words, text) : NAMES_NONE;

	if (n == NAMES_NONE || p->r->word[n].kind != RECIPE_INDEX || p->r->word[n].but != FACTORS_NONE)
		return recipe_declare_expected(p, "an index that was declared, without a `but` of its own", text);
	w->but = n;
	return 0;
}

static int parse_clause(struct recipe_parsing *p, const char *word, struct recipe_word *w)
{
	if (strcmp(word, "every") == 0 && !w->has_every) {
		w->has_every = true;
		return parse_value(p, false, &w->every);
	}
	if (strcmp(word, "without") == 0 && !w->without) {
		w->without = kept(p, recipe_declare_word(p));
		return w->without ? 0 : recipe_declare_expected(p, "a key", NULL);
	}
	if (strcmp(word, "but") == 0 && w->but == FACTORS_NONE)
		return parse_but(p, w);
	return recipe_declare_expected(p, "every, without or but, each once", word);
}

static int parse_index(struct recipe_parsing *p)
{
	struct recipe_word *w;
	const char *word;
	int code = declare(p, &w);

	if (code == 0)
		code = parse_value(p, false, &w->value);
	if (code == 0)
		code = parse_value(p, true, &w->end);
	if (code == 0)
		w->but = FACTORS_NONE;
	while (code == 0 && (word = recipe_declare_word(p)))
		code = parse_clause(p, word, w);
	if (code == 0)
		w->kind = RECIPE_INDEX;
	return code;
}

uint32_t recipe_declare_flag(const struct recipe *r, const char *name)
{
	uint32_t i = 0;

	while (i < r->flag_count && strcmp(r->flags[i].name, name) != 0)
		i++;
	return i;
}

static int add_flag(struct recipe_parsing *p, bool option)
{
	struct recipe *r = p->r;
	const char *name = kept(p, recipe_declare_word(p)), *key = kept(p, recipe_declare_word(p)), *bar = recipe_declare_word(p),
		   *value = recipe_declare_word(p);

	if (!name || !key || !bar || strcmp(bar, "|") != 0 || !value || (strcmp(value, "true") != 0 && strcmp(value, "false") != 0))
		return recipe_declare_expected(p, "NAME KEY | true or false", value);
	if (r->flag_count == RECIPE_FLAGS || recipe_declare_flag(r, name) < r->flag_count)
		return error_set(p->err, -EINVAL, "flag \"%s\" is declared twice, or is one too many", name);
	r->flags[r->flag_count++] = (struct recipe_flag){ .name = name, .key = key, .value = *value == 't', .option = option };
	return recipe_declare_end(p);
}

static int parse_flag(struct recipe_parsing *p)
{
	return add_flag(p, false);
}

static int parse_option(struct recipe_parsing *p)
{
	return add_flag(p, true);
}

static int parse_expect(struct recipe_parsing *p)
{
	const char *key = kept(p, recipe_declare_word(p)), *value = kept(p, recipe_declare_word(p));

	if (!key || !value)
		return recipe_declare_expected(p, "KEY VALUE", NULL);
	if (p->r->expect_count == RECIPE_EXPECTS)
		return error_set(p->err, -EINVAL, "more than %d of them", RECIPE_EXPECTS);
	p->r->expects[p->r->expect_count++] = (struct pair){ key, value };
	return recipe_declare_end(p);
}

static const struct {
	const char *word;
	int (*parse)(struct recipe_parsing *p);
} statements[] = {
	{ "family", parse_family }, { "model_type", parse_types }, { "number", parse_number }, { "flag", parse_flag },
	{ "option", parse_option }, { "expect", parse_expect }, { "index", parse_index }, { "optimizer", parse_optimizer },
};

bool recipe_declare(struct recipe_parsing *p, const char *word, int *code)
{
	for (size_t i = 0; i < sizeof(statements) / sizeof(*statements); i++)
		if (strcmp(word, statements[i].word) == 0) {
			*code = statements[i].parse(p);
			return true;
		}
	return false;
}
