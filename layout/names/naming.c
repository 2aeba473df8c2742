/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "layout/names/naming.h"

#define FORMS 64 /* ways of reading names that are tried */

const char *naming_text(const struct naming_form *form)
{
	return recipe_naming_name(form->hf ? RECIPE_HF : form->naming);
}

/* A name that is looked up, without what comes before it for optimizer state. */
struct name {
	const char *text;
	uint64_t len; /* bytes */
};

/* True when `name` matches and its numbers are in the ranges of their indexes. */
static bool matches(const struct figures *f, const struct pattern *p, struct name name, uint64_t *values)
{
	if (!pattern_match(p, name.text, name.len, values))
		return false;
	for (uint32_t i = 0; i < p->count; i++) {
		uint32_t w = p->index[i];

		if (!figures_has(f, w, values[w]))
			return false;
	}
	return true;
}

/* True for a line that counts: under its conditions, and with a value for each index that only Hugging Face's side has. */
static bool holds(const struct figures *f, const struct naming_form *form, const struct recipe_line *line)
{
	bool any = figures_hold(&line->when, form->naming, form->flags);

	for (uint32_t p = 0; any && p < line->count; p++)
		for (uint32_t i = 0; i < line->parts[p].hf.count; i++)
			any &= f->sizes.value[line->parts[p].hf.index[i]] > 0;
	return any;
}

static bool find_line(const struct figures *f, const struct naming_form *form, struct name name, struct naming_found *out)
{
	const struct recipe *r = f->recipe;

	for (uint32_t i = 0; i < r->line_count; i++) {
		const struct recipe_line *line = &r->lines[i];

		for (out->part = 0; out->part < (form->hf ? line->count : 1); out->part++)
			if (matches(f, form->hf ? &line->parts[out->part].hf : &line->ms, name, out->values) && holds(f, form, line)) {
				out->line = line;
				return true;
			}
	}
	return false;
}

/* Names that are no parameters of the model. */
static bool find_other(const struct figures *f, const struct naming_form *form, struct name name, struct naming_found *out)
{
	const struct recipe *r = f->recipe;

	for (uint32_t i = 0; !form->hf && i < r->extra_count; i++)
		if (matches(f, &r->extras[i], name, out->values))
			return true;
	for (uint32_t i = 0; form->hf && i < r->copy_count; i++)
		if (figures_hold(&r->copies[i].when, form->naming, form->flags) && matches(f, &r->copies[i].hf, name, out->values)) {
			out->copy = &r->copies[i];
			return true;
		}
	for (uint32_t i = 0; form->hf && i < r->drop_count; i++)
		if (figures_hold(&r->drops[i].when, form->naming, form->flags) && matches(f, &r->drops[i].hf, name, out->values)) {
			out->drop = &r->drops[i];
			return true;
		}
	return false;
}

bool naming_find(const struct figures *f, const struct naming_form *form, const char *name, struct naming_found *out)
{
	struct name whole = { name, strlen(name) };

	out->line = NULL;
	out->drop = NULL;
	out->copy = NULL;
	out->prefix = "";
	for (uint32_t i = 0; i < f->recipe->prefix_count; i++) {
		size_t len = strlen(f->recipe->prefixes[i]);

		if (strncmp(name, f->recipe->prefixes[i], len) == 0) {
			out->prefix = f->recipe->prefixes[i];
			return find_line(f, form, (struct name){ name + len, whole.len - len }, out);
		}
	}
	return find_line(f, form, whole, out) || find_other(f, form, whole, out);
}

void naming_find_again(const struct figures *f, const struct naming_form *form, const char *name, const struct naming_match *match,
		       struct naming_found *out)
{
	if (!match->line) {
		naming_find(f, form, name, out);
		return;
	}
	out->line = match->line;
	out->drop = NULL;
	out->copy = NULL;
	out->prefix = "";
	out->part = match->part;
	pattern_match(form->hf ? &match->line->parts[match->part].hf : &match->line->ms, name, strlen(name), out->values);
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

/* True when all names match. */
static bool match_all(const struct figures *f, const struct naming_form *form, const struct tensor *t, uint64_t count,
		      struct naming_match *matches)
{
	struct naming_found found;

	for (uint64_t i = 0; i < count; i++) {
		if (!naming_find(f, form, t[i].name, &found))
			return false;
		matches[i] = (struct naming_match){ found.prefix[0] ? NULL : found.line, found.part };
	}
	return true;
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

bool naming_advance(const struct figures *f, const struct pattern *p, uint64_t *values)
{
	for (uint32_t i = p->count; i-- > 0;) {
		uint32_t w = p->index[i];

		if (figures_next(f, w, &values[w]))
			return true;
		values[w] = f->first[w];
	}
	return false;
}

/* How many names a pattern stands for. */
static uint64_t names_of(const struct figures *f, const struct pattern *p)
{
	uint64_t values[FACTORS_WORDS], n = 0;

	memcpy(values, f->first, sizeof(values));
	do
		n++;
	while (naming_advance(f, p, values));
	return n;
}

/* How many tensors matched each part of each line, one line's parts behind the other's; NULL without memory. */
static uint64_t *count_parts(const struct recipe *r, const struct naming_match *matches, uint64_t count, struct arena *scratch)
{
	uint64_t *first = arena_alloc(scratch, r->line_count + 1, sizeof(*first)), *seen;

	for (uint32_t i = 0; first && i < r->line_count; i++)
		first[i + 1] = first[i] + r->lines[i].count;
	seen = first ? arena_alloc(scratch, first[r->line_count], sizeof(*seen)) : NULL;
	for (uint64_t i = 0; seen && i < count; i++)
		if (matches[i].line)
			seen[first[matches[i].line - r->lines] + matches[i].part]++;
	return seen;
}

/*
 * True when as many tensors matched each part of each line as it stands for names. No two tensors have one name, and a name matches
 * a pattern with one set of numbers only: so they are all there.
 */
static bool is_counted(const struct figures *f, const struct naming_form *form, const uint64_t *seen)
{
	for (uint32_t i = 0; i < f->recipe->line_count; seen += f->recipe->lines[i++].count) {
		const struct recipe_line *line = &f->recipe->lines[i];

		for (uint32_t k = 0; k < (form->hf ? line->count : 1) && holds(f, form, line); k++)
			if (seen[k] != names_of(f, form->hf ? &line->parts[k].hf : &line->ms))
				return false;
	}
	return true;
}

static int check_all_there(const struct figures *f, const struct pattern *p, const struct names *have, struct arena *scratch,
			   struct error *err)
{
	uint64_t values[FACTORS_WORDS];

	memcpy(values, f->first, sizeof(values));
	do {
		const char *name = pattern_format(p, "", values, scratch);

		if (!name)
			return error_nomem(err);
		if (names_find(have, name) == NAMES_NONE)
			return error_set(err, -EINVAL, "tensor \"%s\" is missing: recipe \"%s\" asks for it", name, f->recipe->family);
	} while (naming_advance(f, p, values));
	return 0;
}

/* Finds the name that is missing, if one is. */
static int check_each(const struct figures *f, const struct naming_form *form, const struct tensor *tensors, uint64_t count,
		      struct arena *scratch, struct error *err)
{
	struct names have = names_new(scratch);
	int code = 0;

	for (uint64_t i = 0; code == 0 && i < count; i++)
		if (names_add(&have, tensors[i].name) == NAMES_NONE)
			code = error_nomem(err);
	for (uint32_t i = 0; code == 0 && i < f->recipe->line_count; i++) {
		const struct recipe_line *line = &f->recipe->lines[i];

		if (!holds(f, form, line))
			continue;
		for (uint32_t k = 0; code == 0 && k < (form->hf ? line->count : 1); k++)
			code = check_all_there(f, form->hf ? &line->parts[k].hf : &line->ms, &have, scratch, err);
	}
	return code;
}

int naming_complete(const struct figures *f, const struct naming_form *form, const struct tensor *tensors, uint64_t count,
		    const struct naming_match *matches, struct error *err)
{
	struct arena *scratch = arena_new();
	uint64_t *seen = scratch ? count_parts(f->recipe, matches, count, scratch) : NULL;
	int code = seen ? 0 : error_nomem(err);

	if (code == 0 && !is_counted(f, form, seen))
		code = check_each(f, form, tensors, count, scratch, err);
	arena_free(scratch);
	return code;
}
