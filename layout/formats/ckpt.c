/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file is walked over twice: once to count its values, so that every list is made in its final size, and once to take them. A
 * parameter is a row of adjacent values of one name; a later row of the same name replaces it. Addresses are given out last.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <zlib.h>

#include "layout/formats/ckpt.h"
#include "layout/formats/pb_ckpt.h"

#define CRC_MARK "crc_num" /* then a number of 10 bytes, big-endian */
#define CRC_TAIL 17
#define INT4 "Int4"
#define DIMS_TEXT 200

typedef unsigned long long ull; /* for messages */

/* MindSpore's name of a type (str(mstype.*)), and safetensors' type, or why there is none. */
static const struct type {
	const char *name;
	enum dtype dtype;
	const char *reason;
} types[] = {
	{ "Float32", DTYPE_F32, NULL },
	{ "Float16", DTYPE_F16, NULL },
	{ "BFloat16", DTYPE_BF16, NULL },
	{ "Float64", DTYPE_F64, NULL },
	{ "Int8", DTYPE_I8, NULL },
	{ "Int16", DTYPE_I16, NULL },
	{ "Int32", DTYPE_I32, NULL },
	{ "Int64", DTYPE_I64, NULL },
	{ "UInt8", DTYPE_U8, NULL },
	{ "UInt16", DTYPE_U16, NULL },
	{ "UInt32", DTYPE_U32, NULL },
	{ "UInt64", DTYPE_U64, NULL },
	{ "Bool", DTYPE_BOOL, NULL },
	{ INT4, DTYPE_I8, NULL }, /* a byte for each element; marked in the metadata */
	{ "Complex64", DTYPE_C64, NULL },
	{ "Float8E4M3FN", DTYPE_F8_E4M3, NULL },
	{ "Float8E5M2", DTYPE_F8_E5M2, NULL },
	{ "HiFloat8", DTYPE_COUNT, "safetensors has no type HiFloat8" },
	{ "Complex128", DTYPE_COUNT, "safetensors has no type Complex128" },
	{ "str", DTYPE_COUNT, "a str, and safetensors holds tensors only" },
};

static const struct type map_type = { "maptensor", DTYPE_COUNT, "a map parameter, and safetensors holds tensors only" };

struct param {
	const char *name;
	const uint64_t *shape;  /* [axes] */
	const struct type *type;
	const char *left_out;   /* why, or NULL for a tensor */
	uint64_t bytes, have;   /* that dims say, and that the slices so far hold */
	uint64_t first, slices; /* of indexing.slices */
	uint64_t offset;        /* of its only content, or of an empty one */
	uint32_t axes;
};

struct indexing {
	struct pb_ckpt walk;        /* over the file without its checksum */
	struct arena *arena;
	struct names names;         /* of the parameters, numbered as in `latest` */
	struct param **latest;      /* the last parameter of each name */
	struct param *params;       /* [count] */
	struct ckpt_splice *slices; /* [slice_count] contents, but empty ones, by physical; no addresses yet */
	uint64_t count, slice_count;
	struct error *err;
};

/* "parameter NAME: FIELD: ..." */
__attribute__((format(printf, 4, 5)))
static int refuse(const struct indexing *x, const struct pb_ckpt_value *v, const char *field, const char *format, ...)
{
	char label[PB_CKPT_LABEL], reason[512];
	va_list args;

	va_start(args, format);
	vsnprintf(reason, sizeof(reason), format, args);
	va_end(args);
	pb_ckpt_label(v, label);
	return error_set(x->err, -EINVAL, "%s: %s: %s", label, field, reason);
}

static bool same(struct bytes a, struct bytes b)
{
	return a.len == b.len && memcmp(a.ptr, b.ptr, a.len) == 0;
}

static const struct type *find_type(struct bytes name)
{
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (same(name, (struct bytes){ (const uint8_t *)types[i].name, strlen(types[i].name) }))
			return &types[i];
	return NULL;
}

/* A type's name for a message. */
#define TYPE_TEXT(type) (int)((type).len < 64 ? (type).len : 64), (const char *)(type).ptr

/* "[2, 3]" for a message. */
static const char *dims_text(const struct pb_ckpt_value *v, char text[static DIMS_TEXT])
{
	size_t used = (size_t)snprintf(text, DIMS_TEXT, "[");

	for (uint32_t a = 0; a < v->axes && used < DIMS_TEXT - 30; a++)
		used += (size_t)snprintf(text + used, DIMS_TEXT - used, "%s%lld", a ? ", " : "", (long long)v->dim[a]);
	snprintf(text + used, DIMS_TEXT - used, used < DIMS_TEXT - 30 ? "]" : " ...]");
	return text;
}

/* Gives `p` its shape and the bytes that it takes. The dims [0] are a scalar's: so wrote older versions, and so reads the loader. */
static int take_dims(struct indexing *x, const struct pb_ckpt_value *v, struct param *p)
{
	uint64_t *shape = arena_alloc(x->arena, v->axes, sizeof(*shape)), n = 1;
	char text[DIMS_TEXT];

	if (!shape)
		return error_nomem(x->err);
	p->shape = shape;
	p->axes = v->axes == 1 && v->dim[0] == 0 ? 0 : v->axes;
	for (uint32_t a = 0; a < p->axes; a++) {
		if (v->dim[a] < 0)
			return refuse(x, v, "dims", "%s: axis %u is negative", dims_text(v, text), a);
		shape[a] = (uint64_t)v->dim[a];
		if (!bytes_mul(n, shape[a], &n))
			return refuse(x, v, "dims", "%s: the product up to axis %u passes 64 bits", dims_text(v, text), a);
	}
	if (!dtype_bytes(p->type->dtype, n, &p->bytes))
		return refuse(x, v, "dims", "%s: %llu elements of %s pass 64 bits", dims_text(v, text), (ull)n, p->type->name);
	return 0;
}

/* Puts the content of `v` behind what `p` has. */
static int take_content(struct indexing *x, const struct pb_ckpt_value *v, struct param *p)
{
	char text[DIMS_TEXT];

	if (v->len > p->bytes - p->have)
		return refuse(x, v, "tensor_content", "%llu bytes%s, but dims %s of %s take %llu", (ull)(p->have + v->len),
			      p->have ? " in adjacent values" : "", dims_text(v, text), p->type->name, (ull)p->bytes);
	p->have += v->len;
	if (v->len == 0)
		return 0;
	x->slices[x->slice_count++] = (struct ckpt_splice){ .physical = v->offset, .len = v->len };
	p->slices++;
	return 0;
}

/* Checks that the last parameter, whose last value is `v`, is whole. */
static int end_param(const struct indexing *x, const struct pb_ckpt_value *v)
{
	const struct param *p = x->count ? &x->params[x->count - 1] : NULL;
	char text[DIMS_TEXT];

	if (!p || p->left_out || p->have == p->bytes)
		return 0;
	return refuse(x, v, "tensor_content", "%llu bytes, but dims %s of %s take %llu", (ull)p->have, dims_text(v, text), p->type->name,
		      (ull)p->bytes);
}

/* Another value of the name of `last`, the one before it: a slice of the same parameter. */
static int take_slice(struct indexing *x, const struct pb_ckpt_value *v, const struct pb_ckpt_value *last)
{
	struct param *p = &x->params[x->count - 1];
	char text[DIMS_TEXT], other[DIMS_TEXT];

	if (v->map != last->map)
		return refuse(x, v, "maptensor", "%s value of that name, next to it, has a tensor", v->map ? "the last" : "the next");
	if (v->map)
		return 0;
	if (!same(v->type, last->type))
		return refuse(x, v, "tensor_type", "\"%.*s\", but the slice before it has \"%.*s\"", TYPE_TEXT(v->type), TYPE_TEXT(last->type));
	if (v->axes != last->axes || memcmp(v->dim, last->dim, sizeof(v->dim)) != 0)
		return refuse(x, v, "dims", "%s, but the slice before it has %s", dims_text(v, text), dims_text(last, other));
	return p->left_out ? 0 : take_content(x, v, p);
}

/* Puts `p` where a later value of its name will find it; an earlier parameter of the name is dropped. */
static int enter_name(struct indexing *x, struct param *p)
{
	uint32_t number = names_add(&x->names, p->name);

	if (number == NAMES_NONE)
		return error_nomem(x->err);
	if (x->latest[number])
		x->latest[number]->left_out = "saved again later in the file, and the last one counts";
	x->latest[number] = p;
	return 0;
}

static int take_first(struct indexing *x, const struct pb_ckpt_value *v)
{
	struct param *p = &x->params[x->count++];
	int code;

	p->name = arena_strndup(x->arena, (const char *)v->name.ptr, v->name.len);
	p->type = v->map ? &map_type : find_type(v->type);
	p->first = x->slice_count;
	p->offset = v->offset;
	if (!p->name)
		return error_nomem(x->err);
	if (!p->type)
		return refuse(x, v, "tensor_type", "\"%.*s\" is not known", TYPE_TEXT(v->type));
	p->left_out = strcmp(p->name, "__metadata__") == 0 ? "safetensors keeps that name for itself" : p->type->reason;
	code = enter_name(x, p);
	if (code < 0 || p->left_out)
		return code;
	code = take_dims(x, v, p);
	return code < 0 ? code : take_content(x, v, p);
}

static int take_values(struct indexing *x)
{
	struct pb_ckpt_value v, last = { 0 };
	int code;

	while ((code = pb_ckpt_next(&x->walk, &v, x->err)) > 0) {
		if (x->count && same(v.name, last.name)) {
			code = take_slice(x, &v, &last);
		} else {
			code = end_param(x, &last);
			if (code == 0)
				code = take_first(x, &v);
		}
		if (code < 0)
			return code;
		last = v;
	}
	return code < 0 ? code : end_param(x, &last);
}

/* Counts the values of the file, and makes the lists that depend on how many they are. */
static int prepare(struct indexing *x)
{
	struct pb_ckpt walk = x->walk;
	struct pb_ckpt_value v;
	int code;

	while ((code = pb_ckpt_next(&walk, &v, x->err)) > 0)
		if (walk.count > CKPT_VALUES_MAX)
			return error_set(x->err, -EINVAL, "more than %llu values", (ull)CKPT_VALUES_MAX);
	if (code < 0)
		return code;
	if (walk.count == 0)
		return error_set(x->err, -EINVAL, "expected parameters, found none");
	x->names = names_new(x->arena);
	x->latest = arena_alloc(x->arena, walk.count, sizeof(*x->latest));
	x->params = arena_alloc(x->arena, walk.count, sizeof(*x->params));
	x->slices = arena_alloc(x->arena, walk.count, sizeof(*x->slices));
	return x->latest && x->params && x->slices ? 0 : error_nomem(x->err);
}

/* The lists of *out while they grow, each in its final size. */
struct lists {
	struct safetensors_entry *entry;
	struct ckpt_splice *splice;
	struct pair *left_out, *meta;
};

static bool make_lists(const struct indexing *x, struct lists *to)
{
	to->entry = arena_alloc(x->arena, x->count, sizeof(*to->entry));
	to->splice = arena_alloc(x->arena, x->slice_count, sizeof(*to->splice));
	to->left_out = arena_alloc(x->arena, x->count, sizeof(*to->left_out));
	to->meta = arena_alloc(x->arena, x->count + 1, sizeof(*to->meta));
	return to->entry && to->splice && to->left_out && to->meta;
}

static void put_entry(const struct param *p, uint64_t begin, const struct lists *to, struct ckpt *out)
{
	to->entry[out->st.count++] = (struct safetensors_entry){ .name = p->name, .shape = p->shape, .axes = p->axes, .dtype = p->type->dtype,
								 .begin = begin, .end = begin + p->bytes };
	if (strcmp(p->type->name, INT4) == 0)
		to->meta[out->st.meta_count++] = (struct pair){ p->name, INT4 };
}

/* The first address of a spliced tensor behind what ends at `end`. All contents lie in the file, so addresses stay far below 2^64. */
static uint64_t after_gap(uint64_t end)
{
	return (end + CKPT_GAP - 1) / CKPT_GAP * CKPT_GAP + CKPT_GAP;
}

/* Gives a parameter in several slices the addresses from *next on, and moves that past it and a gap. */
static void put_spliced(const struct indexing *x, const struct param *p, uint64_t *next, const struct lists *to, struct ckpt *out)
{
	uint64_t at = *next;

	put_entry(p, at, to, out);
	for (uint64_t i = 0; i < p->slices; i++) {
		struct ckpt_splice s = x->slices[p->first + i];

		s.logical = at;
		at += s.len;
		to->splice[out->splice_count++] = s;
	}
	*next = after_gap(at);
}

/* Sorts what the file holds into *out. */
static int finish(const struct indexing *x, uint64_t file_size, struct ckpt *out)
{
	uint64_t next = after_gap(file_size);
	struct lists to;

	if (!make_lists(x, &to))
		return error_nomem(x->err);
	to.meta[out->st.meta_count++] = (struct pair){ "format", "ms" };
	for (uint64_t i = 0; i < x->count; i++) {
		const struct param *p = &x->params[i];

		if (p->left_out)
			to.left_out[out->left_out_count++] = (struct pair){ p->name, p->left_out };
		else if (p->slices < 2)
			put_entry(p, p->slices ? x->slices[p->first].physical : p->offset, &to, out);
	}
	for (uint64_t i = 0; i < x->count; i++)
		if (!x->params[i].left_out && x->params[i].slices >= 2)
			put_spliced(x, &x->params[i], &next, &to, out);
	out->st.entries = to.entry;
	out->st.meta = to.meta;
	out->splices = to.splice;
	out->left_out = to.left_out;
	return 0;
}

/* Finds the checksum at the end of the file, which is cut off before anything else is read. */
static int take_crc(struct bytes file, struct ckpt *out, struct error *err)
{
	const uint8_t *tail = file.len < CRC_TAIL ? NULL : file.ptr + file.len - CRC_TAIL;

	out->crc_len = file.len;
	if (!tail || memcmp(tail, CRC_MARK, strlen(CRC_MARK)) != 0)
		return 0;
	out->has_crc = true;
	out->crc_len = file.len - CRC_TAIL;
	for (size_t i = strlen(CRC_MARK); i < CRC_TAIL; i++) {
		if (out->crc > UINT32_MAX >> 8)
			return error_set(err, -EINVAL, CRC_MARK ": the checksum at the end of the file is no number of 32 bits");
		out->crc = out->crc << 8 | tail[i];
	}
	return 0;
}

int ckpt_index(struct bytes file, struct arena *arena, struct ckpt *out, struct error *err)
{
	static const uint8_t encrypted[] = { 0xd8, 0x5e, 0x3a, 0x7f };
	struct indexing x = { .arena = arena, .err = err };
	int code;

	*out = (struct ckpt){ 0 };
	if (file.len == 0)
		return error_set(err, -EINVAL, "the file is empty");
	if (file.len >= sizeof(encrypted) && memcmp(file.ptr, encrypted, sizeof(encrypted)) == 0)
		return error_set(err, -EINVAL, "the file is encrypted; decrypt it with MindSpore first");
	code = take_crc(file, out, err);
	x.walk.file = (struct bytes){ file.ptr, out->crc_len };
	if (code == 0)
		code = prepare(&x);
	if (code == 0)
		code = take_values(&x);
	return code < 0 ? code : finish(&x, file.len, out);
}

int ckpt_verify(struct bytes file, const struct ckpt *ckpt, struct error *err)
{
	uint32_t sum;

	if (!ckpt->has_crc)
		return error_set(err, -ENODATA, CRC_MARK ": the file has no checksum");
	if (file.len < ckpt->crc_len)
		return error_set(err, -EINVAL, CRC_MARK ": the file has %llu bytes, expected %llu or more", (ull)file.len, (ull)ckpt->crc_len);
	sum = (uint32_t)crc32_z(0, file.ptr, ckpt->crc_len);
	if (sum != ckpt->crc)
		return error_set(err, -EINVAL, CRC_MARK ": the file says %08x, but its bytes make %08x", ckpt->crc, sum);
	return 0;
}
