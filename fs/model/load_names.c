/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Other names for the tensors (names=): which recipe, and what config.json says of the model. The recipe is the user's (recipe=), or
 * the one of those compiled in that is for the model_type, or the family that the user names (model=).
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "fs/model/loading.h"
#include "fs/source/slurp.h"
#include "layout/base/text.h"
#include "layout/names/convert.h"
#include "layout/names/recipes.h"

#define TEXT_MAX (UINT64_C(1) << 20) /* bytes of a recipe, and of config.json */

/* What is known of the model. */
struct known {
	struct loading *ld;
	const char *path;            /* of config.json; NULL without one */
	struct json_doc *doc;
	struct figures_config config;
	struct recipe *recipe;
	struct error *err;
};

/* config.json of SOURCE, else that of the first with= that has one. */
static int find_config(struct known *k)
{
	struct arena *arena = k->ld->model->arena;
	const struct options_list *with = &k->ld->options->with;

	for (uint32_t i = 0; i <= with->count; i++) {
		const char *path = arena_printf(arena, "%s/config.json", i == 0 ? k->ld->source : with->item[i - 1]);

		if (!path)
			return error_nomem(k->err);
		if (access(path, F_OK) == 0) {
			k->path = path;
			return 0;
		}
	}
	return 0;
}

static int read_config(struct known *k)
{
	struct slurp how = { .arena = k->ld->model->arena, .max = TEXT_MAX, .fence = k->ld->options->fence };
	struct bytes text;
	int code = find_config(k);

	if (code < 0 || !k->path)
		return code;
	code = slurp_file(k->path, &how, &text, k->err);
	if (code < 0)
		return code;
	code = json_parse(text, text.len, &k->doc, k->err);
	if (code == 0 && !json_is_object(json_root(k->doc)))
		code = error_set(k->err, -EINVAL, "expected an object");
	if (code < 0)
		return error_prefix(k->err, code, "%s", k->path);
	k->config.json = json_root(k->doc);
	return 0;
}

/* The values that the user gives: KEY=VALUE each. */
static int read_own(struct known *k)
{
	const struct options_list *set = &k->ld->options->set;
	struct arena *arena = k->ld->model->arena;
	struct pair *own = arena_alloc(arena, set->count, sizeof(*own));

	if (!own)
		return error_nomem(k->err);
	for (uint32_t i = 0; i < set->count; i++) {
		const char *sign = strchr(set->item[i], '=');

		own[i] = (struct pair){ arena_strndup(arena, set->item[i], (size_t)(sign - set->item[i])), sign + 1 };
		if (!own[i].key)
			return error_nomem(k->err);
	}
	k->config.own = own;
	k->config.own_count = set->count;
	return 0;
}

static int parse_recipe(struct known *k, const char *path, struct bytes text)
{
	int code = recipe_parse(text, k->ld->model->arena, &k->recipe, k->err);

	return code < 0 ? error_prefix(k->err, code, "%s", path) : 0;
}

static bool is_for(const struct recipe *r, const char *type)
{
	for (uint32_t i = 0; i < r->type_count; i++)
		if (strcmp(r->types[i], type) == 0)
			return true;
	return false;
}

/* No recipe is for the model: says which there are. */
static int none(const struct known *k, const char *type, const struct text *families)
{
	const char *model = k->ld->options->model;

	if (model)
		return error_set(k->err, -EINVAL, "model=%s: there is no such recipe; there are %s, and recipe=FILE for your own", model,
				 families->ptr);
	if (!type)
		return error_set(k->err, -EINVAL,
				 "names=: which family of models this is must be told: by a config.json with a model_type in SOURCE or "
				 "in with=DIR, by model= (%s), or by recipe=FILE",
				 families->ptr);
	return error_set(k->err, -EINVAL,
			 "%s: there is no recipe for model_type \"%s\"; those of model= are %s, and recipe=FILE takes your own",
			 k->path ? k->path : "set=", type, families->ptr);
}

static int parse_built_in(struct known *k, uint32_t i)
{
	const char *text = recipes_all[i].text;

	return parse_recipe(k, recipes_all[i].path, (struct bytes){ (const uint8_t *)text, strlen(text) });
}

static int refuse_built_in(struct known *k, const char *type)
{
	struct text families = TEXT_EMPTY;
	int code = 0;

	for (uint32_t i = 0; code == 0 && recipes_all[i].path; i++) {
		code = parse_built_in(k, i);
		text_add(&families, "%s%s", i ? ", " : "", code == 0 ? k->recipe->family : "");
	}
	code = code == 0 ? none(k, type, &families) : code;
	text_free(&families);
	return code;
}

/* A recipe that does not have the word is not parsed to see that it is for something else. */
static int find_built_in(struct known *k)
{
	const char *model = k->ld->options->model, *type = figures_value(&k->config, "model_type", k->ld->model->arena);
	const char *word = model ? model : type;
	int code = 0;

	for (uint32_t i = 0; word && recipes_all[i].path; i++) {
		if (!strstr(recipes_all[i].text, word))
			continue;
		code = parse_built_in(k, i);
		if (code < 0 || (model ? strcmp(model, k->recipe->family) == 0 : is_for(k->recipe, type)))
			return code;
	}
	return refuse_built_in(k, type);
}

static int find_recipe(struct known *k)
{
	const char *path = k->ld->options->recipe, *model = k->ld->options->model;
	struct bytes text;
	int code;

	if (!path)
		return find_built_in(k);
	code = slurp_file(path, &(struct slurp){ .arena = k->ld->model->arena, .max = TEXT_MAX }, &text, k->err);
	if (code == 0)
		code = parse_recipe(k, path, text);
	if (code == 0 && model && strcmp(model, k->recipe->family) != 0)
		return error_set(k->err, -EINVAL, "%s: family \"%s\", but model=%s was asked for", path, k->recipe->family, model);
	return code;
}

/* One sentence for all that are left out for one reason. */
static int warn(struct loading *ld, const struct pairs *left, struct error *err)
{
	int code = 0;

	for (uint32_t i = 0; code == 0 && i < left->names.count; i++) {
		const struct pair *p = &left->pair[i];
		uint64_t same = 0;
		bool told = false;

		for (uint32_t k = 0; k < left->names.count; k++) {
			bool is_same = strcmp(left->pair[k].value, p->value) == 0;

			same += is_same;
			told |= is_same && k < i;
		}
		if (!told)
			code = load_warn(ld,
					 same == 1 ? arena_printf(ld->model->arena, "%s is left out: %s", p->key, p->value)
						   : arena_printf(ld->model->arena, "%s and %llu more are left out: %s", p->key,
								  (unsigned long long)same - 1, p->value),
					 err);
	}
	return code;
}

/* The source's strategy knows its own tensors only. */
static int check_target(const struct loading *ld, struct error *err)
{
	const struct checkpoint *c = ld->model->checkpoint;

	for (uint64_t i = 0; ld->options->to_same && i < c->count; i++)
		if (c->tensors[i].woven)
			return error_set(err, -EINVAL,
					 "to=same: the source's strategy does not know \"%s\", which is made of other tensors; name a "
					 "target strategy",
					 c->tensors[i].name);
	return 0;
}

static int convert(struct known *k)
{
	struct loading *ld = k->ld;
	struct figures figures;
	struct convert_options co = { .figures = &figures, .to = ld->options->names };
	struct convert_done done;
	int code = figures_read(k->recipe, &k->config, ld->model->arena, &figures, k->err);

	if (code < 0)
		return error_prefix(k->err, code, "%s", k->path ? k->path : "set=");
	code = convert_checkpoint(ld->model->checkpoint, &co, ld->model->arena, &done, k->err);
	if (code < 0)
		return error_prefix(k->err, code, "names=%s", recipe_naming_name(co.to));
	ld->model->names = arena_printf(ld->model->arena, "%s as %s, by the recipe \"%s\"", naming_text(&done.from),
					recipe_naming_name(co.to), k->recipe->family);
	if (!ld->model->names)
		return error_nomem(k->err);
	code = warn(ld, &done.left_out, k->err);
	return code == 0 ? check_target(ld, k->err) : code;
}

int load_names(struct loading *ld, struct error *err)
{
	struct known k = { .ld = ld, .err = err };
	int code;

	if (!ld->options->has_names)
		return 0;
	code = read_config(&k);
	if (code == 0)
		code = read_own(&k);
	if (code == 0)
		code = find_recipe(&k);
	if (code == 0)
		code = convert(&k);
	json_free(k.doc);
	return code;
}
