/* SPDX-License-Identifier: Apache-2.0 */
/* Each step checks one field and fills its part of the layout; later steps trust the earlier ones. */
#include <errno.h>

#include "layout/formats/devices.h"

static int read_matrix(const struct pb_layout_item *item, struct devices *d, struct error *err)
{
	const struct pb_dims *dims = item->dev_matrix;
	uint64_t product = 1;

	if (item->dev_matrix_count == 0 || dims->count == 0)
		return error_set(err, -EINVAL, "dev_matrix is missing or has no entry");
	if (dims->count > DEVICES_AXES)
		return error_set(err, -EINVAL, "dev_matrix: more than %d entries", (int)DEVICES_AXES);
	for (uint32_t i = 0; i < dims->count; i++) {
		if (dims->dim[i] < 1)
			return error_set(err, -EINVAL, "dev_matrix: entry %u is %d, but must be at least 1", i, dims->dim[i]);
		if (!bytes_mul(product, (uint32_t)dims->dim[i], &product) || product > DEVICES_MAX)
			return error_set(err, -EINVAL, "dev_matrix: its product is over %llu devices", (unsigned long long)DEVICES_MAX);
		d->matrix[i] = (uint32_t)dims->dim[i];
	}
	d->layout.matrix = d->matrix;
	d->layout.matrix_axes = (uint32_t)dims->count;
	d->layout.devices = (uint32_t)product;
	return 0;
}

/* Takes number t of the file for the tensor axis that is being read. `at` counts the numbers of the map so far. */
static int read_number(struct devices *d, int32_t t, uint32_t *at, struct error *err)
{
	uint32_t n = d->layout.matrix_axes;

	if (t == -1)
		return error_set(err, -EINVAL, "tensor_map: -1 (not cut) beside device axes that cut the same tensor axis");
	if (t < 0 || (uint32_t)t >= n)
		return error_set(err, -EINVAL, "tensor_map: entry %d, but the dev_matrix has axes 0 to %u (-1: not cut)", t, n - 1);
	for (uint32_t i = 0; i < *at; i++)
		if (d->map[i] == n - 1 - (uint32_t)t)
			return error_set(err, -EINVAL, "tensor_map: device axis %d cuts the tensor twice", t);
	d->map[(*at)++] = n - 1 - (uint32_t)t;
	return 0;
}

/* Reads the numbers that cut one tensor axis; a lone -1 means none. */
static int read_axis(struct devices *d, const int32_t *numbers, uint64_t count, uint32_t *at, struct error *err)
{
	uint32_t axis = d->layout.axes, before = *at;
	int code = 0;

	if (axis == BOX_AXES)
		return error_set(err, -EINVAL, "tensor_map: more than %d tensor axes", BOX_AXES);
	d->cuts[axis] = 1;
	for (uint64_t i = 0; code == 0 && i < count; i++) {
		if (numbers[i] == -1 && count == 1)
			break;
		code = read_number(d, numbers[i], at, err);
		if (code == 0)
			d->cuts[axis] *= d->matrix[d->map[*at - 1]];
	}
	d->map_len[axis] = *at - before;
	d->layout.axes++;
	return code;
}

static int read_map(const struct pb_layout_item *item, struct devices *d, struct error *err)
{
	const struct pb_dims *list = item->tensor_map;
	uint32_t at = 0;
	int code = 0;

	d->layout.nested = item->tensor_map_count > 1;
	if (d->layout.nested) {
		for (uint64_t i = 0; code == 0 && i < item->tensor_map_count; i++)
			if (list[i].count) /* an empty list is the mark of a nested map with one axis, not an axis */
				code = read_axis(d, list[i].dim, list[i].count, &at, err);
	} else if (item->tensor_map_count) {
		for (uint64_t i = 0; code == 0 && i < list->count; i++)
			code = read_axis(d, &list->dim[i], 1, &at, err);
	}
	d->layout.map = d->map;
	d->layout.map_len = d->map_len;
	return code;
}

/* The optimizer's pieces of axis 0. `holders` ranks hold each block. */
static int read_shards(const struct pb_layout_item *item, struct devices *d, uint32_t holders, struct error *err)
{
	uint32_t shards = item->opt_size == -1 ? holders : (uint32_t)item->opt_size;

	d->layout.opt_step = item->opt_step;
	d->layout.opt_size = item->opt_size;
	d->layout.opt_shards = 1;
	if (item->opt_size < -1)
		return error_set(err, -EINVAL, "opt_weight_shard_size is %d, but must be -1 or more", item->opt_size);
	if (item->opt_step == 0 || item->opt_size == 0)
		return 0;
	if (holders % shards != 0)
		return error_set(err, -EINVAL, "opt_weight_shard_size is %u, but must divide the %u ranks that hold a block", shards, holders);
	if (shards > 1 && d->layout.axes == 0)
		return error_set(err, -EINVAL, "opt_weight_shard_size makes %u shards, but the tensor_map has no axis to cut", shards);
	d->layout.opt_shards = shards;
	return 0;
}

int devices_layout(const struct pb_layout_item *item, struct devices *out, struct error *err)
{
	struct layout *l = &out->layout;
	uint32_t blocks = 1;
	int code;

	*l = (struct layout){ 0 };
	code = read_matrix(item, out, err);
	if (code == 0)
		code = read_map(item, out, err);
	for (uint32_t a = 0; code == 0 && a < l->axes; a++)
		blocks *= out->cuts[a]; /* divides l->devices: each device axis is there once at most */
	if (code == 0)
		code = read_shards(item, out, l->devices / blocks, err);
	if (code < 0)
		return code;
	if (l->axes)
		out->cuts[0] *= l->opt_shards;
	l->grid = (struct grid){ .axes = l->axes, .blocks = blocks * l->opt_shards, .cuts = out->cuts };
	return 0;
}

/* Writes tensor axis `axis`, whose device axes are `map`, behind dims->dim[dims->count]. */
static void write_axis(const struct layout *layout, uint32_t axis, const uint32_t *map, struct pb_dims *dims)
{
	for (uint32_t i = 0; i < layout->map_len[axis]; i++)
		dims->dim[dims->count++] = (int32_t)(layout->matrix_axes - 1 - map[i]);
	if (layout->map_len[axis] == 0)
		dims->dim[dims->count++] = -1;
}

/* A plain map is one list over all axes; a nested one has a list for each axis, and at least two lists, which is what marks it. */
static void write_map(const struct layout *layout, struct pb_layout_item *out, int32_t *room)
{
	const uint32_t *map = layout->map;

	out->tensor_map_count = !layout->nested ? 1 : layout->axes < 2 ? 2 : layout->axes;
	out->tensor_map[0].dim = room;
	for (uint32_t a = 0; a < layout->axes; map += layout->map_len[a++]) {
		struct pb_dims *dims = &out->tensor_map[layout->nested ? a : 0];

		if (layout->nested)
			dims->dim = room;
		write_axis(layout, a, map, dims);
		if (layout->nested)
			room += dims->count;
	}
}

int devices_item(const struct layout *layout, struct arena *arena, struct pb_layout_item *out)
{
	uint64_t numbers = layout->matrix_axes;
	struct pb_dims *lists = arena_alloc(arena, 3 + layout->axes, sizeof(*lists));
	int32_t *room;

	for (uint32_t a = 0; a < layout->axes; a++)
		numbers += layout->map_len[a] ? layout->map_len[a] : 1;
	room = arena_alloc(arena, numbers, sizeof(*room));
	if (!lists || !room)
		return -ENOMEM;
	out->dev_matrix = lists;
	out->dev_matrix_count = 1;
	*lists = (struct pb_dims){ .dim = room, .count = layout->matrix_axes };
	for (uint32_t i = 0; i < layout->matrix_axes; i++)
		*room++ = (int32_t)layout->matrix[i];
	out->tensor_map = lists + 1;
	write_map(layout, out, room);
	out->opt_step = layout->opt_step;
	out->opt_size = layout->opt_size;
	return 0;
}
