/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The names of a checkpoint are mostly those of one layer after the other, so a name's line is guessed from those before, and searched
 * for only where the guess is wrong. A guess is no less certain than a search: it must match, and no other line may have such names.
 */
#include <errno.h>
#include <string.h>

#include "layout/names/naming.h"

#define FORMS 64  /* ways of reading names that are tried */
#define PERIOD 48 /* names of a layer, or of an expert, at most, for them to be guessed */

/* What every name that a pattern matches begins with. */
static uint64_t front_len(const struct pattern *p)
{
	return p->count ? p->head_len : p->text_len;
}

static uint64_t shorter(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* True when no name can match both: they begin or end differently. */
static bool are_apart(const struct pattern *a, const struct pattern *b)
{
	uint64_t front = shorter(front_len(a), front_len(b)), tail = shorter(a->tail_len, b->tail_len);

	return memcmp(a->text, b->text, front) != 0 || memcmp(a->tail + a->tail_len - tail, b->tail + b->tail_len - tail, tail) != 0;
}

/* True when a name could be optimizer state. */
static bool has_prefix(const struct recipe *r, const struct pattern *p)
{
	bool has = false;

	for (uint32_t i = 0; i < r->prefix_count; i++)
		has |= memcmp(p->text, r->prefixes[i], shorter(front_len(p), strlen(r->prefixes[i]))) == 0;
	return has;
}

/* True when no other line, or part of one, has names of this match. */
static bool is_alone(const struct figures *f, const struct naming_form *form, const struct naming_match *match)
{
	const struct pattern *own = naming_pattern(form, match->line, match->part);
	bool alone = !has_prefix(f->recipe, own);

	for (uint32_t i = 0; alone && i < f->recipe->line_count; i++) {
		const struct recipe_line *line = &f->recipe->lines[i];

		for (uint32_t part = 0; alone && part < naming_parts(form, line) && naming_holds(f, form, line); part++)
			alone = naming_pattern(form, line, part) == own || are_apart(own, naming_pattern(form, line, part));
	}
	return alone;
}

/* What came next the last time that a name was like the one before number i; NULL when it never was, or long ago. */
static const struct naming_match *guess(const struct naming_match *matches, uint64_t i)
{
	uint64_t lowest = i > PERIOD ? i - PERIOD : 0;

	for (uint64_t k = i; k-- > lowest + 1;)
		if (matches[k - 1].line == matches[i - 1].line && matches[k - 1].part == matches[i - 1].part)
			return &matches[k];
	return NULL;
}

static bool is_right(const struct figures *f, const struct naming_form *form, const struct naming_match *guessed, const char *name)
{
	uint64_t values[FACTORS_WORDS];

	return guessed && guessed->alone &&
	       naming_matches(f, naming_pattern(form, guessed->line, guessed->part), name, strlen(name), values);
}

static bool search(const struct figures *f, const struct naming_form *form, const char *name, struct naming_match *out)
{
	struct naming_found found;

	if (!naming_find(f, form, name, &found))
		return false;
	*out = (struct naming_match){ found.prefix[0] ? NULL : found.line, found.part, false };
	out->alone = out->line && is_alone(f, form, out);
	return true;
}

/* True when all names match. */
static bool match_all(const struct figures *f, const struct naming_form *form, const struct tensor *t, uint64_t count,
		      struct naming_match *matches)
{
	for (uint64_t i = 0; i < count; i++) {
		const struct naming_match *guessed = guess(matches, i);

		if (is_right(f, form, guessed, t[i].name))
			matches[i] = *guessed;
		else if (!search(f, form, t[i].name, &matches[i]))
			return false;
	}
	return true;
}

static uint32_t namings_of(const struct recipe *r)
{
	uint32_t bits = 0;

	for (uint32_t i = 0; i < r->line_count; i++)
		bits |= r->lines[i].when.namings;
	return bits;
}

static uint32_t options_of(const struct recipe *r)
{
	uint32_t bits = 0;

	for (uint32_t i = 0; i < r->flag_count; i++)
		bits |= (uint32_t)r->flags[i].option << i;
	return bits;
}

static void add_form(struct naming_form *forms, uint32_t *count, struct naming_form form)
{
	if (*count < FORMS)
		forms[(*count)++] = form;
}

/* MindSpore's namings, each under all values of the options, the figures' own first; then Hugging Face's. */
static uint32_t list_forms(const struct figures *f, enum recipe_naming to, struct naming_form *forms)
{
	uint32_t options = options_of(f->recipe), namings = namings_of(f->recipe), count = 0;

	for (uint32_t n = 1; n < RECIPE_NAMINGS; n++)
		for (uint32_t change = 0; namings >> n & 1 && count < FORMS / 2; change = (change - options) & options) {
			add_form(forms, &count, (struct naming_form){ (enum recipe_naming)n, f->flags ^ change, false });
			if (change == options)
				break;
		}
	for (uint32_t n = 1; n < RECIPE_NAMINGS; n++)
		if (namings >> n & 1 && (to == RECIPE_HF || to == n))
			add_form(forms, &count, (struct naming_form){ (enum recipe_naming)n, f->flags, true });
	return count;
}

/* How many names match, and the first that does not. */
static uint64_t count_matches(const struct figures *f, const struct naming_form *form, const struct tensor *t, uint64_t count, const char **bad)
{
	struct naming_found found;
	uint64_t n = 0;

	*bad = NULL;
	for (uint64_t i = 0; i < count; i++) {
		bool has = naming_find(f, form, t[i].name, &found);

		n += has;
		if (!has && !*bad)
			*bad = t[i].name;
	}
	return n;
}

/* No form has all names: tells of the one that has most. */
static int refuse(const struct figures *f, const struct naming_form *forms, uint32_t n, const struct tensor *t, uint64_t count,
		  struct error *err)
{
	const struct naming_form *best = forms;
	const char *bad, *worst = "";
	uint64_t most = 0;

	for (uint32_t i = 0; i < n; i++) {
		uint64_t has = count_matches(f, &forms[i], t, count, &bad);

		if (i == 0 || has > most) {
			most = has;
			worst = bad;
			best = &forms[i];
		}
	}
	if (most == 0)
		return error_set(err, -EINVAL, "recipe \"%s\": no tensor has a name that it knows; the first is \"%s\"", f->recipe->family,
				 worst);
	return error_set(err, -EINVAL, "recipe \"%s\": tensor \"%s\" matches no line, while %llu of %llu match the %s names",
			 f->recipe->family, worst, (unsigned long long)most, (unsigned long long)count, naming_text(best));
}

static int need_indexes(const struct figures *f, struct error *err)
{
	int code = 0;

	for (uint32_t w = 0; code == 0 && w < f->recipe->words.count; w++)
		if (f->recipe->word[w].kind == RECIPE_INDEX)
			code = figures_need(f, w, err);
	return code;
}

int naming_recognise(const struct figures *f, const struct tensor *tensors, uint64_t count, enum recipe_naming to,
		     struct naming_match *matches, struct naming_form *out, struct error *err)
{
	struct naming_form forms[FORMS];
	uint32_t n = list_forms(f, to, forms);
	int code = need_indexes(f, err);

	if (code == 0 && to != RECIPE_HF && !(namings_of(f->recipe) >> to & 1))
		return error_set(err, -EINVAL, "recipe \"%s\" has no %s names", f->recipe->family, recipe_naming_name(to));
	for (uint32_t i = 0; code == 0 && i < n; i++)
		if (match_all(f, &forms[i], tensors, count, matches)) {
			*out = forms[i];
			return 0;
		}
	return code < 0 ? code : refuse(f, forms, n, tensors, count, err);
}
