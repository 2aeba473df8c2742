/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Small checkpoints for tests: files that are only headers, written down as tables, and strategies as MindSpore's JSON.
 * Lists end at the first empty name or path. A file's tensors lie one after the other from byte SMALL_DATA on.
 */
#ifndef TESTS_SMALL_H
#define TESTS_SMALL_H

#include <criterion/criterion.h>
#include <string.h>

#include "layout/checkpoint/checkpoint.h"

#define SMALL_DATA 1000
#define SMALL_MOST 8

/* A strategy of parameters "STAGE-NAME", each SMALL_PARAM(...) or SMALL_OPT(...); comma between them. */
#define SMALL_LAYOUT(name, matrix, map, step, size) \
	"\"" name "\": {\"dev_matrix\": " matrix ", \"field\": 0, \"opt_weight_shard_size\": " size \
	", \"opt_weight_shard_step\": " step ", \"tensor_map\": " map "}"
#define SMALL_PARAM(name, matrix, map) SMALL_LAYOUT(name, matrix, map, "0", "0")
#define SMALL_OPT(name, matrix, map) SMALL_LAYOUT(name, matrix, map, "1", "-1")
#define SMALL_STRATEGY(params) \
	"{\"current_stage\": 1, \"parallel_strategy_item\": {\"op\": {\"parallel_strategy\": [[1]], \"stage\": 0}}, " \
	"\"parallel_layout_item\": {" params "}}"

struct small_tensor {
	const char *name;
	enum dtype dtype;
	uint32_t axes;
	uint64_t shape[3];
};

struct small_file {
	const char *path;
	uint32_t rank;
	struct small_tensor t[SMALL_MOST];
	struct pair meta[SMALL_MOST];
	bool outside;
};

/* A checkpoint to build; what is not given is NULL, 0 or CHECKPOINT_SHARDED. File i is source 10 + i. */
struct small {
	const char *strategy;
	enum checkpoint_kind kind;
	bool outside_rank0, keep_copies;
	const char *filter;
	struct small_file file[SMALL_MOST];
};

static inline const struct strategy *small_strategy(const char *json, struct arena *arena)
{
	struct bytes text = { .ptr = (const uint8_t *)json, .len = strlen(json) };
	struct strategy_file file;
	struct strategy *strategy;
	struct error err;

	cr_assert_eq(strategy_parse_json(text, arena, &file, &err), 0, "%s", err.msg);
	file.path = "strategy.json";
	cr_assert_eq(strategy_unite(&file, 1, arena, &strategy, &err), 0, "%s", err.msg);
	return strategy;
}

static inline int small_add(struct checkpoint_builder *builder, const struct small_file *f, uint32_t source, struct error *err)
{
	struct checkpoint_file file = { .path = f->path, .rank = f->rank, .source = source, .outside = f->outside };
	struct safetensors_entry entry[SMALL_MOST];
	struct safetensors st = { .entries = entry, .meta = f->meta, .data_start = SMALL_DATA };
	uint64_t at = 0;

	for (const struct small_tensor *t = f->t; st.count < SMALL_MOST && t->name; t++) {
		uint64_t elements = 1, bytes;

		for (uint32_t a = 0; a < t->axes; a++)
			elements *= t->shape[a];
		cr_assert(dtype_bytes(t->dtype, elements, &bytes));
		entry[st.count++] = (struct safetensors_entry){ .name = t->name, .shape = t->shape, .axes = t->axes, .dtype = t->dtype,
								.begin = at, .end = at + bytes };
		at += bytes;
	}
	while (st.meta_count < SMALL_MOST && f->meta[st.meta_count].key)
		st.meta_count++;
	return checkpoint_add(builder, &file, &st, err);
}

static inline int small_build(const struct small *s, struct arena *arena, struct checkpoint **out, struct error *err)
{
	struct checkpoint_options options = { .kind = s->kind, .outside_rank0 = s->outside_rank0, .keep_copies = s->keep_copies };
	struct checkpoint_builder *builder;
	int code = 0;

	*err = (struct error){ "" };
	options.strategy = s->strategy ? small_strategy(s->strategy, arena) : NULL;
	options.filter = &s->filter;
	options.filter_count = s->filter != NULL;
	builder = checkpoint_begin(arena, &options);
	for (uint32_t i = 0; code == 0 && i < SMALL_MOST && s->file[i].path; i++)
		code = small_add(builder, &s->file[i], 10 + i, err);
	if (code == 0)
		return checkpoint_finish(builder, out, err);
	checkpoint_abandon(builder);
	return code;
}

#endif
