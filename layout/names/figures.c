/* SPDX-License-Identifier: Apache-2.0 */
/* Words are declared before they are used, so one pass in their order finds every value. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "layout/base/text.h"
#include "layout/names/figures.h"

#define GAPS_MOST 65536 /* the end of an index with gaps: it is a layer's number */

/* What reading carries along. */
struct reading {
	const struct figures_config *config;
	struct arena *arena;
	struct figures *f;
	struct error *err;
};

/* "[1,2]" */
static const char *list_text(const json *list, struct arena *arena)
{
	struct text text = TEXT_EMPTY;
	const char *out = "another kind of value";
	bool numbers = true;
	uint64_t n;

	for (const json *v = json_first(list); numbers && v; v = json_next(v)) {
		numbers = json_u64(v, &n);
		text_add(&text, "%s%llu", text.len ? "," : "", (unsigned long long)n);
	}
	if (numbers)
		out = text.failed ? NULL : arena_printf(arena, "[%s]", text.len ? text.ptr : "");
	text_free(&text);
	return out;
}

const char *figures_value(const struct figures_config *config, const char *key, struct arena *arena)
{
	const json *v;
	uint64_t n;
	bool truth;

	for (uint64_t i = 0; i < config->own_count; i++)
		if (strcmp(config->own[i].key, key) == 0)
			return config->own[i].value;
	v = config->json ? json_get(config->json, key) : NULL;
	if (!v || json_is_null(v))
		return NULL;
	if (json_is_string(v))
		return json_string(v);
	if (json_u64(v, &n))
		return arena_printf(arena, "%llu", (unsigned long long)n);
	if (json_bool(v, &truth))
		return truth ? "true" : "false";
	return json_is_array(v) ? list_text(v, arena) : "another kind of value";
}

static int read_u64(const struct reading *r, const char *key, const char *text, uint64_t *out)
{
	if (strspn(text, "0123456789") != strlen(text) || !*text || strlen(text) > 15)
		return error_set(r->err, -EINVAL, "%s: expected a whole number, found %s", key, text);
	*out = strtoull(text, NULL, 10);
	return 0;
}

/* A term's value; false when it has none, with the word that lacks one. */
static bool term(const struct figures *f, uint32_t word, uint64_t literal, uint64_t *out, uint32_t *lacks)
{
	*out = word == FACTORS_NONE ? literal : f->sizes.value[word];
	if (word == FACTORS_NONE || f->known[word])
		return true;
	*lacks = f->lacks[word];
	return false;
}

/* False when the result is no whole number of 64 bits. */
static bool operate(char op, uint64_t a, uint64_t b, uint64_t *out)
{
	*out = op == '-' ? a - b : b ? a / b : 0;
	switch (op) {
	case '+':
		return bytes_add(a, b, out);
	case '*':
		return bytes_mul(a, b, out);
	case '-':
		return b <= a;
	default:
		return b && a % b == 0;
	}
}

/* The value of an expression; *known tells whether it has one. */
static int evaluate(const struct reading *r, uint32_t word, const struct recipe_value *v, uint64_t *out, bool *known)
{
	uint64_t a, b = 0;

	*known = term(r->f, v->a, v->literal_a, &a, &r->f->lacks[word]) &&
		 (!v->op || term(r->f, v->b, v->literal_b, &b, &r->f->lacks[word]));
	*out = a;
	if (!*known || !v->op || operate(v->op, a, b, out))
		return 0;
	return error_set(r->err, -EINVAL, "%s: %llu %c %llu is no whole number", r->f->recipe->words.name[word], (unsigned long long)a, v->op,
			 (unsigned long long)b);
}

static int read_number(const struct reading *r, uint32_t word)
{
	const struct recipe_word *w = &r->f->recipe->word[word];
	const char *text = w->key ? figures_value(r->config, w->key, r->arena) : NULL;

	r->f->lacks[word] = word;
	r->f->known[word] = text != NULL;
	if (text)
		return read_u64(r, w->key, text, &r->f->sizes.value[word]);
	return w->has_value ? evaluate(r, word, &w->value, &r->f->sizes.value[word], &r->f->known[word]) : 0;
}

/* Steps over a number and the blanks around it. */
static bool next_number(const char **at, uint64_t *out)
{
	char *after;

	*at += strspn(*at, " ");
	if (**at < '0' || **at > '9')
		return false;
	*out = strtoull(*at, &after, 10);
	*at = after + strspn(after, " ");
	return true;
}

/* Takes the numbers of the list `key`, "[1, 2]", out of has [end]. */
static int take_out(const struct reading *r, const char *key, uint8_t *has, uint64_t end)
{
	const char *text = figures_value(r->config, key, r->arena), *at = text ? text : "[]";
	bool good = *at == '[', more = good && at[1 + strspn(at + 1, " ")] != ']';
	uint64_t n;

	for (at += good; more; more = good && *at == ',', at += more) {
		good = next_number(&at, &n);
		if (good && n < end)
			has[n] = 0;
	}
	at += strspn(at, " ");
	return good && strcmp(at, "]") == 0 ? 0 : error_set(r->err, -EINVAL, "%s: expected a list of whole numbers, found %s", key, text);
}

/* What a user knows `word` as, or where that is a literal, the index that it is for. */
static const char *name_of(const struct recipe *recipe, uint32_t word, uint32_t index)
{
	const char *key = word == FACTORS_NONE ? NULL : recipe->word[word].key;

	return key ? key : recipe->words.name[word == FACTORS_NONE ? index : word];
}

/* Which numbers an index with gaps has. */
static int find_gaps(const struct reading *r, uint32_t word, const struct recipe_word *w, uint8_t *has)
{
	struct figures *f = r->f;
	uint64_t every = 1;
	bool known = true;
	int code = w->has_every ? evaluate(r, word, &w->every, &every, &known) : 0;

	f->known[word] &= known;
	if (code < 0 || !known)
		return code;
	if (every == 0)
		return error_set(r->err, -EINVAL, "%s: expected at least 1, found 0", name_of(f->recipe, w->every.a, word));
	for (uint64_t n = f->first[word]; n < f->end[word]; n++)
		has[n] = (n + 1) % every == 0 && (w->but == FACTORS_NONE || !figures_has(f, w->but, n));
	return w->without ? take_out(r, w->without, has, f->end[word]) : 0;
}

static int leave_gaps(const struct reading *r, uint32_t word)
{
	struct figures *f = r->f;
	uint8_t *has = f->end[word] <= GAPS_MOST ? arena_alloc(r->arena, f->end[word], 1) : NULL;
	uint64_t count = 0, first = f->end[word];
	int code;

	if (f->end[word] > GAPS_MOST)
		return error_set(r->err, -EINVAL, "%s: more than %d of them", f->recipe->words.name[word], GAPS_MOST);
	if (!has)
		return error_nomem(r->err);
	code = find_gaps(r, word, &f->recipe->word[word], has);
	for (uint64_t n = f->end[word]; n-- > f->first[word];)
		if (has[n]) {
			count++;
			first = n;
		}
	f->has[word] = has;
	f->first[word] = first;
	f->sizes.value[word] = count;
	return code;
}

static int read_index(const struct reading *r, uint32_t word)
{
	const struct recipe_word *w = &r->f->recipe->word[word];
	struct figures *f = r->f;
	bool known = false;
	int code = evaluate(r, word, &w->value, &f->first[word], &known);

	if (code == 0 && known)
		code = evaluate(r, word, &w->end, &f->end[word], &known);
	f->known[word] = known;
	if (f->end[word] < f->first[word])
		f->end[word] = f->first[word];
	f->sizes.value[word] = f->end[word] - f->first[word];
	return code == 0 && known && recipe_has_gaps(f->recipe, word) ? leave_gaps(r, word) : code;
}

bool figures_has(const struct figures *f, uint32_t word, uint64_t value)
{
	return value >= f->first[word] && value < f->end[word] && (!f->has[word] || f->has[word][value]);
}

bool figures_next(const struct figures *f, uint32_t word, uint64_t *value)
{
	while (++*value < f->end[word])
		if (!f->has[word] || f->has[word][*value])
			return true;
	return false;
}

static int read_words(const struct reading *r)
{
	const struct recipe *recipe = r->f->recipe;
	int code = 0;

	r->f->sizes.value[FACTORS_ONE] = 1;
	for (uint32_t w = 1; code == 0 && w < recipe->words.count; w++)
		if (recipe->word[w].kind != RECIPE_FREE)
			code = recipe->word[w].kind == RECIPE_NUMBER ? read_number(r, w) : read_index(r, w);
	return code;
}

static int read_flags(const struct reading *r)
{
	const struct recipe *recipe = r->f->recipe;

	for (uint32_t i = 0; i < recipe->flag_count; i++) {
		const struct recipe_flag *flag = &recipe->flags[i];
		const char *text = figures_value(r->config, flag->key, r->arena);
		bool truth = text ? strcmp(text, "true") == 0 : flag->value;

		if (text && !truth && strcmp(text, "false") != 0)
			return error_set(r->err, -EINVAL, "%s: expected true or false, found %s", flag->key, text);
		r->f->flags |= (uint32_t)truth << i;
	}
	return 0;
}

static int check_expects(const struct reading *r)
{
	const struct recipe *recipe = r->f->recipe;

	for (uint32_t i = 0; i < recipe->expect_count; i++) {
		const struct pair *e = &recipe->expects[i];
		const char *text = figures_value(r->config, e->key, r->arena);

		if (text && strcmp(text, e->value) != 0)
			return error_set(r->err, -EINVAL, "%s: the recipe \"%s\" is for models that have %s, found %s", e->key,
					 recipe->family, e->value, text);
	}
	return 0;
}

int figures_read(const struct recipe *recipe, const struct figures_config *config, struct arena *arena, struct figures *out,
		 struct error *err)
{
	struct reading r = { .config = config, .arena = arena, .f = out, .err = err };
	int code;

	*out = (struct figures){ .recipe = recipe };
	code = read_words(&r);
	if (code == 0)
		code = read_flags(&r);
	if (code == 0)
		code = check_expects(&r);
	return code;
}

bool figures_hold(const struct recipe_when *when, enum recipe_naming naming, uint32_t flags)
{
	return when->namings >> naming & 1 && (when->needs & ~flags) == 0 && (when->forbids & flags) == 0;
}

int figures_need(const struct figures *f, uint32_t word, struct error *err)
{
	const char *key;

	if (f->known[word])
		return 0;
	key = f->recipe->word[f->lacks[word]].key;
	return error_set(err, -EINVAL, "%s is needed: config.json does not say it, and no set=%s= does",
			 key ? key : f->recipe->words.name[word], key ? key : "");
}
