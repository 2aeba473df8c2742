/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From parameters to a strategy. A stage has as many ranks as the longest rank_list. A shorter one is spread over its stage as replicas;
 * the numbers of the slices that the other ranks stored prove, or disprove, that they are.
 */
#include <errno.h>
#include <string.h>

#include "layout/checkpoint/metadata_parts.h"
#include "layout/checkpoint/sharding.h"
#include "layout/formats/layouts.h"

/* The ranks of a stage into p->per_stage. */
static int count_ranks(struct metadata_parts *p, struct error *err)
{
	const struct metadata_tensor *longest = NULL;

	for (uint64_t i = 0; i < p->count; i++)
		if (p->tensors[i].cut && (!longest || p->tensors[i].raw.count > longest->raw.count))
			longest = &p->tensors[i];
	p->per_stage = longest ? longest->raw.count : p->last_rank + 1;
	for (uint64_t i = 0; i < p->count; i++)
		if (p->tensors[i].cut && p->per_stage % p->tensors[i].raw.count)
			return error_set(err, -EINVAL, "tensor \"%s\": layout: rank_list has %u ranks, which does not divide the %u of \"%s\"",
					 p->tensors[i].name, p->tensors[i].raw.count, p->per_stage, longest->name);
	return 0;
}

/* The layout of a tensor that every rank has whole. */
static int whole_layout(const struct metadata_parts *p, uint32_t axes, struct devices *out, struct error *err)
{
	int32_t matrix[1] = { (int32_t)p->per_stage }, map[BOX_AXES];
	struct pb_dims dev_matrix = { matrix, 1 }, tensor_map = { map, axes };
	struct pb_layout_item item = { .dev_matrix = &dev_matrix, .dev_matrix_count = 1, .tensor_map = &tensor_map, .tensor_map_count = 1 };

	for (uint32_t a = 0; a < axes; a++)
		map[a] = -1;
	return devices_layout(&item, out, err);
}

static int check_cuts(const struct metadata_tensor *t, const struct layout *layout, struct error *err)
{
	if (layout->axes != t->axes)
		return error_set(err, -EINVAL, "layout: tensor_map has %u axes, but global_shape %u", layout->axes, t->axes);
	for (uint32_t a = 0; a < t->axes; a++)
		if (layout->grid.cuts[a] != t->cuts[a])
			return error_set(err, -EINVAL, "axis_fragmentations: axis %u in %llu parts, but its layout cuts it into %u", a,
					 (unsigned long long)t->cuts[a], layout->grid.cuts[a]);
	return 0;
}

static int make_layout(struct metadata_parts *p, struct layouts *layouts, struct metadata_tensor *t, struct error *err)
{
	struct devices d;
	int code;

	if (t->cut)
		json_layout_spread(&t->raw, p->per_stage);
	code = t->cut ? devices_layout(&t->raw.item, &d, err) : whole_layout(p, t->axes, &d, err);
	if (code == 0)
		code = check_cuts(t, &d.layout, err);
	if (code < 0)
		return error_prefix(err, code, "tensor \"%s\"", t->name);
	t->layout = layouts_intern(layouts, &d.layout);
	return t->layout ? 0 : error_nomem(err);
}

/* The rank that stores a slice must be one that holds it. */
static int check_place(const struct metadata_parts *p, const struct metadata_place *place, uint32_t ranks, struct error *err)
{
	const struct metadata_tensor *t = place->tensor == NAMES_NONE ? NULL : &p->tensors[place->tensor];
	uint32_t block;

	if (place->rank >= ranks)
		return error_set(err, -EINVAL, "storage_data: storage_rank is %u, but the layouts are of ranks 0 to %u", place->rank, ranks - 1);
	if (!t || (t->cut && t->raw.first / p->per_stage != place->rank / p->per_stage))
		return 0;
	block = sharding_block(t->layout, place->rank % p->per_stage);
	if (block == place->slice)
		return 0;
	return error_set(err, -EINVAL, "storage_data: tensor \"%s\": slice %u is stored by rank %u, which has slice %u by its layout", t->name,
			 place->slice, place->rank, block);
}

static int by_name_and_stage(const void *a, const void *b)
{
	const struct strategy_entry *x = a, *y = b;
	int order = strcmp(x->name, y->name);

	return order ? order : (x->stage > y->stage) - (x->stage < y->stage);
}

/* An entry for every stage that has a parameter, each once, into *file. */
static int list_entries(const struct metadata_parts *p, struct strategy_file *file, struct error *err)
{
	struct strategy_entry *e = arena_alloc(p->arena, p->count + p->place_count, sizeof(*e));
	uint64_t n = 0, kept = 0;

	if (!e)
		return error_nomem(err);
	for (uint64_t i = 0; i < p->count; i++)
		if (p->tensors[i].cut)
			e[n++] = (struct strategy_entry){ p->tensors[i].name, p->tensors[i].raw.first / p->per_stage, p->tensors[i].layout };
	for (uint64_t i = 0; i < p->place_count; i++) {
		const struct metadata_place *place = &p->places[i];
		const struct metadata_tensor *t = place->tensor == NAMES_NONE ? NULL : &p->tensors[place->tensor];

		if (t && !t->cut)
			e[n++] = (struct strategy_entry){ t->name, place->rank / p->per_stage, t->layout };
	}
	if (n)
		qsort(e, n, sizeof(*e), by_name_and_stage);
	for (uint64_t i = 0; i < n; i++)
		if (kept == 0 || by_name_and_stage(&e[kept - 1], &e[i]) != 0)
			e[kept++] = e[i];
	file->entries = e;
	file->count = kept;
	return 0;
}

int metadata_parts_strategy(struct metadata_parts *p, const char *path, const struct strategy **out, struct error *err)
{
	struct layouts layouts = layouts_new(p->arena);
	struct strategy_file file = { .path = path };
	struct strategy *s = NULL;
	int code = count_ranks(p, err);

	for (uint64_t i = 0; code == 0 && i < p->count; i++)
		code = make_layout(p, &layouts, &p->tensors[i], err);
	if (code == 0)
		code = list_entries(p, &file, err);
	if (code == 0)
		code = strategy_unite(&file, 1, p->arena, &s, err);
	for (uint64_t i = 0; code == 0 && i < p->place_count; i++)
		code = check_place(p, &p->places[i], s->stages * s->per_stage, err);
	*out = s;
	return code;
}
