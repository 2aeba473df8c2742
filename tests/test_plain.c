/* SPDX-License-Identifier: Apache-2.0 */
/* The quick way through a header gives what the general one gives, for headers as they are written and for what is left of them after small changes. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "layout/formats/plain.h"

static const char *const headers[] = {
	"{\"__metadata__\":{\"format\":\"ms\",\"remove_redundancy\":\"False\"},\"a.w\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0,24]},"
	"\"b\":{\"dtype\":\"BF16\",\"shape\":[],\"data_offsets\":[24,26]},\"c\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[26,26]}}      ",
	"{\"w\":{\"dtype\":\"I64\",\"shape\":[10],\"data_offsets\":[8,88]},\"v\":{\"dtype\":\"F64\",\"shape\":[1],\"data_offsets\":[0,8]}}",
	"{\"__metadata__\":{},\"x\":{\"dtype\":\"I8\",\"shape\":[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1],\"data_offsets\":[0,1]}}",
	"{\"a\":{\"dtype\":\"F16\",\"shape\":[1],\"data_offsets\":[0,2]},\"b\":{\"dtype\":\"F16\",\"shape\":[1],\"data_offsets\":[2,4]}}",
	"{}",
};

#define HEADERS (sizeof(headers) / sizeof(*headers))

/* The same JSON with a blank in it, which only the general parser takes. */
static struct bytes with_blank(struct bytes header, char *room)
{
	room[0] = (char)header.ptr[0];
	room[1] = ' ';
	memcpy(room + 2, header.ptr + 1, header.len - 1);
	return (struct bytes){ (const uint8_t *)room, header.len + 1 };
}

static void same_pairs(const struct safetensors *a, const struct safetensors *b)
{
	cr_assert_eq(a->meta_count, b->meta_count);
	for (uint64_t i = 0; i < a->meta_count; i++)
		cr_assert(strcmp(a->meta[i].key, b->meta[i].key) == 0 && strcmp(a->meta[i].value, b->meta[i].value) == 0);
}

static void same_entries(const struct safetensors *a, const struct safetensors *b)
{
	cr_assert_eq(a->count, b->count);
	for (uint64_t i = 0; i < a->count; i++) {
		const struct safetensors_entry *x = &a->entries[i], *y = &b->entries[i];

		cr_assert_str_eq(x->name, y->name);
		cr_assert(x->axes == y->axes && x->dtype == y->dtype && x->begin == y->begin && x->end == y->end);
		cr_assert(x->axes == 0 || memcmp(x->shape, y->shape, x->axes * sizeof(*x->shape)) == 0);
	}
}

/* Both ways with `data` bytes behind the header; whether the first is the quick one. */
static bool both(struct bytes header, uint64_t data)
{
	static char room[4096];
	struct arena *arena = arena_new();
	struct bytes other = with_blank(header, room);
	struct safetensors a, b;
	struct plain plain;
	struct error x, y;
	bool quick = plain_read(header, arena, &plain);
	int code = safetensors_parse(header, 8 + header.len + data, arena, &a, &x);

	cr_assert(!plain_read(other, arena, &plain));
	cr_assert_eq(safetensors_parse(other, 8 + other.len + data, arena, &b, &y), code, "%.*s: %s", (int)header.len, header.ptr, code ? x.msg : y.msg);
	if (code == 0) {
		same_pairs(&a, &b);
		same_entries(&a, &b);
	} else if (quick) {
		cr_assert_str_eq(x.msg, y.msg);
	}
	arena_free(arena);
	return quick;
}

Test(plain, as_written)
{
	static const uint64_t data[HEADERS] = { 26, 88, 1, 4, 0 };
	struct safetensors st;
	struct error err;

	for (size_t i = 0; i < HEADERS; i++) {
		struct bytes header = { (const uint8_t *)headers[i], strlen(headers[i]) };
		struct arena *arena = arena_new();

		cr_assert(both(header, data[i]), "%s", headers[i]);
		cr_assert_eq(safetensors_parse(header, 8 + header.len + data[i], arena, &st, &err), 0, "%s", err.msg);
		arena_free(arena);
	}
}

/* Bytes are changed, taken away and doubled, pieces put elsewhere: whatever that makes, both ways agree on it. */
Test(plain, changed)
{
	static const char bytes[] = "{}[]\",:0123456789 \\\n-.eabw_\x7f\x80\xc3";
	uint64_t quick = 0, all = 0;

	srand(1);
	for (int round = 0; round < 200000; round++) {
		const char *from = headers[(size_t)rand() % (HEADERS - 1)];
		size_t len = strlen(from);
		char text[1024];

		memcpy(text, from, len);
		for (int changes = rand() % 3; changes >= 0; changes--) {
			size_t at = 1 + (size_t)rand() % (len - 1), n = (size_t)rand() % 8;

			if (rand() % 3 == 0) {
				text[at] = bytes[(size_t)rand() % (sizeof(bytes) - 1)];
			} else if (rand() % 2 && at + n < len) {
				memmove(text + at, text + at + n, len - at - n);
				len -= n;
			} else if (at + n <= len && len + n < sizeof(text)) {
				memmove(text + at + n, text + at, len - at);
				len += n;
			}
		}
		quick += both((struct bytes){ (const uint8_t *)text, len }, 26);
		all++;
	}
	cr_assert(quick > all / 50 && quick < all, "%lu of %lu were plain", quick, all);
}

/* What the general parser refuses must not pass here. */
Test(plain, refused)
{
	static const char *const texts[] = {
		"{\"a\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]},\"a\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}}",
		"{\"__metadata__\":{\"a\":\"b\",\"a\":\"c\"}}", "{\"__metadata__\":{},\"__metadata__\":{}}", "{\"__metadata__\":{\"a\":1}}",
		"{\"a\":{\"dtype\":\"U8\",\"shape\":[01],\"data_offsets\":[0,1]}}", "{\"a\":{\"dtype\":\"U8\",\"shape\":[1,],\"data_offsets\":[0,1]}}",
		"{\"a\":{\"dtype\":\"U8\",\"shape\":[9007199254740992],\"data_offsets\":[0,1]}}", "{,}", "{\"a\"}", "{", "", "[]", "{}}", "{} x",
		"{\"a\":{\"dtype\":\"U9\",\"shape\":[1],\"data_offsets\":[0,1]}}", "{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1,2]}}",
		"{\"a\":{\"dtype\":\"U8\",\"shape\":[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1],\"data_offsets\":[0,1]}}",
		"{\"a\":{\"dtype\":\"U8\",\"shape\":[18446744073709551617],\"data_offsets\":[0,1]}}", "{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]},}",
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		struct arena *arena = arena_new();
		struct plain plain;

		cr_expect(!plain_read((struct bytes){ (const uint8_t *)texts[i], strlen(texts[i]) }, arena, &plain), "%s", texts[i]);
		arena_free(arena);
	}
}
