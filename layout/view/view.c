/* SPDX-License-Identifier: Apache-2.0 */
/* What all views share: collecting files, and laying blocks of tensors out as a safetensors file. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "layout/view/view.h"

int view_add(struct view *view, struct arena *arena, const char *path, const struct image *image, struct error *err)
{
	struct view_file *files = arena_grow(arena, view->files, view->count, &view->capacity, sizeof(*files));

	if (!files)
		return error_nomem(err);
	view->files = files;
	view->files[view->count++] = (struct view_file){ .path = path, .image = image };
	return 0;
}

int view_add_literal(struct view *view, struct arena *arena, const char *path, struct bytes literal, struct error *err)
{
	struct image *image = image_new(arena, 1);

	if (!path || !image)
		return error_nomem(err);
	image_add_literal(image, literal);
	return view_add(view, arena, path, image, err);
}

const struct grid *view_uncut(struct arena *arena)
{
	struct grid *grids = arena_alloc(arena, BOX_AXES + 1, sizeof(*grids));

	for (uint32_t a = 0; grids && a <= BOX_AXES; a++)
		grids[a] = box_uncut(a);
	return grids;
}

static bool has_item(const struct view_item *items, uint64_t count, const struct tensor *t)
{
	while (count > 0 && items[count - 1].tensor != t)
		count--;
	return count > 0;
}

/* True for a key that marks a tensor which is not among the items. */
static bool marks_another(const struct checkpoint *ckpt, const char *key, const struct view_item *items, uint64_t count)
{
	const struct tensor *t = checkpoint_find(ckpt->tensors, ckpt->count, key);

	if (!t)
		return checkpoint_find(ckpt->outside, ckpt->outside_count, key) != NULL;
	return !has_item(items, count, t);
}

static const char *format_of(const struct checkpoint *ckpt)
{
	for (uint64_t i = 0; i < ckpt->meta_count; i++)
		if (strcmp(ckpt->meta[i].key, "format") == 0)
			return ckpt->meta[i].value;
	return "ms";
}

int view_meta(const struct checkpoint *ckpt, const char *format, const struct view_item *items, uint64_t count, struct pairs *meta)
{
	int code = pairs_add(meta, "format", format ? format : format_of(ckpt));

	if (code == 0)
		code = pairs_add(meta, "remove_redundancy", "False");
	for (uint64_t i = 0; code == 0 && i < ckpt->meta_count; i++) {
		const struct pair *p = &ckpt->meta[i];

		if (strcmp(p->key, "crc_num") != 0 && !marks_another(ckpt, p->key, items, count))
			code = pairs_add(meta, p->key, p->value);
	}
	return code;
}

/* An item and its place in the order given: qsort is not stable. */
struct ranked {
	struct view_item item;
	uint64_t place;
};

static int wider_first(const void *a, const void *b)
{
	const struct ranked *x = a, *y = b;
	uint32_t wx = dtype_bits(x->item.tensor->dtype), wy = dtype_bits(y->item.tensor->dtype);

	if (wx != wy)
		return wx > wy ? -1 : 1;
	return x->place < y->place ? -1 : x->place > y->place;
}

static int sort_items(struct view_item *items, uint64_t count, struct error *err)
{
	struct ranked *ranked = calloc(count + 1, sizeof(*ranked));

	if (!ranked)
		return error_nomem(err);
	for (uint64_t i = 0; i < count; i++)
		ranked[i] = (struct ranked){ items[i], i };
	qsort(ranked, count, sizeof(*ranked), wider_first);
	for (uint64_t i = 0; i < count; i++)
		items[i] = ranked[i].item;
	free(ranked);
	return 0;
}

/* The header's line of one item that begins at byte `begin` of the data. Its shape lives in `arena`. */
static bool entry_of(const struct view_item *item, uint64_t begin, struct arena *arena, struct safetensors_entry *out)
{
	const struct tensor *t = item->tensor;
	uint64_t *shape = arena_alloc(arena, t->axes, sizeof(*shape));

	if (!shape)
		return false;
	for (uint32_t a = 0; a < t->axes; a++)
		shape[a] = t->shape[a] / item->grid->cuts[a];
	*out = (struct safetensors_entry){ .name = t->name, .shape = shape, .axes = t->axes, .dtype = t->dtype, .begin = begin };
	return bytes_add(begin, t->bytes / item->grid->blocks, &out->end);
}

/* The header of a file of `items`, in `arena`; what it is made of lives in `scratch`. */
static int header_of(const struct view_item *items, uint64_t count, const struct pairs *meta, struct arena *scratch, struct arena *arena,
		     struct bytes *out, struct error *err)
{
	struct safetensors_entry *entries = arena_alloc(scratch, count, sizeof(*entries));
	struct safetensors st = { .entries = entries, .count = count, .meta = meta->pair, .meta_count = meta->names.count };

	for (uint64_t i = 0, at = 0; i < count; at = entries[i++].end)
		if (!entries || !entry_of(&items[i], at, scratch, &entries[i]))
			return error_nomem(err);
	return safetensors_write(&st, arena, out, err);
}

static void add_item(struct image *image, const struct view_item *item)
{
	if (item->layout)
		image_add_slice(image, item->tensor, item->layout);
	else if (item->copies)
		image_add_copy(image, item->tensor, item->copies);
	else
		image_add_block(image, item->tensor, item->grid, item->block);
}

int view_safetensors(struct arena *arena, struct view_item *items, uint64_t count, const struct pairs *meta, struct image **out, struct error *err)
{
	struct arena *scratch = arena_new();
	struct image *image = image_new(arena, count + 1);
	struct bytes header;
	int code = scratch && image ? sort_items(items, count, err) : error_nomem(err);

	if (code == 0)
		code = header_of(items, count, meta, scratch, arena, &header, err);
	arena_free(scratch);
	if (code < 0)
		return code;
	image_add_literal(image, header);
	for (uint64_t i = 0; i < count; i++)
		add_item(image, &items[i]);
	*out = image;
	return 0;
}

int view_add_safetensors(struct view *view, struct arena *arena, const char *path, struct view_item *items, uint64_t count,
			 const struct pairs *meta, struct error *err)
{
	struct image *image = NULL;
	int code = path ? view_safetensors(arena, items, count, meta, &image, err) : error_nomem(err);

	return code < 0 ? code : view_add(view, arena, path, image, err);
}
