/* SPDX-License-Identifier: Apache-2.0 */
/* The strategies that the models of a mount share. Each has an arena of its own: looking for one in vain must leave nothing behind. */
#include <errno.h>
#include <stdlib.h>

#include "fs/base/threads.h"
#include "fs/model/load.h"

static int read_target(struct load_base *base, struct error *err)
{
	const struct options *o = base->options;
	const char *item[1] = { o->to };
	struct options_list one = { .item = item, .count = 1 };
	struct strategies_look look = { .sources = &o->source, .named = &one, .fence = o->fence };
	int code;

	base->target_arena = arena_new();
	if (!base->target_arena)
		return error_nomem(err);
	code = strategies_load(&look, base->target_arena, &base->target, err);
	return code < 0 ? error_prefix(err, code, "to=") : 0;
}

static void *run(void *arg)
{
	struct load_base *base = arg;

	base->target_code = read_target(base, &base->target_error);
	return NULL;
}

/* Where there is no thread for it, it is read now. */
static void begin_target(struct load_base *base)
{
	struct error ignored;

	base->reading = threads_start(&base->reader, run, base, &ignored) == 0;
	if (!base->reading)
		run(base);
}

static void end_target(struct load_base *base)
{
	if (base->reading)
		pthread_join(base->reader, NULL);
	base->reading = false;
}

int load_base_target(struct load_base *base, struct error *err)
{
	end_target(base);
	if (base->target_code < 0)
		*err = base->target_error;
	return base->target_code;
}

int load_base_new(const struct options *options, struct load_base **out, struct error *err)
{
	struct load_base *base = calloc(1, sizeof(*base));
	int code = 0;

	if (!base)
		return error_nomem(err);
	base->options = options;
	base->problems = problem_list_new();
	base->fds = fds_new(fds_limit());
	if (!base->problems || !base->fds)
		code = error_nomem(err);
	if (code < 0) {
		load_base_free(base);
		return code;
	}
	if (options->to)
		begin_target(base);
	*out = base;
	return 0;
}

void load_base_free(struct load_base *base)
{
	if (!base)
		return;
	end_target(base);
	problem_list_free(base->problems);
	fds_free(base->fds);
	arena_free(base->arena);
	arena_free(base->target_arena);
	free(base);
}

static int find_strategy(struct load_base *base, bool optional, struct error *err)
{
	const struct options *o = base->options;
	struct strategies found;
	struct strategies_look look = { .sources = &o->source, .named = &o->strategy, .optional = optional, .fence = o->fence };
	struct arena *arena = arena_new();
	int code = arena ? strategies_load(&look, arena, &found, err) : error_nomem(err);

	if (code < 0 || !found.strategy) {
		arena_free(arena);
		return code;
	}
	base->strategy = found;
	base->arena = arena;
	return 0;
}

int load_base_strategy(struct load_base *base, const struct ranks *ranks, struct error *err)
{
	bool lone = ranks->count == 1 && base->options->source.count == 1 && ranks->folders[0].rank == 0;
	const struct ranks_folder *last = &ranks->folders[ranks->count - 1];
	int code = base->strategy.strategy || base->options->strategy_none ? 0 : find_strategy(base, lone, err);
	const struct strategy *s = base->strategy.strategy;

	if (code < 0 || !s || last->rank / s->per_stage < s->stages)
		return code;
	return error_set(err, -EINVAL, "%s: rank %u, but the strategy is for ranks 0 to %u (%u stages of %u)", last->path, last->rank,
			 s->stages * s->per_stage - 1, s->stages, s->per_stage);
}
