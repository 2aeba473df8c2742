/* SPDX-License-Identifier: Apache-2.0 */
/* Ranks that have no file, or lack tensors that the strategy gives them. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "fs/verbs/checking.h"
#include "layout/checkpoint/describe.h"
#include "layout/checkpoint/summary.h"
#include "layout/formats/step.h"

/* What is known of one rank. */
struct rank {
	bool has_file;       /* of this step, good or bad */
	bool has_tensors;    /* a file of it was understood */
	uint64_t lacks;      /* tensors */
	const char *example; /* one of them */
};

/* The rank of a file by the folder that it is in; false for a file in no rank folder. */
static bool rank_of(const char *path, uint64_t *rank)
{
	const char *end = strrchr(path, '/'), *begin = end;
	char name[64];

	while (begin && begin > path && begin[-1] != '/')
		begin--;
	if (!begin || end == begin || (size_t)(end - begin) >= sizeof(name))
		return false;
	memcpy(name, begin, (size_t)(end - begin));
	name[end - begin] = '\0';
	return step_rank_of_dir(name, rank);
}

/* False when no file is in a rank folder: an iteration's are in one, and its metadata.json, not the strategy, says which there must be. */
static bool find_files(const struct check *c, struct rank *ranks, uint64_t world)
{
	const struct sources *s = c->model->sources;
	bool any = false;

	for (uint32_t i = 0; i < s->count; i++) {
		uint64_t rank;

		if (rank_of(s->list[i].path, &rank) && rank < world)
			any = ranks[rank].has_file = true;
	}
	for (uint64_t i = 0; i < c->replicas.count; i++)
		ranks[c->replicas.list[i].copy.rank].has_tensors = true;
	return any;
}

/* What one stage should hold of a tensor, but for the ranks whose files are not there at all. */
static void find_lacks(const struct strategy *s, const struct strategy_entry *entry, const struct tensor *t, struct rank *ranks)
{
	const struct checkpoint_holding *h = NULL;
	uint32_t at = 0, count;

	for (uint32_t i = 0; i < t->holding_count; i++)
		if (t->holdings[i].stage == entry->stage)
			h = &t->holdings[i];
	count = h ? h->copies.count : 0;
	for (uint32_t local = 0; local < s->per_stage; local++) {
		uint32_t rank = entry->stage * s->per_stage + local;

		if (at < count && h->copies.list[at].rank == rank) {
			at++;
		} else if (ranks[rank].has_tensors) {
			ranks[rank].lacks++;
			ranks[rank].example = t->name;
		}
	}
}

static void find_all_lacks(const struct check *c, struct rank *ranks)
{
	const struct strategy *s = c->model->strategy;
	const struct checkpoint *ckpt = c->model->checkpoint;

	for (uint64_t i = 0; i < ckpt->count; i++) {
		const struct tensor *t = &ckpt->tensors[i];
		uint64_t n = 0;
		const struct strategy_entry *e = t->holding_count ? strategy_find(s, t->source_name, &n) : NULL;

		for (uint64_t k = 0; k < n; k++)
			find_lacks(s, &e[k], t, ranks);
	}
}

static void tell_missing(struct check *c, const struct rank *ranks, uint32_t world)
{
	uint32_t *missing = arena_alloc(c->arena, world, sizeof(*missing)), count = 0;
	struct text list = TEXT_EMPTY;
	struct finding *f;

	c->findings.failed |= !missing;
	for (uint32_t r = 0; missing && r < world; r++)
		if (!ranks[r].has_file)
			missing[count++] = r;
	if (count == 0)
		return;
	describe_rank_list(&list, missing, count);
	f = findings_add(&c->findings, FINDINGS_MISSING, false, "%s %s of the strategy's %u %s no file of this step; others hold all that "
			 "%s would", count == 1 ? "rank" : "ranks", list.ptr ? list.ptr : "", world, count == 1 ? "has" : "have",
			 count == 1 ? "it" : "they");
	c->findings.failed |= list.failed;
	text_free(&list);
	f->ranks = missing;
	f->rank_count = count;
}

static void tell_lacks(struct check *c, const struct rank *ranks, uint32_t world)
{
	for (uint32_t r = 0; r < world; r++) {
		uint32_t *one = ranks[r].lacks ? arena_alloc(c->arena, 1, sizeof(*one)) : NULL;
		struct finding *f;

		if (!one)
			continue;
		*one = r;
		f = findings_add(&c->findings, FINDINGS_MISSING, true, "rank %u lacks %" PRIu64 " of the tensors that the strategy gives it, such "
				 "as \"%s\", and no file says that redundancy was removed", r, ranks[r].lacks, ranks[r].example);
		f->ranks = one;
		f->rank_count = 1;
		f->tensor = ranks[r].example;
	}
}

void check_ranks(struct check *c)
{
	const struct strategy *s = c->model->strategy;
	uint32_t world = s ? s->stages * s->per_stage : 0;
	struct rank *ranks = calloc(world + 1, sizeof(*ranks));
	struct summary sum;

	c->findings.failed |= !ranks;
	if (s && ranks && find_files(c, ranks, world)) {
		summary_of(c->model->checkpoint, &sum);
		if (!sum.deduplicated)
			find_all_lacks(c, ranks);
		tell_missing(c, ranks, world);
		tell_lacks(c, ranks, world);
	}
	free(ranks);
}
