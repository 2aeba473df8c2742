/* SPDX-License-Identifier: Apache-2.0 */
/* See load.h. The order matters: sources and checkpoint first, then the view, then what is known only when all files are open. */
#include <errno.h>
#include <malloc.h>
#include <string.h>
#include <sys/stat.h>

#include "fs/base/patience.h"
#include "fs/model/loading.h"
#include "fs/source/kinds.h"
#include "fs/source/slurp.h"
#include "layout/names/rename.h"

#define RULES_MAX (UINT64_C(1) << 20) /* bytes of a file of rename rules */

static int add_small_files(struct loading *ld, const char *dir, const struct scan_list *list, struct error *err)
{
	int code = 0;

	for (uint64_t i = 0; code == 0 && i < list->count; i++)
		if (load_shows_through(&list->entries[i]))
			code = load_file(ld, dir, list->entries[i].name, err);
	return code;
}

static int add_with(struct loading *ld, struct error *err)
{
	int code = 0;

	for (uint32_t i = 0; code == 0 && i < ld->options->with.count; i++) {
		struct scan_list list;

		code = scan_dir(ld->options->with.item[i], ld->options->fence, ld->model->arena, &list, err);
		if (code == 0)
			code = add_small_files(ld, ld->options->with.item[i], &list, err);
	}
	return code;
}

/* Adds a strategy, if there is one, as a file, whose bytes are *file. */
static int add_strategy(struct loading *ld, const struct strategy *strategy, const char *path, struct bytes *file, struct error *err)
{
	struct model *m = ld->model;
	int code;

	if (!strategy)
		return 0;
	code = strategy_write(strategy, m->arena, file, err);
	return code < 0 ? code : view_add_literal(&m->view, m->arena, path, *file, err);
}

static int lay_out_tensors(struct loading *ld, struct error *err)
{
	const struct options *o = ld->options;
	struct model *m = ld->model;
	bool hf = o->index == OPTIONS_INDEX_HF ||
		  (o->index == OPTIONS_INDEX_AUTO && (o->has_names ? o->names == RECIPE_HF : ld->own_hf_index));
	struct view_options vo = { .part_size = o->part_size ? o->part_size : OPTIONS_PART_SIZE, .index = hf ? VIEW_INDEX_HF : VIEW_INDEX_MS };

	for (uint64_t i = 0; hf && i < m->checkpoint->outside_count; i++)
		if (load_warn(ld, arena_printf(m->arena, "%s: not shown with index=hf, as it is no parameter of the model",
					       m->checkpoint->outside[i].name), err) < 0)
			return -ENOMEM;

	int code = view_unified(m->checkpoint, &vo, m->arena, &m->view, err);

	return code == 0 && !hf ? load_common(ld, err) : code;
}

/* Applies the files of rules one after the other. */
static int rename_tensors(struct loading *ld, struct error *err)
{
	struct model *m = ld->model;
	int code = 0;

	for (uint32_t i = 0; code == 0 && i < ld->options->rename.count; i++) {
		const char *path = ld->options->rename.item[i];
		struct rename *rules = NULL;
		struct bytes text;

		code = slurp_file(path, &(struct slurp){ .arena = m->arena, .max = RULES_MAX }, &text, err);
		if (code < 0)
			return error_prefix(err, code, "rename=");
		if ((code = rename_parse(text, &rules, err)) == 0)
			code = rename_checkpoint(m->checkpoint, rules, m->arena, err);
		if (code < 0)
			error_prefix(err, code, "rename=%s", path);
		rename_free(rules);
	}
	return code;
}

/* How the rank folders of a rank view are cut, for whoever takes the mount as a SOURCE. Its own strategy does not know new names. */
static const struct strategy *shown_strategy(const struct loading *ld)
{
	if (ld->options->to)
		return ld->base->target.strategy;
	return ld->options->rename.count ? NULL : ld->model->strategy;
}

/* A SOURCE that is shown as it is lacks nothing else that a loader of MindSpore's may want; Hugging Face's know no counters. */
static int show_counters(struct loading *ld, struct error *err)
{
	return ld->own_hf_index ? 0 : load_common(ld, err);
}

/* How SOURCE is cut, and the rank folders of a rank view; mostly they are the same. */
static int show_strategies(struct loading *ld, bool ranks, struct error *err)
{
	const struct strategy *own = ld->one_of_many ? NULL : ld->model->strategy, *shown = ranks ? shown_strategy(ld) : NULL;
	struct bytes file;
	int code = add_strategy(ld, own, ".gatherfs/strategy.ckpt", &file, err);

	if (code < 0 || !shown)
		return code;
	if (shown != own)
		return add_strategy(ld, shown, ".gatherfs/" STRATEGIES_SHOWN, &file, err);
	return view_add_literal(&ld->model->view, ld->model->arena, ".gatherfs/" STRATEGIES_SHOWN, file, err);
}

static int build_view(struct loading *ld, struct error *err)
{
	bool ranks = ld->options->to || ld->options->to_same;
	int code = ranks ? load_to_ranks(ld, err) : ld->as_it_is ? show_counters(ld, err) : lay_out_tensors(ld, err);

	if (code == 0 && ld->unified)
		code = add_small_files(ld, ld->source, &ld->entries, err);
	if (code == 0)
		code = add_with(ld, err);
	return code == 0 ? show_strategies(ld, ranks, err) : code;
}

static int list_source(struct loading *ld, struct error *err)
{
	struct patience *patience = patience_for(ld->source);
	struct stat st;
	int code = stat(ld->source, &st) < 0 ? error_set(err, -errno, "%s: %s", ld->source, strerror(errno)) : 0;

	ld->is_file = code == 0 && !S_ISDIR(st.st_mode);
	if (code == 0 && !ld->is_file) {
		load_folder_mode(ld, ld->source);
		code = scan_dir(ld->source, ld->options->fence, ld->model->arena, &ld->entries, err);
	}
	patience_end(patience);
	return code;
}

static int fill(struct loading *ld, struct error *err)
{
	bool ranks = false;
	enum kinds kind = KINDS_ANY;
	int code = list_source(ld, err);

	if (code == 0 && !ld->is_file) {
		code = kinds_choose(ld->options, &ld->entries, &kind, err);
		if (code == 0 && kind != KINDS_ITERATIONS)
			code = load_ranks_fill(ld, &ranks, err);
		if (code == 0 && !ranks)
			code = load_iteration_fill(ld, &ranks, err);
	}
	if (code == 0 && !ranks)
		code = load_unified_fill(ld, err);
	return code;
}

static int list_warnings(struct loading *ld, struct error *err)
{
	uint32_t n = ld->warnings.names.count;
	const char **list = arena_alloc(ld->model->arena, n, sizeof(*list));

	if (!list)
		return error_nomem(err);
	for (uint32_t i = 0; i < n; i++)
		list[i] = ld->warnings.pair[i].key;
	ld->model->warnings = (struct model_texts){ list, n };
	return 0;
}

/* From a checkpoint to a model. */
static int finish(struct loading *ld, struct error *err)
{
	int code = load_names(ld, err);

	if (code == 0)
		code = rename_tensors(ld, err);

	if (code == 0 && (!ld->look || ld->look->view))
		code = build_view(ld, err);
	if (code < 0)
		return code;
	load_attributes(ld);
	return list_warnings(ld, err);
}

static int begin(struct loading *ld, struct error *err)
{
	const struct options *o = ld->options;

	ld->model = model_new();
	if (!ld->model)
		return error_nomem(err);
	ld->model->sources->fence = o->fence;
	ld->source = o->source.item[0];
	ld->folders = 0777;
	ld->warnings = pairs_new(ld->model->arena);
	ld->model->source_dirs = (struct model_texts){ (const char *const *)o->source.item, o->source.count };
	return 0;
}

/* Hands the model out, or frees it. */
static int end(struct loading *ld, int code, struct model **out)
{
	if (code < 0)
		model_free(ld->model);
	else
		*out = ld->model;
	malloc_trim(0); /* what reading took is many times what is kept, and was taken by many threads */
	return code;
}

/* What was learnt of headers is for the next time. That it cannot be kept is no error. */
static void remember(struct loading *ld)
{
	if (!ld->look || ld->look->cache == CACHE_USE)
		cache_commit(ld->model->cache, NULL);
}

static int load(const struct options *o, const struct load_look *look, struct model **out, struct error *err)
{
	struct loading ld = { .options = o, .look = look };
	int code = begin(&ld, err);

	if (code == 0)
		code = load_base_new(o, &ld.model->base, err);
	if (code == 0) {
		ld.base = ld.model->base;
		code = fill(&ld, err);
	}
	if (code == 0)
		code = load_base_target(ld.base, err);
	if (code == 0)
		code = finish(&ld, err);
	if (code == 0 && look)
		remember(&ld);
	return end(&ld, code, out);
}

int load_model(const struct options *o, struct model **out, struct error *err)
{
	return load(o, NULL, out, err);
}

int load_look(const struct options *o, const struct load_look *look, struct model **out, struct error *err)
{
	return load(o, look, out, err);
}

/* A model of a mount of many. */
static int begin_shared(struct loading *ld, struct load_base *base, struct error *err)
{
	int code = begin(ld, err);

	if (code < 0)
		return code;
	problem_list_free(ld->model->problems);
	ld->model->problems = problem_list_share(base->problems);
	for (uint32_t i = 0; i < ld->options->source.count; i++)
		load_folder_mode(ld, ld->options->source.item[i]);
	return 0;
}

/* From a checkpoint to a model of a mount of many. */
static int end_shared(struct loading *ld, int code, struct model **out, struct error *err)
{
	if (code == 0)
		code = finish(ld, err);
	if (code == 0) {
		remember(ld);
		ld->model->first_problem = ld->base->next_problem;
		ld->base->next_problem += ld->model->sources->count;
	}
	return end(ld, code, out);
}

int load_one_step(struct load_base *base, const struct load_step *step, struct model **out, struct error *err)
{
	struct loading ld = { .options = base->options, .base = base, .one_of_many = true };
	int code = begin_shared(&ld, base, err);

	if (code == 0)
		code = load_ranks_one(&ld, step, err);
	return end_shared(&ld, code, out, err);
}

int load_one_iteration(struct load_base *base, const char *name, struct model **out, struct error *err)
{
	struct loading ld = { .options = base->options, .base = base, .one_of_many = true };
	int code = begin_shared(&ld, base, err);

	if (code == 0)
		code = load_iteration_one(&ld, name, err);
	return end_shared(&ld, code, out, err);
}

int load_beside(struct load_base *base, struct model **out, struct error *err)
{
	struct loading ld = { .options = base->options, .base = base, .one_of_many = true };
	int code = begin_shared(&ld, base, err);
	struct bytes file;

	if (code == 0) {
		ld.model->strategy = base->strategy.strategy;
		code = add_strategy(&ld, ld.model->strategy, "strategy.ckpt", &file, err);
	}
	if (code == 0)
		load_attributes(&ld);
	return end(&ld, code, out);
}
