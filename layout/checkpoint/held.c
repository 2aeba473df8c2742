/* SPDX-License-Identifier: Apache-2.0 */
/* The first file that has a tensor decides what it is; every later one must say the same. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "layout/checkpoint/held.h"
#include "layout/checkpoint/sharding.h"

struct held held_new(const char *name, uint32_t blocks)
{
	return (struct held){ .name = name, .blocks = blocks };
}

struct held_table held_table_new(struct arena *arena)
{
	return (struct held_table){ .names = names_new(arena) };
}

struct held *held_named(struct held_table *table, const char *name)
{
	uint32_t i = names_find(&table->names, name);

	if (i != NAMES_NONE)
		return &table->list[i];

	char *own = arena_strndup(table->names.arena, name, strlen(name));
	struct held *list = arena_grow(table->names.arena, table->list, table->names.count, &table->room, sizeof(*list));

	if (!own || !list || (i = names_add(&table->names, own)) == NAMES_NONE)
		return NULL;
	table->list = list;
	table->list[i] = held_new(own, 1);
	return &table->list[i];
}

bool held_is_whole(const struct held *held)
{
	return held->shape && held->found == held->blocks;
}

const char *held_shape_text(char *out, const uint64_t *shape, uint32_t axes)
{
	int at = snprintf(out, HELD_SHAPE_TEXT, "[");

	for (uint32_t a = 0; a < axes && at < HELD_SHAPE_TEXT - 32; a++)
		at += snprintf(out + at, (size_t)(HELD_SHAPE_TEXT - at), a ? ", %llu" : "%llu", (unsigned long long)shape[a]);
	snprintf(out + at, (size_t)(HELD_SHAPE_TEXT - at), "]");
	return out;
}

static int first(struct held *h, const struct safetensors_entry *e, const struct checkpoint_file *file, struct arena *arena)
{
	uint64_t *shape = arena_alloc(arena, e->axes, sizeof(*shape));

	h->pieces = arena_alloc(arena, h->blocks, sizeof(*h->pieces));
	if (!shape || !h->pieces)
		return -ENOMEM;
	for (uint32_t i = 0; i < h->blocks; i++)
		h->pieces[i].source = HELD_NO_SOURCE;
	if (e->axes)
		memcpy(shape, e->shape, e->axes * sizeof(*shape));
	h->shape = shape;
	h->axes = e->axes;
	h->dtype = e->dtype;
	h->path = file->path;
	h->rank = file->rank;
	h->outside = file->outside;
	return 0;
}

int held_agrees(const struct held *held, const struct safetensors_entry *entry, struct error *err)
{
	char have[HELD_SHAPE_TEXT], want[HELD_SHAPE_TEXT];

	if (entry->dtype != held->dtype)
		return error_set(err, -EINVAL, "tensor \"%s\": dtype %s, but %s has it as %s", held->name, dtype_name(entry->dtype),
				 held->path, dtype_name(held->dtype));
	if (entry->axes != held->axes || (entry->axes && memcmp(entry->shape, held->shape, entry->axes * sizeof(*entry->shape)) != 0))
		return error_set(err, -EINVAL, "tensor \"%s\": shape %s, but %s has it as %s", held->name,
				 held_shape_text(have, entry->shape, entry->axes), held->path, held_shape_text(want, held->shape, held->axes));
	return 0;
}

void held_put(struct held *held, const struct safetensors_entry *entry, const struct checkpoint_file *file, uint32_t block)
{
	if (held->pieces[block].source == HELD_NO_SOURCE) {
		held->pieces[block] = (struct piece){ .offset = entry->begin, .source = file->source };
		held->found++;
	}
}

int held_add(struct held *held, const struct safetensors_entry *entry, const struct checkpoint_file *file, uint32_t block,
	     struct arena *arena, struct error *err)
{
	if (held->shape) {
		int code = held_agrees(held, entry, err);

		if (code < 0)
			return code;
	} else if (first(held, entry, file, arena) < 0) {
		return error_nomem(err);
	}
	held_put(held, entry, file, block);
	return 0;
}

/* "rank_1, rank_5, ...": the ranks that hold block `block` of an entry's tensor, as many as fit. */
static const char *holders(char *out, size_t size, const struct strategy *s, const struct strategy_entry *entry, uint32_t block)
{
	size_t at = 0;

	out[0] = 0;
	for (uint32_t local = 0; local < s->per_stage; local++) {
		if (sharding_block(entry->layout, local) != block)
			continue;
		if (at + 32 > size)
			return memcpy(out + at, ", ...", 6), out;
		at += (size_t)snprintf(out + at, size - at, "%srank_%u", at ? ", " : "", entry->stage * s->per_stage + local);
	}
	return out;
}

/* The first block that has no piece and is read (needs NULL: all are); `blocks` when there is none. */
static uint32_t first_missing(const struct held *h, const struct layout *layout, const struct checkpoint_needs *needs)
{
	uint64_t full[BOX_AXES];
	struct error ignored;
	bool all = !needs || sharding_full(layout, h->shape, h->axes, full, &ignored) < 0;

	for (uint32_t block = 0; block < h->blocks; block++) {
		struct box box;

		if (h->pieces[block].source != HELD_NO_SOURCE)
			continue;
		if (all)
			return block;
		box_of_block(&layout->grid, full, block, &box);
		if (needs->reads(needs->view, h->name, full, h->axes, &box))
			return block;
	}
	return h->blocks;
}

bool held_is_enough(const struct held *held, const struct strategy_entry *entry, const struct checkpoint_needs *needs)
{
	return held->shape && first_missing(held, entry->layout, needs) == held->blocks;
}

int held_missing(const struct held *held, const struct strategy *strategy, const struct strategy_entry *entry,
		 const struct checkpoint_needs *needs, struct error *err)
{
	uint32_t block = first_missing(held, entry->layout, needs);
	char ranks[256];

	return error_set(err, -ENODATA, "tensor \"%s\": no rank that is here holds block %u of %u; it belongs on %s", held->name, block,
			 held->blocks, holders(ranks, sizeof(ranks), strategy, entry, block));
}

int held_tensor(const struct held *h, const struct layout *layout, struct arena *arena, struct tensor *out, struct error *err)
{
	uint64_t *full = arena_alloc(arena, h->axes, sizeof(*full)), elements = 1;
	char text[HELD_SHAPE_TEXT];

	if (!full)
		return error_nomem(err);
	if (!layout && h->axes)
		memcpy(full, h->shape, h->axes * sizeof(*full));
	if (layout && sharding_full(layout, h->shape, h->axes, full, err) < 0)
		return error_prefix(err, -EINVAL, "tensor \"%s\"", h->name);
	*out = (struct tensor){ .name = h->name, .source_name = h->name, .shape = full, .pieces = h->pieces, .dtype = h->dtype, .axes = h->axes };
	out->grid = layout ? layout->grid : box_uncut(h->axes);
	for (uint32_t a = 0; a < h->axes; a++)
		if (!bytes_mul(elements, full[a], &elements))
			return error_set(err, -EINVAL, "tensor \"%s\": shape %s overflows", h->name, held_shape_text(text, full, h->axes));
	if (!dtype_bytes(h->dtype, elements, &out->bytes) || !box_whole_bytes(&out->grid, full, dtype_bits(h->dtype)))
		return error_set(err, -EINVAL, "tensor \"%s\": %s %s is cut inside a byte", h->name, dtype_name(h->dtype),
				 held_shape_text(text, full, h->axes));
	return 0;
}

int held_add_copy(struct held *held, const struct safetensors_entry *entry, const struct checkpoint_file *file, struct arena *arena,
		  struct error *err)
{
	struct checkpoint_copy *copies = arena_grow(arena, held->copies, held->copy_count, &held->copy_room, sizeof(*copies));

	if (!copies)
		return error_nomem(err);
	held->copies = copies;
	held->copies[held->copy_count++] = (struct checkpoint_copy){ file->rank, { .offset = entry->begin, .source = file->source } };
	return 0;
}

int held_is_of(const struct held *h, const struct strategy_entry *entry, const struct tensor *t, struct error *err)
{
	uint64_t full[BOX_AXES];
	char have[HELD_SHAPE_TEXT], want[HELD_SHAPE_TEXT];

	if (h->dtype != t->dtype)
		return error_set(err, -EINVAL, "tensor \"%s\": dtype %s in stage %u (%s), but %s in another", t->name, dtype_name(h->dtype),
				 entry->stage, h->path, dtype_name(t->dtype));
	if (sharding_full(entry->layout, h->shape, h->axes, full, err) < 0)
		return error_prefix(err, -EINVAL, "tensor \"%s\"", t->name);
	if (h->axes != t->axes || (t->axes && memcmp(full, t->shape, t->axes * sizeof(*full)) != 0))
		return error_set(err, -EINVAL, "tensor \"%s\": shape %s in stage %u (%s), but %s in another", t->name,
				 held_shape_text(have, full, h->axes), entry->stage, h->path, held_shape_text(want, t->shape, t->axes));
	return 0;
}

int held_tell(const struct held *held, const struct strategy_entry *entries, uint64_t count, struct arena *arena, struct tensor *out)
{
	struct checkpoint_holding *own = arena_alloc(arena, count, sizeof(*own));

	for (uint64_t i = 0; own && i < count; i++)
		if (held[i].copy_count)
			own[out->holding_count++] = (struct checkpoint_holding){
				.copies = { held[i].copies, held[i].copy_count },
				.layout = entries ? entries[i].layout : NULL,
				.stage = entries ? entries[i].stage : 0,
			};
	out->holdings = own;
	return own ? 0 : -ENOMEM;
}
