/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "layout/base/bytes.h"
#include "layout/names/naming.h"

const char *naming_text(const struct naming_form *form)
{
	return recipe_naming_name(form->hf ? RECIPE_HF : form->naming);
}

/* A name that is looked up, without what comes before it for optimizer state. */
struct name {
	const char *text;
	uint64_t len; /* bytes */
};

uint32_t naming_parts(const struct naming_form *form, const struct recipe_line *line)
{
	return form->hf ? line->count : 1;
}

const struct pattern *naming_pattern(const struct naming_form *form, const struct recipe_line *line, uint32_t part)
{
	return form->hf ? &line->parts[part].hf : &line->ms;
}

bool naming_matches(const struct figures *f, const struct pattern *p, const char *name, uint64_t len, uint64_t *values)
{
	if (!pattern_match(p, name, len, values))
		return false;
	for (uint32_t i = 0; i < p->count; i++) {
		uint32_t w = p->index[i];

		if (!figures_has(f, w, values[w]))
			return false;
	}
	return true;
}

bool naming_holds(const struct figures *f, const struct naming_form *form, const struct recipe_line *line)
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

		for (out->part = 0; out->part < naming_parts(form, line); out->part++)
			if (naming_matches(f, naming_pattern(form, line, out->part), name.text, name.len, out->values) &&
			    naming_holds(f, form, line)) {
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
		if (naming_matches(f, &r->extras[i], name.text, name.len, out->values))
			return true;
	for (uint32_t i = 0; form->hf && i < r->copy_count; i++)
		if (figures_hold(&r->copies[i].when, form->naming, form->flags) && naming_matches(f, &r->copies[i].hf, name.text, name.len, out->values)) {
			out->copy = &r->copies[i];
			return true;
		}
	for (uint32_t i = 0; form->hf && i < r->drop_count; i++)
		if (figures_hold(&r->drops[i].when, form->naming, form->flags) && naming_matches(f, &r->drops[i].hf, name.text, name.len, out->values)) {
			out->drop = &r->drops[i];
			return true;
		}
	return false;
}

static void begin(struct naming_found *out, const struct recipe_line *line)
{
	out->line = line;
	out->drop = NULL;
	out->copy = NULL;
	out->prefix = "";
}

bool naming_find(const struct figures *f, const struct naming_form *form, const char *name, struct naming_found *out)
{
	struct name whole = { name, strlen(name) };

	begin(out, NULL);
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
	begin(out, match->line);
	out->part = match->part;
	pattern_match(naming_pattern(form, match->line, match->part), name, strlen(name), out->values);
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

/* How many names a pattern stands for; UINT64_MAX for more than can be counted. */
static uint64_t names_of(const struct figures *f, const struct pattern *p)
{
	uint64_t n = 1;

	for (uint32_t i = 0; i < p->count; i++)
		if (!bytes_mul(n, f->sizes.value[p->index[i]], &n))
			return UINT64_MAX;
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

		for (uint32_t k = 0; k < naming_parts(form, line) && naming_holds(f, form, line); k++)
			if (seen[k] != names_of(f, naming_pattern(form, line, k)))
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

		if (!naming_holds(f, form, line))
			continue;
		for (uint32_t k = 0; code == 0 && k < naming_parts(form, line); k++)
			code = check_all_there(f, naming_pattern(form, line, k), &have, scratch, err);
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
