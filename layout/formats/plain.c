/* SPDX-License-Identifier: Apache-2.0 */
/* See plain.h. The functions that read a part leave the cursor behind it, and give false for anything that is not plain. */
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "layout/base/box.h"
#include "layout/formats/plain.h"

#define META_MAX 64                  /* keys of the metadata, which are compared with one another */
#define NUMBER_END (UINT64_C(1) << 53)

struct reader {
	const char *at, *end;
	struct arena *arena;
	struct safetensors_entry *entries; /* [count, room for `room`] */
	uint64_t count, room;
	struct pair *meta;                 /* [meta_count, room for META_MAX]; NULL until they were read */
	uint64_t meta_count;
};

static bool skip(struct reader *r, const char *text, size_t len)
{
	if ((size_t)(r->end - r->at) < len || memcmp(r->at, text, len) != 0)
		return false;
	r->at += len;
	return true;
}

#define SKIP(r, text) skip(r, text, sizeof(text) - 1)

/* A string up to its closing quote, which is skipped; the opening one was. */
static bool read_string(struct reader *r, const char **text, size_t *len)
{
	const char *at = r->at;

	while (at < r->end && (uint8_t)*at >= 0x20 && (uint8_t)*at < 0x80 && *at != '"' && *at != '\\')
		at++;
	if (at == r->end || *at != '"')
		return false;
	*text = r->at;
	*len = (size_t)(at - r->at);
	r->at = at + 1;
	return true;
}

static bool read_number(struct reader *r, uint64_t *out)
{
	const char *first = r->at;
	uint64_t n = 0;

	while (r->at < r->end && *r->at >= '0' && *r->at <= '9' && r->at - first < 17)
		n = n * 10 + (uint64_t)(*r->at++ - '0');
	*out = n;
	return r->at > first && (*first != '0' || r->at - first == 1) && n < NUMBER_END;
}

static bool read_shape(struct reader *r, struct safetensors_entry *e)
{
	uint64_t shape[BOX_AXES], *own;

	while (!SKIP(r, "]")) {
		if (e->axes == BOX_AXES || (e->axes && !SKIP(r, ",")) || !read_number(r, &shape[e->axes]))
			return false;
		e->axes++;
	}
	own = arena_alloc(r->arena, e->axes, sizeof(*own));
	if (own && e->axes)
		memcpy(own, shape, e->axes * sizeof(*own));
	e->shape = own;
	return own;
}

static bool read_dtype(struct reader *r, struct safetensors_entry *e)
{
	char name[16];
	const char *text;
	size_t len;

	if (!read_string(r, &text, &len) || len >= sizeof(name))
		return false;
	memcpy(name, text, len);
	name[len] = 0;
	return dtype_parse(name, &e->dtype);
}

static bool read_entry(struct reader *r, const char *name, size_t len)
{
	struct safetensors_entry *e;

	if (r->count == r->room)
		return false;
	e = &r->entries[r->count++];
	*e = (struct safetensors_entry){ .name = arena_strndup(r->arena, name, len) };
	return e->name && SKIP(r, "{\"dtype\":\"") && read_dtype(r, e) && SKIP(r, ",\"shape\":[") && read_shape(r, e) &&
	       SKIP(r, ",\"data_offsets\":[") && read_number(r, &e->begin) && SKIP(r, ",") && read_number(r, &e->end) && SKIP(r, "]}");
}

static bool has_key(const struct reader *r, const char *key)
{
	for (uint64_t i = 0; i < r->meta_count; i++)
		if (strcmp(r->meta[i].key, key) == 0)
			return true;
	return false;
}

static bool read_pair(struct reader *r)
{
	const char *key, *value;
	size_t key_len, value_len;

	if (r->meta_count == META_MAX || !SKIP(r, "\"") || !read_string(r, &key, &key_len) || !SKIP(r, ":\"") || !read_string(r, &value, &value_len))
		return false;
	key = arena_strndup(r->arena, key, key_len);
	value = arena_strndup(r->arena, value, value_len);
	if (!key || !value || has_key(r, key))
		return false;
	r->meta[r->meta_count++] = (struct pair){ key, value };
	return true;
}

static bool read_meta(struct reader *r)
{
	if (r->meta || !SKIP(r, "{"))
		return false;
	r->meta = arena_alloc(r->arena, META_MAX, sizeof(*r->meta));
	while (r->meta && !SKIP(r, "}"))
		if ((r->meta_count && !SKIP(r, ",")) || !read_pair(r))
			return false;
	return r->meta;
}

static bool read_member(struct reader *r)
{
	static const char meta[] = "__metadata__";
	const char *name;
	size_t len;

	if (!SKIP(r, "\"") || !read_string(r, &name, &len) || !SKIP(r, ":"))
		return false;
	return len == sizeof(meta) - 1 && memcmp(name, meta, len) == 0 ? read_meta(r) : read_entry(r, name, len);
}

static bool read_members(struct reader *r)
{
	bool first = true;

	if (!SKIP(r, "{"))
		return false;
	for (; !SKIP(r, "}"); first = false)
		if ((!first && !SKIP(r, ",")) || !read_member(r))
			return false;
	while (r->at < r->end && *r->at == ' ')
		r->at++;
	return r->at == r->end;
}

/* True when no two entries have one name. */
static bool are_different(const struct safetensors_entry *entries, uint64_t count)
{
	uint32_t bits = 4, *slot;
	bool good = true;

	while (count >= UINT64_C(1) << (bits - 1))
		bits++;
	slot = bits < 32 ? calloc(UINT64_C(1) << bits, sizeof(*slot)) : NULL;
	for (uint64_t i = 0; slot && good && i < count; i++) {
		uint64_t mask = (UINT64_C(1) << bits) - 1, at = XXH3_64bits(entries[i].name, strlen(entries[i].name)) & mask;

		while (slot[at] && strcmp(entries[slot[at] - 1].name, entries[i].name) != 0)
			at = (at + 1) & mask;
		good = !slot[at];
		slot[at] = (uint32_t)i + 1;
	}
	good = good && slot;
	free(slot);
	return good;
}

bool plain_read(struct bytes header, struct arena *arena, struct plain *out)
{
	struct reader r = { .at = (const char *)header.ptr, .end = (const char *)header.ptr + header.len, .arena = arena };

	for (const char *at = r.at; (at = memchr(at, '{', (size_t)(r.end - at))); at++)
		r.room++; /* each entry has one */
	r.entries = arena_alloc(arena, r.room, sizeof(*r.entries));
	if (!r.entries || !read_members(&r) || !are_different(r.entries, r.count))
		return false;
	*out = (struct plain){ r.entries, r.meta, r.count, r.meta_count };
	return true;
}
