/* SPDX-License-Identifier: Apache-2.0 */
/* MindSpore Transformers reads the members by their place, in the order that it writes; here their names decide, which is the same. */
#include <errno.h>

#include "layout/formats/devices.h"
#include "layout/formats/json_layout.h"

static int get_list(const json *v, const char *field, const json **out, struct error *err)
{
	*out = json_get(v, field);
	return *out && json_is_array(*out) ? 0 : json_refuse(*out, field, "an array", err);
}

/* The numbers of `list`, behind those that `out` has; `skip` is left out. */
static int take_numbers(const json *list, int32_t skip, struct pb_dims *out, struct error *err)
{
	uint32_t entry = 0;
	int32_t n;

	for (const json *v = json_first(list); v; v = json_next(v), entry++) {
		if (out->count == PB_NUMBERS)
			return error_set(err, -EINVAL, "more than %d numbers", PB_NUMBERS);
		if (!json_i32(v, &n))
			return error_prefix(err, json_refuse(v, NULL, JSON_I32, err), "entry %u", entry);
		if (n != skip)
			out->dim[out->count++] = n;
	}
	return 0;
}

static int read_matrix(const json *v, struct arena *arena, struct json_layout *out, struct error *err)
{
	struct pb_dims *dims = arena_alloc(arena, 1, sizeof(*dims));
	const json *list;
	int code = get_list(v, "device_matrix", &list, err);

	if (code < 0)
		return code;
	if (dims)
		dims->dim = arena_alloc(arena, PB_NUMBERS + 1, sizeof(*dims->dim));
	if (!dims || !dims->dim)
		return error_nomem(err);
	dims->dim++;
	out->item.dev_matrix = dims;
	out->item.dev_matrix_count = 1;
	code = take_numbers(list, INT32_MIN, dims, err);
	return code < 0 ? error_prefix(err, code, "device_matrix") : 0;
}

/* One tensor axis: a number, or a list of them in which -1 means nothing. */
static int read_axis(const json *v, struct arena *arena, struct pb_dims *out, struct error *err)
{
	int32_t lone;

	out->dim = arena_alloc(arena, PB_NUMBERS, sizeof(*out->dim));
	if (!out->dim)
		return error_nomem(err);
	if (json_is_array(v)) {
		int code = take_numbers(v, -1, out, err);

		if (code < 0 || out->count)
			return code;
		lone = -1;
	} else if (!json_i32(v, &lone)) {
		return json_refuse(v, NULL, JSON_I32 " or an array of them", err);
	}
	out->dim[out->count++] = lone;
	return 0;
}

/* The map as one list where every axis has one number, as a list for each axis otherwise: as strategy files have it. */
static int write_map(struct json_layout *out, struct pb_dims *axes, uint64_t count, struct arena *arena, struct error *err)
{
	struct pb_dims *plain = arena_alloc(arena, 1, sizeof(*plain));
	bool nested = false;

	for (uint64_t a = 0; a < count; a++)
		nested |= axes[a].count > 1;
	out->item.tensor_map = axes;
	out->item.tensor_map_count = count > 1 ? count : 2; /* an empty second list marks a nested map of one axis */
	if (nested)
		return 0;
	if (plain)
		plain->dim = arena_alloc(arena, count, sizeof(*plain->dim));
	if (!plain || !plain->dim)
		return error_nomem(err);
	for (uint64_t a = 0; a < count; a++)
		plain->dim[plain->count++] = axes[a].dim[0];
	out->item.tensor_map = plain;
	out->item.tensor_map_count = 1;
	return 0;
}

static int read_map(const json *v, struct arena *arena, struct json_layout *out, struct error *err)
{
	const json *list;
	struct pb_dims *axes;
	uint64_t count, n = 0;
	int code = get_list(v, "tensor_map", &list, err);

	if (code < 0)
		return code;
	count = json_count(list);
	if (count > BOX_AXES)
		return error_set(err, -EINVAL, "tensor_map has more than %d axes", BOX_AXES);
	axes = arena_alloc(arena, count + 2, sizeof(*axes));
	if (!axes)
		return error_nomem(err);
	for (const json *m = json_first(list); code == 0 && m; m = json_next(m))
		code = read_axis(m, arena, &axes[n++], err);
	if (code < 0)
		return code == -ENOMEM ? code : error_prefix(err, code, "tensor_map: axis %llu", (unsigned long long)(n - 1));
	return write_map(out, axes, count, arena, err);
}

static int read_ranks(const json *v, struct json_layout *out, struct error *err)
{
	const json *list;
	uint64_t rank, count = 0, first = 0;
	int code = get_list(v, "rank_list", &list, err);

	if (code < 0)
		return code;
	for (const json *m = json_first(list); m; m = json_next(m), count++) {
		if (!json_u64(m, &rank) || rank >= DEVICES_MAX)
			return error_prefix(err, json_refuse(m, NULL, DEVICES_RANK, err), "rank_list: entry %llu", (unsigned long long)count);
		first = count ? first : rank;
		if (rank != first + count)
			return error_set(err, -EINVAL, "rank_list: entry %llu is %llu, but only ranks that follow each other can be read "
					 "(%llu expected)", (unsigned long long)count, (unsigned long long)rank, (unsigned long long)(first + count));
	}
	if (count == 0)
		return error_set(err, -EINVAL, "rank_list is empty");
	if (first % count)
		return error_set(err, -EINVAL, "rank_list: begins with rank %llu, but the %llu ranks of a stage begin with a multiple of %llu",
				 (unsigned long long)first, (unsigned long long)count, (unsigned long long)count);
	out->first = (uint32_t)first;
	out->count = (uint32_t)count;
	return 0;
}

/* The device matrix must have one device for each rank. */
static int check_devices(const struct json_layout *l, struct error *err)
{
	uint64_t product = 1;

	for (uint64_t i = 0; i < l->item.dev_matrix->count; i++) {
		int32_t n = l->item.dev_matrix->dim[i];

		if (n < 1 || !bytes_mul(product, (uint32_t)n, &product))
			return error_set(err, -EINVAL, "device_matrix: entry %llu is %d", (unsigned long long)i, n);
	}
	if (product == l->count)
		return 0;
	return error_set(err, -EINVAL, "device_matrix has %llu devices, but rank_list %u ranks", (unsigned long long)product, l->count);
}

int json_layout_read(const json *v, struct arena *arena, struct json_layout *out, struct error *err)
{
	int code = json_is_object(v) ? 0 : json_refuse(v, NULL, "an object or null", err);

	*out = (struct json_layout){ .first = 0 };
	if (code == 0 && json_get(v, "interleaved_parallel") && json_is_true(json_get(v, "interleaved_parallel")))
		code = error_set(err, -EINVAL, "interleaved_parallel cannot be read");
	if (code == 0)
		code = read_matrix(v, arena, out, err);
	if (code == 0)
		code = read_map(v, arena, out, err);
	if (code == 0)
		code = read_ranks(v, out, err);
	if (code == 0)
		code = check_devices(out, err);
	return code < 0 && code != -ENOMEM ? error_prefix(err, code, "layout") : code;
}

void json_layout_spread(struct json_layout *layout, uint32_t devices)
{
	struct pb_dims *matrix = layout->item.dev_matrix;

	if (devices == layout->count)
		return;
	matrix->dim--; /* device axes count from the right, so the map stays as it is */
	matrix->dim[0] = (int32_t)(devices / layout->count);
	matrix->count++;
}
