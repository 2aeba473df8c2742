/* SPDX-License-Identifier: Apache-2.0 */
/* {"current_stage": 2, "parallel_strategy_item": {OPERATOR: {"stage": 0, ...}}, "parallel_layout_item": {PARAMETER: {...}}} */
#include <errno.h>
#include <string.h>

#include "layout/base/json.h"
#include "layout/formats/json_strategy.h"

#define VALUES_MAX (UINT64_C(1) << 22) /* in a file: a parameter has about ten */

static int read_list(const json *item, const char *field, struct arena *arena, struct pb_dims *out, struct error *err)
{
	const json *list = json_get(item, field), *v;

	if (!list || !json_is_array(list))
		return json_refuse(list, field, "an array", err);
	if (json_count(list) > PB_NUMBERS)
		return error_set(err, -EINVAL, "%s has more than %d entries", field, PB_NUMBERS);
	out->dim = arena_alloc(arena, json_count(list), sizeof(*out->dim));
	if (!out->dim)
		return error_nomem(err);
	for (v = json_first(list); v; v = json_next(v))
		if (!json_i32(v, &out->dim[out->count++]))
			return error_prefix(err, json_refuse(v, NULL, JSON_I32, err), "%s: entry %u", field, (uint32_t)out->count - 1);
	return 0;
}

static int read_number(const json *item, const char *field, int32_t *out, struct error *err)
{
	const json *v = json_get(item, field);

	return v && json_i32(v, out) ? 0 : json_refuse(v, field, JSON_I32, err);
}

static int read_layout(const json *v, struct arena *arena, struct pb_layout_item *out, struct error *err)
{
	struct pb_dims *lists = arena_alloc(arena, 2, sizeof(*lists));
	int code = lists ? 0 : error_nomem(err);

	if (code == 0 && !json_is_object(v))
		code = json_refuse(v, NULL, "an object", err);
	if (code == 0)
		code = read_list(v, "dev_matrix", arena, &lists[0], err);
	if (code == 0)
		code = read_list(v, "tensor_map", arena, &lists[1], err);
	if (code == 0)
		code = read_number(v, "opt_weight_shard_step", &out->opt_step, err);
	if (code == 0)
		code = read_number(v, "opt_weight_shard_size", &out->opt_size, err);
	out->dev_matrix = lists;
	out->tensor_map = lists ? lists + 1 : NULL;
	out->dev_matrix_count = out->tensor_map_count = 1;
	return code;
}

static int read_layouts(const json *object, struct arena *arena, struct pb_strategy *out, struct error *err)
{
	out->layouts = arena_alloc(arena, json_count(object), sizeof(*out->layouts));
	if (!out->layouts)
		return error_nomem(err);
	for (const json *v = json_first(object); v; v = json_next(v)) {
		struct pb_layout_item *item = &out->layouts[out->layout_count++];
		int code = 0;

		item->name = arena_strndup(arena, json_key(v), strlen(json_key(v)));
		if (!item->name)
			return error_nomem(err);
		if (!*item->name)
			code = error_set(err, -EINVAL, "the name is empty");
		if (code == 0)
			code = read_layout(v, arena, item, err);
		if (code < 0)
			return code == -ENOMEM ? code : error_prefix(err, code, "parameter \"%s\"", item->name);
	}
	return 0;
}

/* Counts the operators, and takes the stage of the first. */
static int read_operators(const json *object, struct pb_strategy *out, struct error *err)
{
	const json *first = json_first(object);
	int32_t stage = 0;
	int code = 0;

	out->item_count = json_count(object);
	if (first && !json_is_object(first))
		code = json_refuse(first, NULL, "an object", err);
	else if (first)
		code = read_number(first, "stage", &stage, err);
	out->stage = stage;
	return code < 0 ? error_prefix(err, code, "parallel_strategy_item \"%s\"", json_key(first)) : 0;
}

/* The object `key` of the root, or NULL when it is not there; an error when it is something else. */
static int get_object(const json *root, const char *key, const json **out, struct error *err)
{
	*out = json_get(root, key);
	return !*out || json_is_object(*out) ? 0 : json_refuse(*out, key, "an object", err);
}

static int read_root(const json *root, struct arena *arena, struct pb_strategy *out, struct error *err)
{
	const json *operators, *layouts;
	int32_t current = 0;
	int code;

	if (!json_is_object(root))
		return json_refuse(root, "the JSON text", "an object", err);
	code = get_object(root, "parallel_strategy_item", &operators, err);
	if (code == 0)
		code = get_object(root, "parallel_layout_item", &layouts, err);
	if (code == 0 && json_get(root, "current_stage"))
		code = read_number(root, "current_stage", &current, err);
	out->current_stage = current;
	if (code == 0 && operators)
		code = read_operators(operators, out, err);
	return code == 0 && layouts ? read_layouts(layouts, arena, out, err) : code;
}

int json_strategy_decode(struct bytes file, struct arena *arena, struct pb_strategy *out, struct error *err)
{
	struct json_doc *doc;
	int code = json_parse(file, VALUES_MAX, &doc, err);

	*out = (struct pb_strategy){ 0 };
	if (code < 0)
		return code;
	code = read_root(json_root(doc), arena, out, err);
	json_free(doc);
	return code;
}
