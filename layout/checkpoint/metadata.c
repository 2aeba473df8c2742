/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Three passes. First the parameters, each for itself. Then what is stored where. Only then all layouts are known, and with them how many
 * ranks a stage has (metadata_parts.c), so that slices and the ranks that store them can be compared.
 */
#include <errno.h>
#include <string.h>

#include "layout/base/natural.h"
#include "layout/checkpoint/held.h"
#include "layout/checkpoint/metadata_parts.h"
#include "layout/formats/shard_id.h"

/* The names that MindSpore gives to types. */
static const struct {
	const char *name;
	enum dtype dtype;
} dtypes[] = {
	{ "Bool", DTYPE_BOOL }, { "Int8", DTYPE_I8 }, { "UInt8", DTYPE_U8 }, { "Int16", DTYPE_I16 }, { "UInt16", DTYPE_U16 },
	{ "Int32", DTYPE_I32 }, { "UInt32", DTYPE_U32 }, { "Int64", DTYPE_I64 }, { "UInt64", DTYPE_U64 }, { "Float16", DTYPE_F16 },
	{ "BFloat16", DTYPE_BF16 }, { "Float32", DTYPE_F32 }, { "Float64", DTYPE_F64 }, { "Complex64", DTYPE_C64 },
};

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

/* Whether `name` is `want` but for capitals, which the reader does not look at. */
static bool same_type(const char *name, const char *want)
{
	for (; *want && lower(*name) == lower(*want); name++)
		want++;
	return *name == 0 && *want == 0;
}

/* A list of whole numbers, at most BOX_AXES of them. */
static int read_numbers(const json *v, const char *field, struct arena *arena, uint64_t **out, uint32_t *count, struct error *err)
{
	const json *list = json_get(v, field);
	uint64_t n = list && json_is_array(list) ? json_count(list) : BOX_AXES + 1;

	if (!list || !json_is_array(list))
		return json_refuse(list, field, "an array", err);
	if (n > BOX_AXES)
		return error_set(err, -EINVAL, "%s has more than %d entries", field, BOX_AXES);
	*out = arena_alloc(arena, n, sizeof(**out));
	*count = 0;
	if (!*out)
		return error_nomem(err);
	for (v = json_first(list); v; v = json_next(v), ++*count)
		if (!json_u64(v, &(*out)[*count]))
			return error_prefix(err, json_refuse(v, NULL, "a whole number", err), "%s: entry %u", field, *count);
	return 0;
}

static int read_dtype(const json *v, struct metadata_tensor *t, struct error *err)
{
	const json *properties = json_get(v, "properties"), *name;

	if (!properties || !json_is_object(properties))
		return json_refuse(properties, "properties", "an object", err);
	name = json_get(properties, "dtype");
	if (!name || !json_is_string(name))
		return json_refuse(name, "properties: dtype", "a string", err);
	for (size_t i = 0; i < sizeof(dtypes) / sizeof(*dtypes) && !t->typed; i++) {
		t->typed = same_type(json_string(name), dtypes[i].name);
		t->dtype = dtypes[i].dtype;
	}
	return 0;
}

/* global_shape and how it is cut. */
static int read_shape(const json *v, struct arena *arena, struct metadata_tensor *t, struct error *err)
{
	uint64_t *shape, slices = 1;
	uint32_t cut_axes;
	int code = read_numbers(v, "global_shape", arena, &shape, &t->axes, err);

	if (code == 0)
		code = read_numbers(v, "axis_fragmentations", arena, &t->cuts, &cut_axes, err);
	if (code < 0)
		return code;
	t->shape = shape;
	if (cut_axes != t->axes)
		return error_set(err, -EINVAL, "axis_fragmentations has %u entries, but global_shape %u", cut_axes, t->axes);
	for (uint32_t a = 0; a < t->axes; a++) {
		if (t->cuts[a] == 0 || shape[a] % t->cuts[a])
			return error_set(err, -EINVAL, "axis_fragmentations: axis %u of %llu elements cannot be cut into %llu equal parts", a,
					 (unsigned long long)shape[a], (unsigned long long)t->cuts[a]);
		if (!bytes_mul(slices, t->cuts[a], &slices) || slices > DEVICES_MAX)
			return error_set(err, -EINVAL, "axis_fragmentations make more than %llu slices", (unsigned long long)DEVICES_MAX);
	}
	t->slices = (uint32_t)slices;
	return 0;
}

/* Numbers that are all 0 are slice 0, however many they are. */
static int read_slice(const json *chunk, const struct metadata_tensor *t, struct arena *arena, uint64_t *out, struct error *err)
{
	uint64_t *offset;
	uint32_t n;
	int code = read_numbers(chunk, "global_offset", arena, &offset, &n, err);

	for (uint32_t i = 1; code == 0 && n > 1 && i <= n; i++)
		if (offset[i - 1])
			return error_set(err, -EINVAL, "global_offset has %u entries, but only one, the number of a slice, can be read", n);
	if (code < 0)
		return code;
	if (n == 0)
		return error_set(err, -EINVAL, "global_offset is empty");
	*out = offset[0];
	if (*out >= t->slices)
		return error_set(err, -EINVAL, "global_offset: slice %llu, but axis_fragmentations make %u", (unsigned long long)*out, t->slices);
	return 0;
}

static int read_chunk(const json *chunk, const struct metadata_tensor *t, struct arena *scratch, uint8_t *seen, struct error *err)
{
	uint64_t slice = 0, *shape;
	uint32_t axes;
	int code = json_is_object(chunk) ? read_slice(chunk, t, scratch, &slice, err) : json_refuse(chunk, NULL, "an object", err);

	if (code == 0)
		code = read_numbers(chunk, "local_shape", scratch, &shape, &axes, err);
	if (code < 0)
		return code;
	if (axes != t->axes)
		return error_set(err, -EINVAL, "local_shape has %u axes, but global_shape %u", axes, t->axes);
	for (uint32_t a = 0; a < axes; a++)
		if (shape[a] != t->shape[a] / t->cuts[a])
			return error_set(err, -EINVAL, "local_shape: axis %u has %llu elements, but %llu cut into %llu parts makes %llu", a,
					 (unsigned long long)shape[a], (unsigned long long)t->shape[a], (unsigned long long)t->cuts[a],
					 (unsigned long long)(t->shape[a] / t->cuts[a]));
	if (seen[slice]++)
		return error_set(err, -EINVAL, "slice %llu is there twice", (unsigned long long)slice);
	return 0;
}

static int read_chunks(const json *v, const struct metadata_tensor *t, struct arena *scratch, struct error *err)
{
	const json *list = json_get(v, "chunk");
	uint8_t *seen = arena_alloc(scratch, t->slices, 1);
	uint32_t n = 0;
	int code = seen ? 0 : error_nomem(err);

	if (code == 0 && (!list || !json_is_array(list)))
		code = json_refuse(list, "chunk", "an array", err);
	for (const json *c = code == 0 ? json_first(list) : NULL; code == 0 && c; c = json_next(c), n++)
		if ((code = read_chunk(c, t, scratch, seen, err)) < 0)
			error_prefix(err, code, "chunk %u", n);
	if (code == 0 && n != t->slices)
		code = error_set(err, -EINVAL, "chunk has %u entries, but axis_fragmentations make %u slices", n, t->slices);
	return code;
}

static int read_layout(const json *v, struct arena *arena, struct metadata_tensor *t, struct error *err)
{
	const json *layout = json_get(v, "layout");

	t->cut = layout && !json_is_null(layout);
	if (t->cut)
		return json_layout_read(layout, arena, &t->raw, err);
	return t->slices == 1 ? 0 : error_set(err, -EINVAL, "layout is null, but axis_fragmentations make %u slices", t->slices);
}

static int read_tensor(const json *v, struct arena *arena, struct metadata_tensor *t, struct error *err)
{
	struct arena *scratch = arena_new();
	int code = scratch ? 0 : error_nomem(err);

	t->name = arena_strndup(arena, json_key(v), strlen(json_key(v)));
	if (code == 0 && !t->name)
		code = error_nomem(err);
	if (code == 0 && !*t->name)
		code = error_set(err, -EINVAL, "the name is empty");
	if (code == 0 && !json_is_object(v))
		code = json_refuse(v, NULL, "an object", err);
	if (code == 0)
		code = read_dtype(v, t, err);
	if (code == 0)
		code = read_shape(v, arena, t, err);
	if (code == 0)
		code = read_layout(v, arena, t, err);
	if (code == 0)
		code = read_chunks(v, t, scratch, err);
	arena_free(scratch);
	return code < 0 && code != -ENOMEM ? error_prefix(err, code, "state_dict_metadata: tensor \"%s\"", json_key(v)) : code;
}

static int get_object(const json *root, const char *key, const json **out, struct error *err)
{
	*out = json_is_object(root) ? json_get(root, key) : NULL;
	return *out && json_is_object(*out) ? 0 : json_refuse(*out, key, "an object", err);
}

static int read_tensors(const json *root, struct metadata_parts *p, struct error *err)
{
	const json *object;
	int code = get_object(root, "state_dict_metadata", &object, err);

	if (code < 0)
		return code;
	p->tensors = arena_alloc(p->arena, json_count(object), sizeof(*p->tensors));
	if (!p->tensors)
		return error_nomem(err);
	for (const json *v = json_first(object); code == 0 && v; v = json_next(v)) {
		struct metadata_tensor *t = &p->tensors[p->count++];

		code = read_tensor(v, p->arena, t, err);
		if (code == 0 && names_add(&p->names, t->name) == NAMES_NONE)
			code = error_nomem(err);
	}
	return code;
}

/* A file that gives what it is called and whose it is, as it is once more with another slice. */
static int take_file(struct metadata_parts *p, const char *name, uint32_t rank, struct error *err)
{
	uint32_t i = names_find(&p->file_names, name);
	size_t len = strlen(name), suffix = strlen(".safetensors");
	struct metadata_file *files = arena_grow(p->arena, p->files, p->file_names.count, &p->file_room, sizeof(*files));

	if (!files)
		return error_nomem(err);
	p->files = files;
	if (i != NAMES_NONE && files[i].rank != rank)
		return error_set(err, -EINVAL, "file_name: %s is rank %u's here, but rank %u's elsewhere", name, rank, files[i].rank);
	if (i != NAMES_NONE)
		return 0;
	if (len <= suffix || strcmp(name + len - suffix, ".safetensors") != 0 || strchr(name, '/') || *name == '.')
		return error_set(err, -EINVAL, "file_name: \"%.256s\" is no name of a .safetensors file beside metadata.json", name);
	name = arena_strndup(p->arena, name, len);
	if (!name || (i = names_add(&p->file_names, name)) == NAMES_NONE)
		return error_nomem(err);
	files[i] = (struct metadata_file){ name, rank };
	return 0;
}

/* Ranks that share the slice: they count when nothing else tells how many ranks there are. */
static int read_group(const json *v, struct metadata_parts *p, struct error *err)
{
	const json *group = json_get(v, "rank_group");
	uint64_t rank;

	if (group && !json_is_array(group))
		return json_refuse(group, "rank_group", "an array", err);
	for (v = group ? json_first(group) : NULL; v; v = json_next(v)) {
		if (!json_u64(v, &rank) || rank >= DEVICES_MAX)
			return json_refuse(v, "rank_group: an entry", DEVICES_RANK, err);
		p->last_rank = rank > p->last_rank ? (uint32_t)rank : p->last_rank;
	}
	return 0;
}

static int read_place(const json *v, struct metadata_parts *p, const struct shard_id *id, struct error *err)
{
	const json *name = json_is_object(v) ? json_get(v, "file_name") : NULL, *storage = name ? json_get(v, "storage_rank") : NULL;
	struct metadata_place *places = arena_grow(p->arena, p->places, p->place_count, &p->place_room, sizeof(*places));
	uint64_t rank;

	if (!places)
		return error_nomem(err);
	p->places = places;
	if (!name || !json_is_string(name))
		return json_refuse(name, "file_name", "a string", err);
	if (!storage || !json_u64(storage, &rank) || rank >= DEVICES_MAX)
		return json_refuse(storage, "storage_rank", DEVICES_RANK, err);

	int code = take_file(p, json_string(name), (uint32_t)rank, err);

	places[p->place_count++] = (struct metadata_place){ .tensor = names_find(&p->names, id->name), .slice = (uint32_t)id->slice,
							     .rank = (uint32_t)rank };
	p->last_rank = rank > p->last_rank ? (uint32_t)rank : p->last_rank;
	return code == 0 ? read_group(v, p, err) : code;
}

/* The files of one slice. One of a parameter that is not described is of no use to a reader, but its file must be there. */
static int read_places(const json *v, struct metadata_parts *p, struct error *err)
{
	struct shard_id id;
	int code = shard_id_parse(json_key(v), p->arena, &id, err);
	uint32_t t = code == 0 ? names_find(&p->names, id.name) : NAMES_NONE;

	if (code < 0)
		return code;
	if (t != NAMES_NONE && id.slice >= p->tensors[t].slices)
		return error_set(err, -EINVAL, "storage_data: tensor \"%s\": slice %llu, but axis_fragmentations make %u", id.name,
				 (unsigned long long)id.slice, p->tensors[t].slices);
	if (!json_is_array(v))
		code = json_refuse(v, NULL, "an array", err);
	for (const json *place = json_first(v); code == 0 && place; place = json_next(place))
		code = read_place(place, p, &id, err);
	return code < 0 && code != -ENOMEM ? error_prefix(err, code, "storage_data: tensor \"%s\", slice %llu", id.name,
							  (unsigned long long)id.slice) : code;
}

static int read_storage(const json *root, struct metadata_parts *p, struct error *err)
{
	const json *object;
	int code = get_object(root, "storage_data", &object, err);

	for (const json *v = code == 0 ? json_first(object) : NULL; code == 0 && v; v = json_next(v))
		code = read_places(v, p, err);
	return code;
}

static int by_rank(const void *a, const void *b)
{
	const struct metadata_file *x = a, *y = b;

	return x->rank == y->rank ? natural_compare(x->name, y->name) : x->rank < y->rank ? -1 : 1;
}

static int finish(struct metadata_parts *p, const char *path, struct metadata **out, struct error *err)
{
	struct metadata *md = arena_alloc(p->arena, 1, sizeof(*md));
	int code = md ? metadata_parts_strategy(p, path, &md->strategy, err) : error_nomem(err);

	if (code < 0)
		return code;
	if (p->file_names.count)
		qsort(p->files, p->file_names.count, sizeof(*p->files), by_rank);
	md->tensors = p->tensors;
	md->count = p->count;
	md->names = p->names;
	md->files = p->files;
	md->file_count = p->file_names.count;
	*out = md;
	return 0;
}

int metadata_parse(struct bytes text, const char *path, struct arena *arena, struct metadata **out, struct error *err)
{
	struct metadata_parts p = { .arena = arena, .names = names_new(arena), .file_names = names_new(arena) };
	struct json_doc *doc;
	int code = json_parse(text, text.len, &doc, err);

	if (code < 0)
		return code;
	code = read_tensors(json_root(doc), &p, err);
	if (code == 0)
		code = read_storage(json_root(doc), &p, err);
	json_free(doc);
	return code == 0 ? finish(&p, path, out, err) : code;
}

static int check_tensor(const struct metadata_tensor *want, const struct tensor *t, struct error *err)
{
	char have[HELD_SHAPE_TEXT], shape[HELD_SHAPE_TEXT];

	if (want->typed && want->dtype != t->dtype)
		return error_set(err, -EINVAL, "tensor \"%s\": dtype is %s in metadata.json, but %s in the files", want->name,
				 dtype_name(want->dtype), dtype_name(t->dtype));
	if (want->axes == t->axes && (t->axes == 0 || memcmp(want->shape, t->shape, t->axes * sizeof(*t->shape)) == 0))
		return 0;
	return error_set(err, -EINVAL, "tensor \"%s\": global_shape is %s in metadata.json, but the slices in the files make %s", want->name,
			 held_shape_text(shape, want->shape, want->axes), held_shape_text(have, t->shape, t->axes));
}

int metadata_check(const struct metadata *md, const struct checkpoint *ckpt, struct error *err)
{
	int code = 0;

	for (uint64_t i = 0; code == 0 && i < ckpt->count; i++) {
		uint32_t n = names_find(&md->names, ckpt->tensors[i].source_name);

		if (n != NAMES_NONE)
			code = check_tensor(&md->tensors[n], &ckpt->tensors[i], err);
	}
	return code;
}
