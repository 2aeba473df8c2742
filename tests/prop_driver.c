/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The C side of tests/property.py: from strategy files and rank files in memory to the images of the unified view and of a rank
 * view, by liblayout.a alone.
 *
 * Protocol, all numbers little-endian u64 on a pipe. Case: seed, part_size, index, strategy files {kind, len, bytes}, rank
 * files {rank, len, bytes}, the target's strategy files, the target's ranks to show, each list after its count. An answer: 0 and the
 * images {len, path, len, bytes} after their count, or 1 (refused) or 2 (our bug: a range differs from the same range of the whole,
 * or a view of a view from the direct one) and a message {len, bytes}. The first answer is of the unified view; the second, unless the
 * first was a 2, of the rank view. End of input ends it.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "layout/checkpoint/checkpoint.h"
#include "layout/view/view.h"
#include "tests/prop_gather.h"

struct input {
	uint64_t seed, part_size, index;
	struct files strategies, ranks, targets, shown;
};

/* A checkpoint, and the files that its pieces lie in. */
struct model {
	struct checkpoint *ckpt;
	const struct strategy *strategy;
	const struct files *files;
	enum checkpoint_kind kind;
};

static uint64_t get(void)
{
	uint8_t b[8];

	if (fread(b, 8, 1, stdin) != 1)
		exit(3);
	return bytes_le64(b);
}

static void put(uint64_t v)
{
	fwrite(&v, 8, 1, stdout);
}

static void put_bytes(const void *ptr, uint64_t len)
{
	put(len);
	fwrite(ptr, 1, len, stdout);
}

static void get_files(struct files *files)
{
	files->count = get();
	files->at = must(calloc(files->count + 1, sizeof(*files->at)));
	for (uint64_t i = 0; i < files->count; i++) {
		struct file *f = &files->at[i];
		uint8_t *copy;

		f->tag = get();
		f->bytes.len = get();
		f->bytes.ptr = copy = must(malloc(f->bytes.len + 1));
		if (fread(copy, 1, f->bytes.len, stdin) != f->bytes.len)
			exit(3);
	}
}

static void free_files(struct files *files)
{
	for (uint64_t i = 0; i < files->count; i++)
		free((void *)files->at[i].bytes.ptr);
	free(files->at);
}

/* The united strategy; NULL without strategy files. */
static int unite(const struct files *files, struct arena *arena, struct strategy **out, struct error *err)
{
	struct strategy_file *parsed = must(arena_alloc(arena, files->count, sizeof(*parsed)));

	*out = NULL;
	for (uint64_t i = 0; i < files->count; i++) {
		const struct file *f = &files->at[i];
		int rc = f->tag ? strategy_parse_json(f->bytes, arena, &parsed[i], err) :
				  strategy_parse_pb(f->bytes, arena, &parsed[i], err);

		if (rc < 0)
			return rc;
		parsed[i].path = must(arena_printf(arena, "strategy %d", (int)i));
	}
	return files->count ? strategy_unite(parsed, files->count, arena, out, err) : 0;
}

static int parse(const struct file *f, struct arena *arena, struct safetensors *st, struct error *err)
{
	struct bytes header = { .ptr = f->bytes.ptr + 8 };
	int rc = safetensors_length((struct bytes){ f->bytes.ptr, f->bytes.len < 8 ? f->bytes.len : 8 }, f->bytes.len, &header.len, err);

	return rc < 0 ? rc : safetensors_parse(header, f->bytes.len, arena, st, err);
}

static bool is_weights(const struct file *f)
{
	return !f->path || strstr(f->path, ".safetensors") + strlen(".safetensors") == f->path + strlen(f->path);
}

static int add_file(struct checkpoint_builder *builder, const struct file *f, uint32_t source, struct arena *arena, struct error *err)
{
	struct checkpoint_file file = { .path = f->path, .rank = (uint32_t)f->tag, .source = source };
	struct safetensors st;
	int rc = parse(f, arena, &st, err);

	if (!file.path)
		file.path = must(arena_printf(arena, "rank_%d", (int)f->tag));
	file.outside = strcmp(file.path, "hyper_param.safetensors") == 0;
	return rc < 0 ? rc : checkpoint_add(builder, &file, &st, err);
}

/* `needs` NULL: all of it must be there. */
static int load(struct model *m, const struct checkpoint_needs *needs, struct arena *arena, struct error *err)
{
	struct checkpoint_options options = { .kind = m->kind, .strategy = m->strategy, .needs = needs };
	struct checkpoint_builder *builder = must(checkpoint_begin(arena, &options));
	int rc = 0;

	for (uint64_t i = 0; rc == 0 && i < m->files->count; i++)
		if (is_weights(&m->files->at[i]))
			rc = add_file(builder, &m->files->at[i], (uint32_t)i, arena, err);
	if (rc < 0) {
		checkpoint_abandon(builder);
		return rc;
	}
	return checkpoint_finish(builder, &m->ckpt, err);
}

static void answer_message(uint64_t status, const char *message)
{
	put(status);
	put_bytes(message, strlen(message));
}

static void answer_files(const struct files *files)
{
	put(0);
	put(files->count);
	for (uint64_t i = 0; i < files->count; i++) {
		put_bytes(files->at[i].path, strlen(files->at[i].path));
		put_bytes(files->at[i].bytes.ptr, files->at[i].bytes.len);
	}
}

/* True when `f` has the entry: name, type, shape, and the bytes that it has in `of`. */
static bool has(const struct file *f, const struct safetensors *st, const struct safetensors_entry *e, const struct file *of,
		const struct safetensors *of_st)
{
	for (uint64_t i = 0; i < st->count; i++) {
		const struct safetensors_entry *x = &st->entries[i];

		if (strcmp(x->name, e->name) == 0)
			return x->dtype == e->dtype && x->axes == e->axes && memcmp(x->shape, e->shape, e->axes * sizeof(*e->shape)) == 0 &&
			       memcmp(f->bytes.ptr + st->data_start + x->begin, of->bytes.ptr + of_st->data_start + e->begin, e->end - e->begin) == 0;
	}
	return false;
}

static bool is_outside(const struct model *m, const char *name)
{
	return checkpoint_find(m->ckpt->outside, m->ckpt->outside_count, name) != NULL;
}

/* Compares the tensors of two files; those outside the strategy are rank 0's in a merge, so they are left out. */
static bool same_tensors(const struct model *m, const struct file *a, const struct file *b, struct arena *arena)
{
	struct safetensors x, y;
	uint64_t counts[2] = { 0 };
	struct error err;

	if (parse(a, arena, &x, &err) < 0 || parse(b, arena, &y, &err) < 0)
		return false;
	for (uint64_t i = 0; i < y.count; i++)
		counts[1] += !is_outside(m, y.entries[i].name);
	for (uint64_t i = 0; i < x.count; i++) {
		if (is_outside(m, x.entries[i].name))
			continue;
		counts[0]++;
		if (!has(b, &y, &x.entries[i], a, &x))
			return false;
	}
	return counts[0] == counts[1];
}

/* What is shown of the target, but for `source`. */
static struct view_rank_options options_of(const struct strategy *target, const struct files *shown, struct arena *arena)
{
	uint32_t *ranks = must(arena_alloc(arena, shown->count, sizeof(*ranks)));

	for (uint64_t i = 0; i < shown->count; i++)
		ranks[i] = (uint32_t)shown->at[i].tag;
	return (struct view_rank_options){ .target = target, .ranks = ranks, .rank_count = shown->count, .prefix = "any", .counted = true,
					   .epoch = 3, .step = 4 };
}

/* A split of the merge `unified` is the direct split `direct`, but for what is outside the strategy. */
static bool split_of_merge(const struct model *m, const struct files *unified, const struct files *direct,
			   const struct view_rank_options *options, struct arena *arena, struct error *err)
{
	struct model merged = { .files = unified, .kind = CHECKPOINT_UNIFIED };
	struct view_rank_options o = *options;
	struct files split;
	struct view view;

	o.source = NULL;
	if (load(&merged, NULL, arena, err) < 0 || view_ranks(merged.ckpt, &o, arena, &view, err) < 0)
		return false;
	error_set(err, 0, "they differ");
	if (!gather_view(&view, unified, 1, arena, &split) || split.count != direct->count)
		return false;
	for (uint64_t i = 0; i < split.count; i++)
		if (is_weights(&split.at[i]) && !same_tensors(m, &split.at[i], &direct->at[i], arena))
			return false;
	return true;
}

/* A merge of the split `direct`, which must be of all ranks, is the direct merge, but for the tensors that the target does not know. */
static bool merge_of_split(const struct model *m, const struct files *direct, const struct strategy *target, struct arena *arena, struct error *err)
{
	struct model split = { .files = direct, .kind = CHECKPOINT_SHARDED, .strategy = target }, kept = *m;
	struct view_options options = { .part_size = UINT64_MAX / 2 };
	struct tensor *tensors = must(arena_alloc(arena, m->ckpt->count, sizeof(*tensors)));
	struct checkpoint known = *m->ckpt;
	struct files a, b;
	struct view view;
	uint64_t n = 0, ignored;

	for (uint64_t i = 0; i < m->ckpt->count; i++)
		if (strategy_find(target, m->ckpt->tensors[i].name, &ignored))
			tensors[n++] = m->ckpt->tensors[i];
	known.tensors = tensors;
	known.count = n;
	kept.ckpt = &known;
	if (load(&split, NULL, arena, err) < 0 || view_unified(split.ckpt, &options, arena, &view, err) < 0)
		return false;
	error_set(err, 0, "they differ");
	if (!gather_view(&view, direct, 2, arena, &a) || view_unified(&known, &options, arena, &view, err) < 0 ||
	    !gather_view(&view, m->files, 3, arena, &b) || a.count != b.count)
		return false;
	return same_tensors(&kept, &a.at[0], &b.at[0], arena);
}

/* The rank view, of files that hold as much as it needs. `whole` and `unified` are of the unified view; NULL where that was refused. */
static void run_ranks(const struct input *in, struct model *m, const struct model *whole, const struct files *unified, struct arena *arena)
{
	struct strategy *target;
	struct view_rank_options options;
	struct checkpoint_needs needs = { view_ranks_reads, &options };
	struct files direct;
	struct error err;
	struct view view;
	int rc = unite(&in->targets, arena, &target, &err);

	if (rc == 0) {
		options = options_of(target, &in->shown, arena);
		options.source = m->strategy;
		rc = load(m, &needs, arena, &err);
	}
	if (rc < 0 || view_ranks(m->ckpt, &options, arena, &view, &err) < 0) {
		answer_message(1, err.msg);
		return;
	}
	error_set(&err, 0, "a range is not that of the whole");
	if (!gather_view(&view, m->files, in->seed, arena, &direct))
		error_prefix(&err, 0, "rank view");
	else if (whole && !split_of_merge(whole, unified, &direct, &options, arena, &err))
		error_prefix(&err, 0, "split of the merge");
	else if (whole && in->shown.count == target->stages * target->per_stage && !merge_of_split(whole, &direct, target, arena, &err))
		error_prefix(&err, 0, "merge of the split");
	else
		return answer_files(&direct);
	answer_message(2, err.msg);
}

static void run_case(const struct input *in, struct arena *arena)
{
	struct view_options options = { .part_size = in->part_size, .index = in->index ? VIEW_INDEX_HF : VIEW_INDEX_MS };
	struct model m = { .files = &in->ranks }, again;
	struct strategy *strategy = NULL;
	struct files unified;
	struct error err;
	struct view view;
	int rc = unite(&in->strategies, arena, &strategy, &err);

	m.strategy = strategy;
	m.kind = strategy ? CHECKPOINT_SHARDED : CHECKPOINT_REPLICATED;
	again = m;
	if (rc == 0)
		rc = load(&m, NULL, arena, &err);
	if (rc == 0)
		rc = view_unified(m.ckpt, &options, arena, &view, &err);
	if (rc == 0 && !gather_view(&view, m.files, in->seed, arena, &unified))
		return answer_message(2, "unified view: a range is not that of the whole");
	if (rc == 0)
		answer_files(&unified);
	else
		answer_message(1, err.msg);
	run_ranks(in, &again, rc == 0 ? &m : NULL, &unified, arena);
}

static void get_numbers(struct files *out)
{
	out->count = get();
	out->at = must(calloc(out->count + 1, sizeof(*out->at)));
	for (uint64_t i = 0; i < out->count; i++)
		out->at[i].tag = get();
}

int main(void)
{
	for (int c; (c = getchar()) != EOF;) {
		struct arena *arena = must(arena_new());
		struct input in;

		ungetc(c, stdin);
		in.seed = get();
		in.part_size = get();
		in.index = get();
		get_files(&in.strategies);
		get_files(&in.ranks);
		get_files(&in.targets);
		get_numbers(&in.shown);
		run_case(&in, arena);
		fflush(stdout);
		arena_free(arena);
		free_files(&in.strategies);
		free_files(&in.ranks);
		free_files(&in.targets);
		free(in.shown.at);
	}
	return 0;
}
