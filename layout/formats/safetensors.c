/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rules and their order are those of the crate, whose names for them end each message in parentheses, so that both can be
 * looked up. Beyond it, duplicate keys, unknown fields and shapes of more than BOX_AXES axes are refused.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "layout/base/box.h"
#include "layout/base/json.h"
#include "layout/base/text.h"
#include "layout/base/utf8.h"
#include "layout/formats/plain.h"
#include "layout/formats/safetensors.h"

#define META "__metadata__"

typedef unsigned long long ull; /* for messages */

/* What a parse carries around. */
struct parse {
	struct arena *arena;
	struct safetensors_entry *entries;
	struct pair *meta;
	uint64_t count, meta_count;
	struct error *err;
};

int safetensors_length(struct bytes head, uint64_t file_size, uint64_t *length, struct error *err)
{
	if (head.len < 8 || file_size < 8)
		return error_set(err, -EINVAL, "the file has %llu bytes, fewer than the 8 of the header's length (HeaderTooSmall)",
				 (ull)file_size);
	*length = bytes_le64(head.ptr);
	if (*length > SAFETENSORS_HEADER_MAX)
		return error_set(err, -EINVAL, "header length %llu, but %llu is the most (HeaderTooLarge)", (ull)*length,
				 (ull)SAFETENSORS_HEADER_MAX);
	if (*length > file_size - 8)
		return error_set(err, -EINVAL, "header length %llu, but the file has only %llu bytes behind it (InvalidHeaderLength)",
				 (ull)*length, (ull)(file_size - 8));
	return 0;
}

/* "tensor NAME: ..."; a name is cut before it could push the reason out of the message. */
__attribute__((format(printf, 3, 4)))
static int refuse(struct parse *p, const char *name, const char *format, ...)
{
	char reason[1024];
	va_list args;

	va_start(args, format);
	vsnprintf(reason, sizeof(reason), format, args);
	va_end(args);
	return error_set(p->err, -EINVAL, "tensor \"%.512s%s\": %s", name, strlen(name) > 512 ? "..." : "", reason);
}

static int check_utf8(struct bytes header, struct error *err)
{
	uint32_t code, used;

	for (uint64_t i = 0; i < header.len; i += used) {
		used = utf8_decode(header.ptr + i, header.len - i, &code);
		if (used == 0)
			return error_set(err, -EINVAL, "header: byte %llu: not UTF-8 (InvalidHeader)", (ull)i);
	}
	return 0;
}

static int read_dtype(struct parse *p, struct safetensors_entry *e, const json *v)
{
	const char *name = json_string(v);
	char found[JSON_FOUND];

	if (!name)
		return refuse(p, e->name, "dtype: expected a string, found %s (InvalidHeaderDeserialization)", json_found(v, found));
	if (!dtype_parse(name, &e->dtype))
		return refuse(p, e->name, "dtype: \"%.64s\" is not known (InvalidHeaderDeserialization)", name);
	return 0;
}

static int read_shape(struct parse *p, struct safetensors_entry *e, const json *v)
{
	uint64_t axes = json_count(v), a = 0;
	char found[JSON_FOUND];

	if (!json_is_array(v))
		return refuse(p, e->name, "shape: expected an array, found %s (InvalidHeaderDeserialization)", json_found(v, found));
	if (axes > BOX_AXES)
		return refuse(p, e->name, "shape: %llu axes, but %d are the most", (ull)axes, BOX_AXES);

	uint64_t *shape = arena_alloc(p->arena, axes, sizeof(*shape));

	if (!shape)
		return error_nomem(p->err);
	for (const json *n = json_first(v); n; n = json_next(n), a++)
		if (!json_u64(n, &shape[a]))
			return refuse(p, e->name, "shape: axis %llu: expected a whole number from 0 to 2^53 - 1, found %s "
				      "(InvalidHeaderDeserialization)", (ull)a, json_found(n, found));
	e->shape = shape;
	e->axes = (uint32_t)axes;
	return 0;
}

static int read_offsets(struct parse *p, struct safetensors_entry *e, const json *v)
{
	const json *begin = json_is_array(v) ? json_first(v) : NULL, *end = begin ? json_next(begin) : NULL, *wrong = NULL;
	char found[JSON_FOUND];

	if (!end || json_next(end))
		wrong = v;
	else if (!json_u64(begin, &e->begin))
		wrong = begin;
	else if (!json_u64(end, &e->end))
		wrong = end;
	return wrong ? refuse(p, e->name, "data_offsets: expected two whole numbers from 0 to 2^53 - 1, found %s (InvalidHeaderDeserialization)",
			      json_found(wrong, found)) : 0;
}

static const struct field {
	const char *name;
	int (*read)(struct parse *p, struct safetensors_entry *e, const json *v);
} fields[] = { { "dtype", read_dtype }, { "shape", read_shape }, { "data_offsets", read_offsets } };

#define FIELDS (sizeof(fields) / sizeof(fields[0]))

static const struct field *find_field(const char *name)
{
	for (size_t i = 0; i < FIELDS; i++)
		if (strcmp(fields[i].name, name) == 0)
			return &fields[i];
	return NULL;
}

static int read_entry(struct parse *p, const json *v)
{
	struct safetensors_entry *e = &p->entries[p->count++];
	char found[JSON_FOUND];

	e->name = arena_strndup(p->arena, json_key(v), strlen(json_key(v)));
	if (!e->name)
		return error_nomem(p->err);
	if (!json_is_object(v))
		return refuse(p, e->name, "expected an object, found %s (InvalidHeaderDeserialization)", json_found(v, found));
	for (const json *m = json_first(v); m; m = json_next(m)) {
		const struct field *f = find_field(json_key(m));
		int r = f ? f->read(p, e, m) :
			    refuse(p, e->name, "unknown field \"%.64s\" (InvalidHeaderDeserialization)", json_key(m));

		if (r < 0)
			return r;
	}
	for (size_t i = 0; i < FIELDS; i++)
		if (!json_get(v, fields[i].name))
			return refuse(p, e->name, "%s is missing (InvalidHeaderDeserialization)", fields[i].name);
	return 0;
}

static int read_meta(struct parse *p, const json *v)
{
	char found[JSON_FOUND];

	if (!json_is_object(v))
		return error_set(p->err, -EINVAL, "header: " META ": expected an object, found %s (InvalidHeaderDeserialization)",
				 json_found(v, found));
	p->meta = arena_alloc(p->arena, json_count(v), sizeof(*p->meta));
	if (!p->meta)
		return error_nomem(p->err);
	for (const json *m = json_first(v); m; m = json_next(m)) {
		const char *key = json_key(m), *value = json_string(m);

		if (!value)
			return error_set(p->err, -EINVAL, "header: " META ": the value of \"%.512s\": expected a string, found %s "
					 "(InvalidHeaderDeserialization)", key, json_found(m, found));
		key = arena_strndup(p->arena, key, strlen(key));
		value = arena_strndup(p->arena, value, strlen(value));
		if (!key || !value)
			return error_nomem(p->err);
		p->meta[p->meta_count++] = (struct pair){ key, value };
	}
	return 0;
}

static int read_header(struct parse *p, const json *root)
{
	p->entries = arena_alloc(p->arena, json_count(root), sizeof(*p->entries));
	if (!p->entries)
		return error_nomem(p->err);
	for (const json *m = json_first(root); m; m = json_next(m)) {
		int r = strcmp(json_key(m), META) == 0 ? read_meta(p, m) : read_entry(p, m);

		if (r < 0)
			return r;
	}
	return 0;
}

/* By begin and end; tensors without bytes that lie at one place, by name. */
static int compare_entries(const void *a, const void *b)
{
	const struct safetensors_entry *x = a, *y = b;

	if (x->begin != y->begin)
		return x->begin < y->begin ? -1 : 1;
	if (x->end != y->end)
		return x->end < y->end ? -1 : 1;
	return strcmp(x->name, y->name);
}

/* Checks that the shape and the dtype of `e` make the bytes that it has. */
static int check_size(struct parse *p, const struct safetensors_entry *e)
{
	uint64_t n = 1, bits, have = e->end - e->begin;

	for (uint32_t a = 0; a < e->axes; a++)
		if (!bytes_mul(n, e->shape[a], &n))
			return refuse(p, e->name, "shape: the product up to axis %u passes 64 bits (ValidationOverflow)", a);
	if (!bytes_mul(n, dtype_bits(e->dtype), &bits))
		return refuse(p, e->name, "shape: %llu elements of %s pass 64 bits (ValidationOverflow)", (ull)n, dtype_name(e->dtype));
	if (bits % 8)
		return refuse(p, e->name, "shape: %llu elements of %s end inside a byte (MisalignedSlice)", (ull)n, dtype_name(e->dtype));
	if (bits / 8 != have)
		return refuse(p, e->name, "data_offsets [%llu, %llu] hold %llu bytes, but %llu elements of %s take %llu (TensorInvalidInfo)",
			      (ull)e->begin, (ull)e->end, (ull)have, (ull)n, dtype_name(e->dtype), (ull)(bits / 8));
	return 0;
}

/* Checks the sorted entries against each other; `data` is how many bytes follow the header. */
static int check_entries(struct parse *p, uint64_t data)
{
	uint64_t at = 0;

	for (uint64_t i = 0; i < p->count; i++) {
		const struct safetensors_entry *e = &p->entries[i];
		int r;

		if (e->begin != at)
			return refuse(p, e->name, "data_offsets [%llu, %llu] should begin at %llu, %s (InvalidOffset)", (ull)e->begin,
				      (ull)e->end, (ull)at, i ? "where the tensor before it ends" : "as the first tensor");
		if (e->end < e->begin)
			return refuse(p, e->name, "data_offsets [%llu, %llu] end before they begin (InvalidOffset)", (ull)e->begin, (ull)e->end);
		r = check_size(p, e);
		if (r < 0)
			return r;
		at = e->end;
	}
	if (at != data)
		return error_set(p->err, -EINVAL, "the tensors end at byte %llu of the data, but the file has %llu bytes of data "
				 "(MetadataIncompleteBuffer)", (ull)at, (ull)data);
	return 0;
}

/* Sorts the entries unless they are, as they usually are, and checks them. */
static int finish(struct parse *p, uint64_t data)
{
	uint64_t i = 1;

	while (i < p->count && compare_entries(&p->entries[i - 1], &p->entries[i]) < 0)
		i++;
	if (i < p->count)
		qsort(p->entries, p->count, sizeof(*p->entries), compare_entries);
	return check_entries(p, data);
}

/* Any header, by a tree of its JSON. */
static int parse_any(struct parse *p, struct bytes header)
{
	struct json_doc *doc = NULL;
	int r = check_utf8(header, p->err);

	if (r < 0)
		return r;
	if (header.len == 0 || header.ptr[0] != '{')
		return error_set(p->err, -EINVAL, "header: not a JSON object that begins with '{' (InvalidHeaderDeserialization)");
	/* A tensor of BOX_AXES axes spends 3 bytes a value, any other more: a header with more values than this is none. */
	r = json_parse(header, header.len / 3 + 16, &doc, p->err);
	if (r == -ENOMEM)
		return r;
	if (r < 0)
		return error_set(p->err, -EINVAL, "header: %s (InvalidHeaderDeserialization)", p->err->msg);
	r = read_header(p, json_root(doc));
	json_free(doc);
	return r;
}

int safetensors_parse(struct bytes header, uint64_t file_size, struct arena *arena, struct safetensors *out, struct error *err)
{
	struct parse p = { .arena = arena, .err = err };
	struct plain plain;
	int r = 0;

	if (plain_read(header, arena, &plain))
		p = (struct parse){ arena, plain.entries, plain.meta, plain.count, plain.meta_count, err };
	else
		r = parse_any(&p, header);
	if (r == 0)
		r = finish(&p, file_size - 8 - header.len);
	*out = (struct safetensors){ .entries = p.entries, .meta = p.meta, .count = p.count, .meta_count = p.meta_count,
				     .data_start = 8 + header.len };
	return r;
}

const char *safetensors_meta_get(const struct safetensors *st, const char *key)
{
	for (uint64_t i = 0; i < st->meta_count; i++)
		if (strcmp(st->meta[i].key, key) == 0)
			return st->meta[i].value;
	return NULL;
}

static void write_meta(struct text *text, const struct safetensors *st)
{
	text_add(text, "\"" META "\":{");
	for (uint64_t i = 0; i < st->meta_count; i++) {
		text_add(text, "%s", i ? "," : "");
		text_json(text, st->meta[i].key);
		text_add(text, ":");
		text_json(text, st->meta[i].value);
	}
	text_add(text, "}");
}

static void write_entry(struct text *text, const struct safetensors_entry *e)
{
	text_json(text, e->name);
	text_word(text, ":{\"dtype\":\"");
	text_word(text, dtype_name(e->dtype));
	text_word(text, "\",\"shape\":[");
	for (uint32_t a = 0; a < e->axes; a++) {
		text_word(text, a ? "," : "");
		text_number(text, e->shape[a]);
	}
	text_word(text, "],\"data_offsets\":[");
	text_number(text, e->begin);
	text_word(text, ",");
	text_number(text, e->end);
	text_word(text, "]}");
}

int safetensors_write(const struct safetensors *st, struct arena *arena, struct bytes *out, struct error *err)
{
	struct text text = TEXT_EMPTY;

	text_pad(&text, 0, 8);
	text_add(&text, "{");
	if (st->meta_count)
		write_meta(&text, st);
	for (uint64_t i = 0; i < st->count && text.len <= SAFETENSORS_HEADER_MAX + 8; i++) {
		text_word(&text, i || st->meta_count ? "," : "");
		write_entry(&text, &st->entries[i]);
	}
	text_add(&text, "}");
	text_pad(&text, ' ', -text.len % SAFETENSORS_ALIGN);
	if (!text.failed && text.len > SAFETENSORS_HEADER_MAX + 8) {
		text_free(&text);
		return error_set(err, -E2BIG, "a header of %llu tensors would pass %llu bytes", (ull)st->count, (ull)SAFETENSORS_HEADER_MAX);
	}
	for (int i = 0; i < 8 && !text.failed; i++)
		text.ptr[i] = (char)((text.len - 8) >> (8 * i) & 0xff);
	return text_finish(&text, arena, out) < 0 ? error_nomem(err) : 0;
}

/* Bytes of `s` as text_json() writes it, quotes included. */
static uint64_t string_cost(const char *s)
{
	uint64_t cost = 2;

	for (; *s; s++)
		cost += (unsigned char)*s < 0x20 ? 6 : *s == '"' || *s == '\\' ? 2 : 1;
	return cost;
}

uint64_t safetensors_entry_cost(const struct safetensors_entry *entry)
{
	static const char frame[] = ",:{\"dtype\":\"\",\"shape\":[],\"data_offsets\":[,]}";

	return string_cost(entry->name) + sizeof(frame) + strlen(dtype_name(entry->dtype)) + (entry->axes + UINT64_C(2)) * 21;
}
