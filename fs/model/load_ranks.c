/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A distributed SOURCE: rank folders and a strategy. One step serves all ranks. Steps are tried from the newest on; one that
 * leaves a block without a rank while some rank lacks its file is not complete, and the next older one is tried. Any other
 * error ends the mount: an older step must never stand in for a broken one without a word.
 */
#include <errno.h>
#include <string.h>

#include "fs/model/loading.h"
#include "fs/source/equal.h"

/* What the attempts at one step and the next share. */
struct attempt {
	struct loading *ld;
	struct ranks ranks;
	struct checkpoint_options options;
	const char **paths; /* [ranks.count] of the step at hand; NULL where a rank has none */
};

/* The files of the step at hand. */
static int add_files(struct attempt *at, struct checkpoint_builder *builder, struct error *err)
{
	struct checkpoint_file *files = arena_alloc(at->ld->model->arena, at->ranks.count, sizeof(*files));
	uint64_t n = 0;

	if (!files)
		return error_nomem(err);
	for (uint64_t i = 0; i < at->ranks.count; i++)
		if (at->paths[i]) {
			files[n++] = (struct checkpoint_file){ .path = at->paths[i], .rank = at->ranks.folders[i].rank };
			at->ld->sample = strrchr(at->paths[i], '/') + 1;
		}
	return load_add(at->ld, builder, files, n, err);
}

/* Builds the checkpoint of the step whose files are at->paths. -ENODATA when a block is held by no rank. */
static int build(struct attempt *at, struct error *err)
{
	struct model *m = at->ld->model;
	struct checkpoint_builder *builder = checkpoint_begin(m->arena, &at->options);
	struct checkpoint *ckpt;
	int code = builder ? load_begin_sources(at->ld, err) : error_nomem(err);

	if (code == 0)
		code = add_files(at, builder, err);
	if (code < 0) {
		checkpoint_abandon(builder);
		return code;
	}
	code = checkpoint_finish(builder, &ckpt, err);
	if (code == 0)
		m->checkpoint = ckpt;
	return code;
}

/*
 * A rank that several SOURCEs have must be the same in all: then the first is read. The whole files are compared, for nothing else
 * tells.
 */
static int drop_copies(struct attempt *at, struct error *err)
{
	uint64_t kept = 0;
	int code = 0;

	for (uint64_t i = 1; code == 0 && i < at->ranks.count; i++) {
		if (at->ranks.folders[i].rank != at->ranks.folders[kept].rank || !at->paths[kept]) {
			kept = i;
		} else if (at->paths[i]) {
			code = equal_check(at->paths[kept], at->paths[i], at->ld->options->fence, err);
			at->paths[i] = NULL;
		}
	}
	return code;
}

/*
 * True when a rank that has other steps lacks the one at hand: then the step may still be in the making. A rank's first folder with
 * the step is enough, for drop_copies() has taken the others away.
 */
static bool some_rank_lacks(const struct attempt *at)
{
	const struct ranks_folder *f = at->ranks.folders;

	for (uint64_t i = 0, end; i < at->ranks.count; i = end) {
		bool here = false, any = false;

		for (end = i; end < at->ranks.count && f[end].rank == f[i].rank; end++) {
			here |= at->paths[end] != NULL;
			any |= f[end].count > 0;
		}
		if (any && !here)
			return true;
	}
	return false;
}

static int try_steps(struct attempt *at, struct error *err)
{
	struct arena *arena = at->ld->model->arena;
	struct error newest, later;
	struct step *steps;
	uint64_t count;
	int code = ranks_steps(&at->ranks, arena, &steps, &count, err);

	if (code < 0)
		return code;
	if (count == 0)
		return error_set(err, -ENOENT, "%s: the rank folders hold no .safetensors file", at->ld->source);
	code = -ENODATA;
	for (uint64_t i = 0; code == -ENODATA && i < count; i++) {
		const char *name = at->ld->model->step = ranks_step_name(&steps[i], arena);

		at->ld->step = steps[i];
		code = ranks_at_step(&at->ranks, &steps[i], arena, at->paths, &later);
		if (code == 0)
			code = drop_copies(at, &later);
		if (code == 0)
			code = build(at, &later);
		if (code < 0 && (i == 0 || code != -ENODATA))
			newest = later;
		if (code == -ENODATA && !some_rank_lacks(at))
			break;
		if (code == -ENODATA && load_warn(at->ld, arena_printf(arena, "step %s is not complete: %s", name, later.msg), err) < 0)
			return -ENOMEM;
	}
	if (code < 0)
		*err = newest;
	return code;
}

static int fill_checkpoint(struct attempt *at, struct error *err)
{
	const char *suffix = at->ld->options->step;
	struct step step = { 0 };
	int code;

	if (!suffix)
		return try_steps(at, err);
	code = ranks_at_suffix(&at->ranks, suffix, at->ld->model->arena, at->paths, &step, err);
	if (code < 0)
		return error_prefix(err, code, "%s", at->ld->source);
	at->ld->step = step;
	at->ld->model->step = ranks_step_name(&step, at->ld->model->arena);
	code = drop_copies(at, err);
	return code == 0 ? build(at, err) : code;
}

static const char *name_of(const char *path)
{
	return strrchr(path, '/') + 1;
}

/* True when both are named for a step of a training, and begin differently. */
static bool are_of_two(const char *a, const char *b)
{
	size_t len = step_prefix(a);

	return step_parse(a).counted && step_parse(b).counted && (step_prefix(b) != len || memcmp(a, b, len) != 0);
}

/* A step is one by its numbers: two trainings may have saved it into one folder, each some of the ranks. */
static int warn_of_two(struct attempt *at, uint64_t first, struct error *err)
{
	for (uint64_t i = first + 1; i < at->ranks.count; i++)
		if (at->paths[i] && are_of_two(name_of(at->paths[first]), name_of(at->paths[i])))
			return load_warn(at->ld, arena_printf(at->ld->model->arena, "the files of this step begin differently (%s, %s): they may be of two "
							      "trainings", at->paths[first], at->paths[i]), err);
	return 0;
}

/* What the user should know though it is no error. */
static int warn(struct attempt *at, struct error *err)
{
	struct loading *ld = at->ld;
	const struct sources *s = ld->model->sources;
	time_t strategy = ld->base->strategy.newest.tv_sec;
	uint64_t first = 0;
	int code = 0;

	while (!at->paths[first])
		first++;
	if (at->ranks.folders[first].rank != 0)
		code = load_warn(ld, arena_printf(ld->model->arena, "rank_0 has no file of this step: parameters outside the strategy are rank_%u's",
						  at->ranks.folders[first].rank), err);
	if (code == 0)
		code = warn_of_two(at, first, err);
	for (uint32_t i = 0; code == 0 && i < s->count; i++)
		if (strategy > s->list[i].stamp.mtime.tv_sec)
			return load_warn(ld, "the strategy files are newer than the step: a later training may have rewritten them", err);
	return code;
}

int load_ranks(const struct options *o, bool early, struct arena *arena, struct ranks *out, struct error *err)
{
	const struct options_list *sources = &o->source;
	struct ranks *parts = arena_alloc(arena, sources->count, sizeof(*parts));
	int code = parts ? 0 : error_nomem(err);

	for (uint32_t i = 0; code == 0 && i < sources->count; i++) {
		struct scan_list entries;

		code = scan_dir(sources->item[i], o->fence, arena, &entries, err);
		if (code == 0)
			code = ranks_scan(sources->item[i], &entries, arena, &parts[i], err);
		if (code == 0 && sources->count > 1 && parts[i].count == 0 && !early)
			code = error_set(err, -EINVAL, "%s: no rank_N folders; several SOURCEs are the nodes of one training", sources->item[i]);
	}
	return code == 0 ? ranks_unite(parts, sources->count, arena, out, err) : code;
}

/* The ranks that have folders, each once. */
static int list_ranks(struct attempt *at, struct error *err)
{
	uint32_t *list = arena_alloc(at->ld->model->arena, at->ranks.count, sizeof(*list));
	uint64_t n = 0;

	if (!list)
		return error_nomem(err);
	for (uint64_t i = 0; i < at->ranks.count; i++)
		if (n == 0 || list[n - 1] != at->ranks.folders[i].rank)
			list[n++] = at->ranks.folders[i].rank;
	at->ld->ranks = list;
	at->ld->rank_count = n;
	return 0;
}

/* What holds for every step of the ranks that were found. */
static int prepare(struct attempt *at, struct error *err)
{
	struct loading *ld = at->ld;
	struct model *m = ld->model;
	const struct strategies *s = &ld->base->strategy;

	at->options.filter = ld->options->filter.item;
	at->options.filter_count = ld->options->filter.count;
	at->options.outside_rank0 = ld->options->outside_rank0;
	at->options.keep_copies = ld->look != NULL;
	at->options.strategy = m->strategy = s->strategy;
	at->options.kind = s->strategy ? CHECKPOINT_SHARDED : CHECKPOINT_REPLICATED;
	at->paths = arena_alloc(m->arena, at->ranks.count, sizeof(*at->paths));
	m->strategy_files = (struct model_texts){ s->paths, s->count };
	m->kind = arena_printf(m->arena, "distributed, %llu rank folders", (unsigned long long)at->ranks.count);
	for (uint32_t i = 1; i < ld->options->source.count; i++)
		load_folder_mode(ld, ld->options->source.item[i]);
	for (uint64_t i = 0; i < at->ranks.count; i++)
		load_folder_mode(ld, at->ranks.folders[i].path);
	int code = at->paths && m->kind ? list_ranks(at, err) : error_nomem(err);

	return code == 0 ? load_to_needs(ld, &at->options.needs, err) : code;
}

int load_ranks_fill(struct loading *ld, bool *found, struct error *err)
{
	struct attempt at = { .ld = ld };
	int code = load_ranks(ld->options, false, ld->model->arena, &at.ranks, err);

	*found = code == 0 && at.ranks.count;
	if (!*found)
		return code;
	code = load_base_strategy(ld->base, &at.ranks, err);
	if (code == 0)
		code = prepare(&at, err);
	if (code == 0)
		code = fill_checkpoint(&at, err);
	return code == 0 ? warn(&at, err) : code;
}

int load_ranks_one(struct loading *ld, const struct load_step *step, struct error *err)
{
	struct attempt at = { .ld = ld, .ranks = *step->ranks };
	int code = prepare(&at, err);

	if (code < 0)
		return code;
	for (uint64_t i = 0; i < at.ranks.count; i++)
		at.paths[i] = step->paths[i];
	ld->step = *step->step;
	ld->model->step = ranks_step_name(step->step, ld->model->arena);
	code = ld->model->step ? drop_copies(&at, err) : error_nomem(err);
	if (code == 0)
		code = build(&at, err);
	return code == 0 ? warn(&at, err) : code;
}
