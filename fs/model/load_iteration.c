/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A SOURCE that MindSpore Transformers 2.x saved: folders of iterations, or one such folder. metadata.json says which file is whose and
 * how everything is cut, so it is both the list of files and the strategy. Without it the files are those of the only rank.
 *
 * The iteration that the tracker names is complete, for it is written last. Without a tracker the newest is taken whose files are all
 * there. Any other error ends the mount: an older iteration must never stand in for a broken one without a word.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "fs/model/loading.h"
#include "fs/source/iteration.h"
#include "fs/source/slurp.h"
#include "layout/checkpoint/counters.h"
#include "layout/checkpoint/metadata.h"

#define METADATA_MAX (UINT64_C(256) << 20) /* bytes */
#define COMMON_MAX   (UINT64_C(64) << 20)  /* bytes */

/* An attempt at one iteration. */
struct attempt {
	struct loading *ld;
	const struct iteration *it;
	struct scan_list entries; /* of its folder */
	struct metadata *md;      /* NULL without metadata.json */
	struct checkpoint_options options;
};

static bool has_file(const struct scan_list *list, const char *name)
{
	for (uint64_t i = 0; i < list->count; i++)
		if (list->entries[i].is_file && strcmp(list->entries[i].name, name) == 0)
			return true;
	return false;
}

static const char *beside(const struct attempt *at, const char *name)
{
	return arena_printf(at->ld->model->arena, "%s/%s", at->it->path, name);
}

static int read_metadata(struct attempt *at, struct error *err)
{
	const char *path = beside(at, "metadata.json");
	struct arena *scratch = arena_new();
	struct bytes text;
	struct slurp how = { .arena = scratch, .max = METADATA_MAX, .fence = at->ld->options->fence };
	int code = scratch && path ? slurp_file(path, &how, &text, err) : error_nomem(err);

	if (code == 0 && (code = metadata_parse(text, path, at->ld->model->arena, &at->md, err)) < 0)
		error_prefix(err, code, "%s", path);
	arena_free(scratch);
	return code;
}

/* All files must be there before one is opened: else the iteration may still be in the making. */
static int check_files(const struct attempt *at, struct error *err)
{
	for (uint64_t i = 0; i < at->md->file_count; i++)
		if (!has_file(&at->entries, at->md->files[i].name))
			return error_set(err, -ENODATA, "%s/%s: is missing, but metadata.json says that rank %u saved it", at->it->path,
					 at->md->files[i].name, at->md->files[i].rank);
	if (at->md->file_count == 0)
		return error_set(err, -EINVAL, "%s/metadata.json: storage_data names no file", at->it->path);
	return 0;
}

static int add_stored(struct attempt *at, struct checkpoint_builder *builder, struct error *err)
{
	const struct metadata_file *stored = at->md->files;
	struct checkpoint_file *files = arena_alloc(at->ld->model->arena, at->md->file_count, sizeof(*files));
	int code = files ? check_files(at, err) : error_nomem(err);

	for (uint64_t i = 0; code == 0 && i < at->md->file_count; i++) {
		files[i] = (struct checkpoint_file){ .path = beside(at, stored[i].name), .rank = stored[i].rank };
		code = files[i].path ? 0 : error_nomem(err);
	}
	return code == 0 ? load_add(at->ld, builder, files, at->md->file_count, err) : code;
}

/* Lists the files of an only rank. Those of several say how many there are. */
static int list_lone(struct attempt *at, struct checkpoint_file *list, uint64_t *count, struct error *err)
{
	uint64_t files;
	size_t prefix;

	for (uint64_t i = 0; i < at->entries.count; i++) {
		const struct scan_entry *e = &at->entries.entries[i];

		if (!e->is_file || !step_is_weights(e->name) || step_is_ckpt(e->name))
			continue;
		if (iteration_weights(e->name, &prefix, &files) && files > 1)
			return error_set(err, -ENODATA, "%s/metadata.json: is missing, but %s is one of %llu files", at->it->path, e->name,
					 (unsigned long long)files);
		list[*count].path = beside(at, e->name);
		if (!list[(*count)++].path)
			return error_nomem(err);
	}
	if (*count == 0)
		return error_set(err, -ENODATA, "%s: neither metadata.json nor .safetensors files in it", at->it->path);
	return 0;
}

static int add_lone(struct attempt *at, struct checkpoint_builder *builder, struct error *err)
{
	struct checkpoint_file *files = arena_alloc(at->ld->model->arena, at->entries.count, sizeof(*files));
	uint64_t count = 0;
	int code = files ? list_lone(at, files, &count, err) : error_nomem(err);

	return code == 0 ? load_add(at->ld, builder, files, count, err) : code;
}

static int twice(const struct loading *ld, const char *name, const struct checkpoint_copies *copies, struct error *err)
{
	const struct source *s = ld->model->sources->list;

	if (copies->count < 2)
		return 0;
	return error_set(err, -EINVAL, "tensor \"%s\" is in %s and in %s, and no metadata.json says why", name, s[copies->list[0].piece.source].path,
			 s[copies->list[1].piece.source].path);
}

/* Only metadata.json can say that two files hold the same tensor, or parts of one. */
static int check_once(const struct loading *ld, const struct checkpoint *ckpt, struct error *err)
{
	int code = 0;

	for (uint64_t i = 0; code == 0 && i < ckpt->count; i++)
		if (ckpt->tensors[i].holding_count)
			code = twice(ld, ckpt->tensors[i].name, &ckpt->tensors[i].holdings[0].copies, err);
	for (uint64_t i = 0; code == 0 && i < ckpt->outside_count; i++)
		code = twice(ld, ckpt->outside[i].name, &ckpt->copies[i], err);
	return code;
}

/* The counters, which are beside the tensors here, become tensors again for those who look for them there. */
static int take_counters(struct attempt *at, struct checkpoint *ckpt, struct error *err)
{
	struct loading *ld = at->ld;
	const char *path = beside(at, "common.json");
	struct slurp how = { .arena = ld->model->arena, .max = COMMON_MAX, .fence = ld->options->fence };
	struct counters c;
	struct bytes text;
	int code;

	if (!has_file(&at->entries, "common.json"))
		return load_warn(ld, "common.json is missing: the counters of the training are not known", err);
	code = path ? slurp_file(path, &how, &text, err) : error_nomem(err);
	if (code == 0 && (code = counters_parse(text, &c, err)) < 0)
		return error_prefix(err, code, "%s", path);
	if (code < 0)
		return code;
	ld->common = at->it->path;
	ld->step.counted = c.number[COUNTERS_EPOCH].known && c.number[COUNTERS_STEP].known;
	ld->step.epoch = c.number[COUNTERS_EPOCH].value;
	ld->step.step = c.number[COUNTERS_STEP].value;
	return counters_add(&c, ckpt, ld->model->arena, err);
}

/* The name of a legacy file with this one's prefix, which rank views are called after; NULL without a prefix. */
static int take_sample(struct attempt *at, struct error *err)
{
	uint64_t files;
	size_t prefix;

	for (uint64_t i = 0; i < at->entries.count; i++) {
		const char *name = at->entries.entries[i].name;

		if (!iteration_weights(name, &prefix, &files) || prefix == 0)
			continue;
		at->ld->sample = arena_printf(at->ld->model->arena, "%.*s_rank_0-0_0.safetensors", (int)prefix, name);
		return at->ld->sample ? 0 : error_nomem(err);
	}
	return 0;
}

static int build(struct attempt *at, struct error *err)
{
	struct model *m = at->ld->model;
	struct checkpoint_builder *builder = checkpoint_begin(m->arena, &at->options);
	struct checkpoint *ckpt;
	int code = builder ? load_begin_sources(at->ld, err) : error_nomem(err);

	if (code == 0)
		code = at->md ? add_stored(at, builder, err) : add_lone(at, builder, err);
	if (code < 0) {
		checkpoint_abandon(builder);
		return code;
	}
	code = checkpoint_finish(builder, &ckpt, err);
	if (code == 0)
		code = at->md ? metadata_check(at->md, ckpt, err) : check_once(at->ld, ckpt, err);
	if (code < 0)
		return error_prefix(err, code, "%s", at->it->path);
	m->checkpoint = ckpt;
	return take_counters(at, ckpt, err);
}

/* What the model says of itself. */
static int describe(struct attempt *at, struct error *err)
{
	struct loading *ld = at->ld;
	struct model *m = ld->model;
	const char **strategy = arena_alloc(m->arena, 1, sizeof(*strategy));
	uint32_t *ranks = arena_alloc(m->arena, 1, sizeof(*ranks));
	uint64_t count = at->md ? m->strategy->stages * m->strategy->per_stage : 1;

	m->kind = arena_printf(m->arena, "iteration of %llu rank%s", (unsigned long long)count, count == 1 ? "" : "s");
	m->step = at->it->name;
	if (!strategy || !ranks || !m->kind || (at->md && !(*strategy = beside(at, "metadata.json"))))
		return error_nomem(err);
	m->strategy_files = (struct model_texts){ strategy, at->md ? 1 : 0 };
	ld->ranks = ranks; /* rank 0, when it is the only one */
	ld->rank_count = 1;
	load_folder_mode(ld, at->it->path);
	return take_sample(at, err);
}

static int try(struct loading *ld, const struct iteration *it, struct error *err)
{
	struct attempt at = { .ld = ld, .it = it };
	int code = scan_dir(it->path, ld->options->fence, ld->model->arena, &at.entries, err);

	if (code == 0 && has_file(&at.entries, "metadata.json"))
		code = read_metadata(&at, err);
	if (code < 0)
		return code;
	at.options.filter = ld->options->filter.item;
	at.options.filter_count = ld->options->filter.count;
	at.options.outside_rank0 = ld->options->outside_rank0;
	at.options.strategy = ld->model->strategy = at.md ? at.md->strategy : NULL;
	at.options.kind = at.md ? CHECKPOINT_SHARDED : CHECKPOINT_REPLICATED;
	at.options.keep_copies = ld->look != NULL || !at.md;
	code = build(&at, err);
	return code == 0 ? describe(&at, err) : code;
}

/* The newest that is complete. */
static int try_all(struct loading *ld, const struct iterations *its, struct error *err)
{
	struct error newest = { "" };
	int code = -ENODATA;

	for (uint64_t i = 0; code == -ENODATA && i < its->count; i++) {
		code = try(ld, &its->list[i], err);
		if (code == -ENODATA && i == 0)
			newest = *err;
		if (code == -ENODATA && i + 1 < its->count &&
		    load_warn(ld, arena_printf(ld->model->arena, "%s is not complete: %s", its->list[i].name, err->msg), err) < 0)
			return -ENOMEM;
	}
	if (code == -ENODATA)
		*err = newest;
	return code;
}

/* Several SOURCEs do not come here: load_ranks() wants rank folders in each of them. */
static int check_options(const struct loading *ld, struct error *err)
{
	const struct options *o = ld->options;

	if (o->strategy.count || o->strategy_none)
		return error_set(err, -EINVAL, "%s holds iterations: how they are cut is in their metadata.json, so strategy= is of no use",
				 ld->source);
	return 0;
}

static int choose(struct loading *ld, const struct iterations *its, struct error *err)
{
	char latest[32];
	uint64_t i;
	int code = check_options(ld, err);

	if (code < 0)
		return code;
	if (!ld->options->step && (!its->tracked || its->itself))
		return try_all(ld, its, err);
	snprintf(latest, sizeof(latest), "%llu", (unsigned long long)its->latest);
	code = iteration_find(its, ld->options->step ? ld->options->step : latest, &i, err);
	if (code < 0 && !ld->options->step)
		return error_set(err, code, "%s/" ITERATION_TRACKER ": names iteration %s, which is not there", ld->source, latest);
	return code < 0 ? error_prefix(err, code, "%s", ld->source) : try(ld, &its->list[i], err);
}

int load_iteration_fill(struct loading *ld, bool *found, struct error *err)
{
	struct iterations its;
	int code = iteration_scan(ld->source, &ld->entries, ld->model->arena, &its, err);

	*found = code < 0 || its.count || its.tracked;
	if (code < 0 || !*found)
		return code;
	return choose(ld, &its, err);
}

/*
 * The files of an only rank appear one after the other, and nothing but the tracker tells that all are there. It may name an older one
 * after a restart from that: then these are shown when the training has come to their number again.
 */
static int check_tracked(const struct iterations *its, const struct iteration *it, struct error *err)
{
	if (its->tracked && it->number <= its->latest)
		return 0;
	return error_set(err, -ENODATA, "%s: neither metadata.json in it, nor a word of it in " ITERATION_TRACKER, it->path);
}

int load_iteration_one(struct loading *ld, const char *name, struct error *err)
{
	struct iterations its;
	uint64_t i;
	int code = scan_dir(ld->source, ld->options->fence, ld->model->arena, &ld->entries, err);

	if (code == 0)
		code = iteration_scan(ld->source, &ld->entries, ld->model->arena, &its, err);
	if (code == 0 && iteration_find(&its, name, &i, err) < 0)
		code = -ENODATA; /* it was deleted meanwhile */
	if (code < 0)
		return code;

	const char *metadata = arena_printf(ld->model->arena, "%s/metadata.json", its.list[i].path);

	if (!metadata)
		return error_nomem(err);
	if (access(metadata, F_OK) < 0)
		code = check_tracked(&its, &its.list[i], err);
	return code == 0 ? try(ld, &its.list[i], err) : code;
}
