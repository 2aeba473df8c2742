/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "fs/source/iteration.h"
#include "fs/source/kinds.h"
#include "layout/formats/step.h"

static bool has_both(const struct scan_list *entries)
{
	bool ranks = false, iterations = false;
	uint64_t number;

	for (uint64_t i = 0; i < entries->count; i++) {
		const struct scan_entry *e = &entries->entries[i];

		ranks |= e->is_dir && step_rank_of_dir(e->name, &number);
		iterations |= e->is_dir && iteration_number(e->name, &number);
	}
	return ranks && iterations;
}

/* A strategy is of ranks, and so is a step with two numbers; an iteration has a name of its own. A lone number may be either's. */
int kinds_choose(const struct options *o, const struct scan_list *entries, enum kinds *out, struct error *err)
{
	uint64_t number;

	*out = KINDS_ANY;
	if (o->source.count > 1 || !has_both(entries))
		return 0;
	if (o->step && iteration_number(o->step, &number))
		*out = KINDS_ITERATIONS;
	else if (o->strategy.count || o->strategy_none || (o->step && strpbrk(o->step, "_-")))
		*out = KINDS_RANKS;
	if (*out != KINDS_ANY)
		return 0;
	if (o->all_steps)
		return error_set(err, -EINVAL,
				 "%s: holds both rank_N and iteration_N folders: strategy= means the steps of the ranks; for the "
				 "iterations make a folder of links to them",
				 o->source.item[0]);
	return error_set(err, -EINVAL,
			 "%s: holds both rank_N and iteration_N folders: step=iteration_N, with all its digits, means one of these; "
			 "step=EPOCH_STEP or strategy= mean the ranks",
			 o->source.item[0]);
}
