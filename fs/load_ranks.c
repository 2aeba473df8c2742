/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A distributed SOURCE: rank folders and a strategy. One step serves all ranks. Steps are tried from the newest on; one that
 * leaves a block without a rank while some rank lacks its file is not complete, and the next older one is tried. Any other
 * error ends the mount: an older step must never stand in for a broken one without a word.
 */
#include <errno.h>
#include <string.h>

#include "fs/equal.h"
#include "fs/loading.h"
#include "fs/ranks.h"
#include "fs/strategies.h"

/* What the attempts at one step and the next share. */
struct attempt {
	struct loading *ld;
	struct ranks ranks;
	struct checkpoint_options options;
	const char **paths; /* [ranks.count] of the step at hand; NULL where a rank has none */
};

/* Builds the checkpoint of the step whose files are at->paths. -ENODATA when a block is held by no rank. */
static int build(struct attempt *at, struct error *err)
{
	struct model *m = at->ld->model;
	struct checkpoint_builder *builder = checkpoint_begin(m->arena, &at->options);
	struct checkpoint *ckpt;
	int code = 0;

	if (!builder)
		return error_nomem(err);
	source_list_free(m->sources);
	m->sources = source_list_new();
	if (!m->sources)
		code = error_nomem(err);
	for (uint64_t i = 0; code == 0 && i < at->ranks.count; i++)
		if (at->paths[i]) {
			struct checkpoint_file file = { .path = at->paths[i], .rank = at->ranks.folders[i].rank };

			code = load_add(at->ld, builder, &file, err);
			at->ld->sample = strrchr(at->paths[i], '/') + 1;
		}
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
			code = equal_check(at->paths[kept], at->paths[i], err);
			at->paths[i] = NULL;
		}
	}
	return code;
}

/* True when a rank that has other steps lacks the one at hand: then the step may still be in the making. */
static bool some_rank_lacks(const struct attempt *at)
{
	for (uint64_t i = 0; i < at->ranks.count; i++)
		if (!at->paths[i] && at->ranks.folders[i].count)
			return true;
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

static int check_world(const struct ranks *ranks, const struct strategy *s, struct error *err)
{
	const struct ranks_folder *last = &ranks->folders[ranks->count - 1];

	if (!s || last->rank / s->per_stage < s->stages)
		return 0;
	return error_set(err, -EINVAL, "%s: rank %u, but the strategy is for ranks 0 to %u (%u stages of %u)", last->path, last->rank,
			 s->stages * s->per_stage - 1, s->stages, s->per_stage);
}

static int take_strategy(struct attempt *at, struct timespec *newest, struct error *err)
{
	struct loading *ld = at->ld;
	bool lone = at->ranks.count == 1 && ld->options->source.count == 1 && at->ranks.folders[0].rank == 0;
	struct strategies found = { 0 };
	int code = 0;

	if (!ld->options->strategy_none)
		code = strategies_load(&ld->options->source, &ld->options->strategy, lone, ld->model->arena, &found, err);
	if (code < 0)
		return code;
	ld->model->strategy = at->options.strategy = found.strategy;
	ld->model->strategy_files = (struct model_texts){ found.paths, found.count };
	at->options.kind = found.strategy ? CHECKPOINT_SHARDED : CHECKPOINT_REPLICATED;
	*newest = found.newest;
	return check_world(&at->ranks, found.strategy, err);
}

/* What the user should know though it is no error. */
static int warn(struct attempt *at, const struct timespec *strategy, struct error *err)
{
	struct loading *ld = at->ld;
	const struct sources *s = ld->model->sources;
	uint64_t first = 0;
	int code = 0;

	while (!at->paths[first])
		first++;
	if (at->ranks.folders[first].rank != 0)
		code = load_warn(ld, arena_printf(ld->model->arena, "rank_0 has no file of this step: parameters outside the strategy are rank_%u's",
						  at->ranks.folders[first].rank), err);
	for (uint32_t i = 0; code == 0 && i < s->count; i++)
		if (strategy->tv_sec > s->list[i].stamp.mtime.tv_sec)
			return load_warn(ld, "the strategy files are newer than the step: a later training may have rewritten them", err);
	return code;
}

/* The rank folders of all SOURCEs together. */
static int scan_all(struct loading *ld, struct ranks *out, struct error *err)
{
	const struct options_list *sources = &ld->options->source;
	struct ranks *parts = arena_alloc(ld->model->arena, sources->count, sizeof(*parts));
	int code = parts ? 0 : error_nomem(err);

	for (uint32_t i = 0; code == 0 && i < sources->count; i++) {
		struct scan_list entries = ld->entries;

		load_folder_mode(ld, sources->item[i]);
		if (i > 0)
			code = scan_dir(sources->item[i], ld->model->arena, &entries, err);
		if (code == 0)
			code = ranks_scan(sources->item[i], &entries, ld->model->arena, &parts[i], err);
		if (code == 0 && sources->count > 1 && parts[i].count == 0)
			code = error_set(err, -EINVAL, "%s: no rank_N folders; several SOURCEs are the nodes of one training", sources->item[i]);
	}
	return code == 0 ? ranks_unite(parts, sources->count, ld->model->arena, out, err) : code;
}

int load_ranks_fill(struct loading *ld, bool *found, struct error *err)
{
	struct attempt at = { .ld = ld };
	struct timespec strategy = { 0 };
	struct model *m = ld->model;
	int code = scan_all(ld, &at.ranks, err);

	*found = code == 0 && at.ranks.count;
	if (!*found)
		return code;
	at.options.filter = ld->options->filter.item;
	at.options.filter_count = ld->options->filter.count;
	at.options.outside_rank0 = ld->options->outside_rank0;
	at.paths = arena_alloc(m->arena, at.ranks.count, sizeof(*at.paths));
	m->kind = arena_printf(m->arena, "distributed, %llu rank folders", (unsigned long long)at.ranks.count);
	ld->rank_end = at.ranks.folders[at.ranks.count - 1].rank + 1;
	for (uint64_t i = 0; i < at.ranks.count; i++)
		load_folder_mode(ld, at.ranks.folders[i].path);
	code = at.paths && m->kind ? take_strategy(&at, &strategy, err) : error_nomem(err);
	if (code == 0)
		code = fill_checkpoint(&at, err);
	return code == 0 ? warn(&at, &strategy, err) : code;
}
