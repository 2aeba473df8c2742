/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A unified SOURCE: whole tensors in one or more .safetensors files, or one such file by itself. Without an option that changes
 * tensors the view shows the files themselves, byte for byte; their headers are checked all the same, and so is the index that
 * says which file holds what: a loader drops what an index promises and no file has without a word.
 */
#include <errno.h>
#include <string.h>

#include "fs/model/loading.h"
#include "fs/source/slurp.h"
#include "layout/base/json.h"

#define INDEX_MAX (UINT64_C(64) << 20) /* bytes of an index file */

static bool is_weights(const struct scan_entry *e)
{
	return e->is_there && e->name[0] != '.' && scan_ends_in(e->name, ".safetensors");
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* A SOURCE that is one file is a directory that has nothing but this file. */
static int list_files(struct loading *ld, struct error *err)
{
	struct scan_entry *only;

	if (!ld->is_file)
		return 0;
	only = arena_alloc(ld->model->arena, 1, sizeof(*only));
	if (!only)
		return error_nomem(err);
	*only = (struct scan_entry){ .name = base_name(ld->source), .is_file = true, .is_there = true };
	if (!is_weights(only))
		return error_set(err, -EINVAL, "%s: neither a directory nor a .safetensors file", ld->source);
	ld->entries = (struct scan_list){ .entries = only, .count = 1 };
	ld->source = arena_strndup(ld->model->arena, ld->source, (size_t)(only->name - ld->source) - (only->name - ld->source > 1));
	if (!ld->source)
		return error_nomem(err);
	load_folder_mode(ld, ld->source);
	return 0;
}

static int add_files(struct loading *ld, struct checkpoint_builder *builder, struct error *err)
{
	struct checkpoint_file *files = arena_alloc(ld->model->arena, ld->entries.count, sizeof(*files));
	uint64_t n = 0;
	int code;

	if (!files)
		return error_nomem(err);
	for (uint64_t i = 0; i < ld->entries.count; i++) {
		const struct scan_entry *e = &ld->entries.entries[i];

		if (!is_weights(e))
			continue;
		files[n] = (struct checkpoint_file){ .path = arena_printf(ld->model->arena, "%s/%s", ld->source, e->name),
						     .outside = strcmp(e->name, "hyper_param.safetensors") == 0 };
		if (!files[n++].path)
			return error_nomem(err);
	}
	if (n == 0)
		return error_set(err, -EINVAL, "%s: neither rank_N folders nor .safetensors files in it", ld->source);
	code = load_begin_sources(ld, err);
	if (code == 0)
		code = load_add(ld, builder, files, n, err);
	if (code == 0 && ld->model->sources->count == 0)
		code = error_set(err, -EINVAL, "%s: no .safetensors file in it can be opened", ld->source);
	return code;
}

/* True for a tensor that a file may hold though the checkpoint does not have it. */
static bool is_dropped(const struct loading *ld, const char *name)
{
	const struct checkpoint *c = ld->model->checkpoint;

	for (uint64_t i = 0; i < c->note_count; i++)
		if (strcmp(c->notes[i].key, name) == 0)
			return true;
	return false;
}

/* The file that an index gives for a tensor: it must be there and, where names in the index are tensors', hold it. */
static int check_promise(const struct loading *ld, const char *name, const char *file, bool names_are_tensors, struct error *err)
{
	const struct checkpoint *c = ld->model->checkpoint;
	const struct tensor *t = checkpoint_find(c->tensors, c->count, name);
	bool there = false;

	for (uint64_t i = 0; i < ld->entries.count; i++)
		there |= is_weights(&ld->entries.entries[i]) && strcmp(ld->entries.entries[i].name, file) == 0;
	if (!there)
		return error_set(err, -EINVAL, "weight_map: tensor \"%s\" should be in %s, which is not there", name, file);
	if (!t)
		t = checkpoint_find(c->outside, c->outside_count, name);
	if (!t && is_dropped(ld, name))
		return 0;
	if (names_are_tensors && (!t || strcmp(base_name(ld->model->sources->list[t->pieces[0].source].path), file) != 0))
		return error_set(err, -EINVAL, "weight_map: tensor \"%s\" should be in %s, which does not hold it", name, file);
	return 0;
}

static int check_map(const struct loading *ld, const json *map, bool names_are_tensors, struct error *err)
{
	int code = 0;

	if (!map || !json_is_object(map))
		return error_set(err, -EINVAL, "weight_map: expected an object of tensor names and files");
	for (const json *v = json_first(map); code == 0 && v; v = json_next(v))
		code = json_is_string(v) ? check_promise(ld, json_key(v), json_string(v), names_are_tensors, err) :
					   error_set(err, -EINVAL, "weight_map: tensor \"%s\": expected the name of a file", json_key(v));
	return code;
}

static int check_index_text(const struct loading *ld, struct bytes text, bool hf, struct error *err)
{
	struct json_doc *doc;
	int code = json_parse(text, text.len, &doc, err);

	if (code < 0)
		return code;

	const json *map = json_get(json_root(doc), "weight_map");

	code = check_map(ld, map || hf ? map : json_root(doc), hf, err);
	json_free(doc);
	return code;
}

/* Checks the index file `name` of SOURCE. */
static int check_index(struct loading *ld, const char *name, bool hf, struct error *err)
{
	struct arena *scratch = arena_new();
	const char *path = arena_printf(ld->model->arena, "%s/%s", ld->source, name);
	struct bytes text;
	struct slurp how = { .arena = scratch, .max = INDEX_MAX, .fence = ld->options->fence };
	int code = scratch && path ? slurp_file(path, &how, &text, err) : error_nomem(err);

	if (code == 0 && (code = check_index_text(ld, text, hf, err)) < 0)
		error_prefix(err, code, "%s", path);
	arena_free(scratch);
	return code;
}

static int check_indexes(struct loading *ld, struct error *err)
{
	int code = 0;

	for (uint64_t i = 0; code == 0 && i < ld->entries.count; i++) {
		const struct scan_entry *e = &ld->entries.entries[i];
		bool hf = strcmp(e->name, "model.safetensors.index.json") == 0;

		if (e->is_there && (hf || strcmp(e->name, "param_name_map.json") == 0))
			code = load_refused(ld, check_index(ld, e->name, hf, err), err);
		ld->own_hf_index |= hf && e->is_file;
	}
	return code;
}

/* SOURCE's own weights and index files; the small ones come with every view of a unified SOURCE. */
static int show_own_files(struct loading *ld, struct error *err)
{
	int code = 0;

	for (uint64_t i = 0; code == 0 && i < ld->entries.count; i++) {
		const struct scan_entry *e = &ld->entries.entries[i];
		bool index = e->is_there && (scan_ends_in(e->name, ".index.json") || strcmp(e->name, "param_name_map.json") == 0);

		if (is_weights(e) || index)
			code = load_file(ld, ld->source, e->name, err);
	}
	return code;
}

static int check_options(const struct loading *ld, struct error *err)
{
	const struct options *o = ld->options;

	if (o->source.count > 1)
		return error_set(err, -EINVAL, "%s holds whole tensors: no rank_N folders; several SOURCEs are the nodes of one training",
				 o->source.item[0]);
	if (o->strategy.count || o->strategy_none)
		return error_set(err, -EINVAL, "%s holds whole tensors: strategy= says how rank folders are cut, and there are none",
				 ld->source);
	if (o->outside_rank0)
		return error_set(err, -EINVAL, "%s holds whole tensors: outside=rank0 is for what a strategy does not list, and there are no ranks",
				 ld->source);
	if (o->to_same)
		return error_set(err, -EINVAL, "%s holds whole tensors: to=same is for rank folders", ld->source);
	if (o->step)
		return error_set(err, -EINVAL, "%s holds whole tensors of one step: step=%s cannot be chosen", ld->source, o->step);
	return 0;
}

int load_unified_fill(struct loading *ld, struct error *err)
{
	const struct options *o = ld->options;
	struct checkpoint_options options = { .kind = CHECKPOINT_UNIFIED, .filter = o->filter.item, .filter_count = o->filter.count };
	struct checkpoint_builder *builder = checkpoint_begin(ld->model->arena, &options);
	struct checkpoint *ckpt;
	int code = builder ? list_files(ld, err) : error_nomem(err);

	if (code == 0)
		code = add_files(ld, builder, err);
	if (code < 0) {
		checkpoint_abandon(builder);
		return code;
	}
	code = checkpoint_finish(builder, &ckpt, err);
	if (code == 0)
		code = check_options(ld, err);
	if (code < 0)
		return code;
	ld->model->checkpoint = ckpt;
	ld->model->kind = "unified";
	ld->unified = true;
	ld->as_it_is = !o->filter.count && !o->part_size && o->index == OPTIONS_INDEX_AUTO && !o->to &&
		       !o->rename.count && !o->has_names;
	code = check_indexes(ld, err);
	return code == 0 && ld->as_it_is && (!ld->look || ld->look->view) ? show_own_files(ld, err) : code;
}
