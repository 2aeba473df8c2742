/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "layout/names/twins.h"

#define TWINS_MOST 65536 /* of one line of a recipe: an index in its name is a layer's number */

static bool is_alike(const struct tensor *a, const struct tensor *b)
{
	return a->dtype == b->dtype && a->axes == b->axes && memcmp(a->shape, b->shape, a->axes * sizeof(*a->shape)) == 0;
}

int twins_leave_out(const struct figures *f, const struct naming_found *found, const struct tensor *t, const struct checkpoint *ckpt,
		     struct arena *arena, const char **why, struct error *err)
{
	const char *name = pattern_format(&found->copy->of, "", found->values, arena);
	const struct tensor *original = name ? checkpoint_find(ckpt->tensors, ckpt->count, name) : NULL;

	if (!name)
		return error_nomem(err);
	if (!original)
		return error_set(err, -EINVAL, "tensor \"%s\" is missing: by recipe \"%s\" \"%s\" is a copy of it", name, f->recipe->family,
				 t->name);
	if (!is_alike(original, t))
		return error_set(err, -EINVAL, "tensor \"%s\" cannot be the copy of \"%s\" that recipe \"%s\" takes it for: shape or type differ",
				 t->name, name, f->recipe->family);
	*why = arena_printf(arena, "Hugging Face's copy of %s, which these names have once (the bytes of the two are not compared)", name);
	return *why ? 0 : error_nomem(err);
}

/* False when an index has no value. */
static bool has_values(const struct figures *f, const struct pattern *p)
{
	for (uint32_t i = 0; i < p->count; i++)
		if (f->sizes.value[p->index[i]] == 0)
			return false;
	return true;
}

static int list_line(const struct figures *f, const struct recipe_copy *copy, struct arena *arena, struct pairs *out, struct error *err)
{
	uint64_t values[FACTORS_WORDS], n = 0;

	memcpy(values, f->first, sizeof(values));
	do {
		const char *name = pattern_format(&copy->hf, "", values, arena), *of = pattern_format(&copy->of, "", values, arena);

		if (!name || !of || pairs_add(out, name, of) < 0)
			return error_nomem(err);
		if (++n > TWINS_MOST)
			return error_set(err, -EINVAL, "recipe \"%s\", line %llu: more than %d copies", f->recipe->family,
					 (unsigned long long)copy->number, TWINS_MOST);
	} while (naming_advance(f, &copy->hf, values));
	return 0;
}

int twins_list(const struct figures *f, const struct naming_form *form, struct arena *arena, struct pairs *out, struct error *err)
{
	int code = 0;

	*out = pairs_new(arena);
	for (uint32_t i = 0; code == 0 && i < f->recipe->copy_count; i++) {
		const struct recipe_copy *copy = &f->recipe->copies[i];

		if (figures_hold(&copy->when, form->naming, form->flags) && has_values(f, &copy->hf))
			code = list_line(f, copy, arena, out, err);
	}
	return code;
}
