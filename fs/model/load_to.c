/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rank views: the target strategy, which of its ranks, and how the files are called. Names and counters are the source's, so that
 * a training finds what it would have saved itself; a unified source has them in its counters, if anywhere.
 */
#include <errno.h>
#include <string.h>

#include "fs/model/loading.h"

#define SHOWN_MAX 65536 /* ranks: a folder, a file and a meta.json each, more than any training has; a strategy may claim millions */

static void take_target(const struct loading *ld, struct view_rank_options *vo)
{
	vo->source = ld->model->strategy;
	vo->target = ld->options->to ? ld->base->target.strategy : vo->source;
}

static bool is_wanted(const struct options *o, uint32_t rank)
{
	for (uint32_t i = 0; i < o->range_count; i++)
		if (rank >= o->ranks[i].first && rank <= o->ranks[i].last)
			return true;
	return o->range_count == 0;
}

/*
 * The ranks that there are: all of a strategy. Without one (to=same of whole tensors) they are those that have a folder, which may be
 * few and far apart.
 */
static int list_ranks(const struct loading *ld, const struct strategy *target, const uint32_t **out, uint64_t *count, struct error *err)
{
	uint32_t world = target ? target->stages * target->per_stage : 0;
	uint32_t *all = arena_alloc(ld->model->arena, world, sizeof(*all));

	for (uint32_t r = 0; all && r < world; r++)
		all[r] = r;
	*out = target ? all : ld->ranks;
	*count = target ? world : ld->rank_count;
	return all ? 0 : error_nomem(err);
}

/* Every rank that is asked for must be there. */
static int check_wanted(const struct options *o, const uint32_t *all, uint64_t count, struct error *err)
{
	uint64_t at = 0;

	for (uint32_t i = 0; i < o->range_count; i++)
		for (uint32_t r = o->ranks[i].first; r <= o->ranks[i].last; r++) {
			while (at < count && all[at] < r)
				at++;
			if (at == count)
				return error_set(err, -EINVAL, "ranks=: rank %u, but the target has ranks %u to %u",
						 o->ranks[o->range_count - 1].last, all[0], all[count - 1]);
			if (all[at] != r)
				return error_set(err, -EINVAL, "ranks=: rank %u is asked for, but has no folder", r);
		}
	return 0;
}

static int take_ranks(struct loading *ld, struct view_rank_options *vo, struct error *err)
{
	const uint32_t *all;
	uint32_t *wanted;
	uint64_t count;
	int code = list_ranks(ld, vo->target, &all, &count, err);

	if (code == 0)
		code = check_wanted(ld->options, all, count, err);
	if (code < 0)
		return code;
	vo->ranks = wanted = arena_alloc(ld->model->arena, count, sizeof(*wanted));
	if (!wanted)
		return error_nomem(err);
	for (uint64_t i = 0; i < count; i++)
		if (is_wanted(ld->options, all[i]))
			wanted[vo->rank_count++] = all[i];
	if (vo->rank_count > SHOWN_MAX)
		return error_set(err, -E2BIG, "to=: %llu ranks are more than the %d that one view shows; ranks= names some of them",
				 (unsigned long long)vo->rank_count, SHOWN_MAX);
	return 0;
}

static void take_counters(const struct loading *ld, struct view_rank_options *vo)
{
	vo->counted = ld->step.counted;
	vo->epoch = ld->step.epoch;
	vo->step = ld->step.step;
	if (!vo->counted)
		vo->counted = load_counter(ld, "epoch_num", &vo->epoch) && load_counter(ld, "step_num", &vo->step);
}

static int take_prefix(const struct loading *ld, struct view_rank_options *vo, struct error *err)
{
	size_t len = ld->sample ? step_prefix(ld->sample) : 0;

	vo->prefix = ld->options->prefix ? ld->options->prefix : len ? arena_strndup(ld->model->arena, ld->sample, len) : "net";
	return vo->prefix ? 0 : error_nomem(err);
}

/* How many entries of the ranks that are shown are for tensors that the source does not have. */
static int count_absent(const struct checkpoint *c, const struct view_rank_options *vo, struct arena *arena, uint64_t *absent)
{
	bool *shown = arena_alloc(arena, vo->target->stages, sizeof(*shown));

	if (!shown)
		return -ENOMEM;
	for (uint64_t r = 0; r < vo->rank_count; r++)
		shown[vo->ranks[r] / vo->target->per_stage] = true;
	for (uint64_t i = 0; i < vo->target->count; i++) {
		const struct strategy_entry *e = &vo->target->entries[i];

		*absent += shown[e->stage] && !checkpoint_find(c->tensors, c->count, e->name);
	}
	return 0;
}

/* What the target does not list is in no rank, and what it lists may be in no file; both are said. */
static int warn(struct loading *ld, const struct view_rank_options *vo, struct error *err)
{
	const struct checkpoint *c = ld->model->checkpoint;
	struct arena *arena = ld->model->arena;
	uint64_t count, beyond = 0, absent = 0;
	int code = 0;

	if (ld->options->to) {
		for (uint64_t i = 0; i < c->count; i++)
			beyond += !strategy_find(vo->target, c->tensors[i].name, &count);
		if (count_absent(c, vo, arena, &absent) < 0)
			return error_nomem(err);
	}
	if (beyond)
		code = load_warn(ld, arena_printf(arena, "%llu tensors are not in the target strategy and so in no rank",
						  (unsigned long long)beyond), err);
	if (code == 0 && absent)
		code = load_warn(ld, arena_printf(arena, "%llu entries of the target strategy are for tensors that the source does not have",
						  (unsigned long long)absent), err);
	if (code == 0 && vo->rank_count > 8)
		code = load_warn(ld, "more than 8 ranks: MindSpore Transformers believes that a mount is shared by all of its hosts only when the "
				 "environment variable SHARED_PATHS names the mount point", err);
	return code;
}

/*
 * Where the target knows the tensors by the names of the files, only what its ranks hold has to be there: a node without the others'
 * disks can show its own ranks.
 */
int load_to_needs(struct loading *ld, const struct checkpoint_needs **out, struct error *err)
{
	const struct options *o = ld->options;
	bool ranks = (o->to || o->to_same) && (!ld->look || ld->look->view), renamed = o->has_names || (o->to && o->rename.count);
	struct view_rank_options *vo = arena_alloc(ld->model->arena, 1, sizeof(*vo));
	struct checkpoint_needs *needs = arena_alloc(ld->model->arena, 1, sizeof(*needs));
	int code = vo && needs ? 0 : error_nomem(err);

	*out = NULL;
	if (code < 0 || !ranks || renamed)
		return code;
	code = load_base_target(ld->base, err);
	if (code < 0)
		return code;
	take_target(ld, vo);
	code = take_ranks(ld, vo, err);
	*needs = (struct checkpoint_needs){ view_ranks_reads, vo };
	if (code == 0 && vo->target)
		*out = needs;
	return code;
}

int load_to_ranks(struct loading *ld, struct error *err)
{
	struct model *m = ld->model;
	struct view_rank_options vo = { 0 };
	int code;

	take_target(ld, &vo);
	code = take_ranks(ld, &vo, err);
	if (code == 0)
		code = take_prefix(ld, &vo, err);
	if (code < 0)
		return code;
	take_counters(ld, &vo);
	code = view_ranks(m->checkpoint, &vo, m->arena, &m->view, err);
	return code == 0 ? warn(ld, &vo, err) : code;
}
