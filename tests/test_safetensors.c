/* SPDX-License-Identifier: Apache-2.0 */
/* Headers: every rule with the message of its breach, files that others wrote, and round trips. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "layout/base/box.h"
#include "layout/base/text.h"
#include "layout/formats/safetensors.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define LIT(s)   (s), sizeof(s) - 1

/* Parses a copy of the header that ends where its allocation ends, of a file with `data` bytes behind it. */
static int parse(const void *header, size_t len, uint64_t data, struct arena *arena, struct safetensors *st, struct error *err)
{
	uint8_t *copy = malloc(len + !len);

	memcpy(copy, header, len);
	err->msg[0] = '\0';

	int r = safetensors_parse((struct bytes){ copy, len }, 8 + len + data, arena, st, err);

	memset(copy, 0xee, len); /* nothing may point into it */
	free(copy);
	return r;
}

Test(safetensors, length_field)
{
	static const struct {
		uint64_t length, file_size;
		const char *message; /* NULL: good */
	} cases[] = {
		{ 2, 10, NULL }, { 0, 8, NULL }, { 100000000, 100000008, NULL }, { 1, UINT64_MAX, NULL },
		{ 2, 0, "the file has 0 bytes, fewer than the 8 of the header's length (HeaderTooSmall)" },
		{ 2, 7, "the file has 7 bytes, fewer than the 8 of the header's length (HeaderTooSmall)" },
		{ 100000001, UINT64_MAX, "header length 100000001, but 100000000 is the most (HeaderTooLarge)" },
		{ UINT64_MAX, 10, "header length 18446744073709551615, but 100000000 is the most (HeaderTooLarge)" },
		{ 3, 10, "header length 3, but the file has only 2 bytes behind it (InvalidHeaderLength)" },
		{ 1, 8, "header length 1, but the file has only 0 bytes behind it (InvalidHeaderLength)" },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		uint8_t head[8];
		uint64_t length;
		struct error err;
		int r;

		for (int b = 0; b < 8; b++)
			head[b] = (uint8_t)(cases[i].length >> (8 * b));
		r = safetensors_length((struct bytes){ head, cases[i].file_size < 8 ? cases[i].file_size : 8 }, cases[i].file_size, &length, &err);
		cr_assert_eq(r, cases[i].message ? -EINVAL : 0, "case %zu", i);
		if (cases[i].message)
			cr_assert_str_eq(err.msg, cases[i].message);
		else
			cr_assert_eq(length, cases[i].length);
	}
}

#define T(name, dtype, shape, offsets) "\"" name "\":{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":" offsets "}"

static const struct {
	const char *header;
	size_t len;
	uint64_t data; /* bytes behind the header */
	const char *message;
} bad[] = {
	{ LIT("{\"\xff\":1}"), 0, "header: byte 2: not UTF-8 (InvalidHeader)" },
	{ LIT(""), 0, "header: not a JSON object that begins with '{' (InvalidHeaderDeserialization)" },
	{ LIT("[]"), 0, "header: not a JSON object that begins with '{' (InvalidHeaderDeserialization)" },
	{ LIT(" {}"), 0, "header: not a JSON object that begins with '{' (InvalidHeaderDeserialization)" },
	{ LIT("{"), 0, "header: byte 1: expected a string (InvalidHeaderDeserialization)" },
	{ LIT("{}\0\0"), 0, "header: byte 2: text after the value (InvalidHeaderDeserialization)" },
	{ LIT("{\"a\":1"), 0, "header: byte 6: expected ',' or '}' (InvalidHeaderDeserialization)" },
	{ LIT("{\"a\":1,\"a\":2}"), 0, "header: the key \"a\" appears twice in one object (InvalidHeaderDeserialization)" },
	{ LIT("{" T("w", "F32", "[1]", "[0,4]") "," T("w", "F32", "[1]", "[4,8]") "}"), 8,
	  "header: the key \"w\" appears twice in one object (InvalidHeaderDeserialization)" },
	{ LIT("{\"__metadata__\":{\"k\":\"1\",\"k\":\"2\"}}"), 0, "header: the key \"k\" appears twice in one object (InvalidHeaderDeserialization)" },
	{ LIT("{\"w\":{\"dtype\":\"F32\",\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,4]}}"), 4,
	  "header: the key \"dtype\" appears twice in one object (InvalidHeaderDeserialization)" },
	{ LIT("{\"w\\u0000x\":1}"), 0, "header: byte 3: escaped NUL in a string (InvalidHeaderDeserialization)" },
	{ LIT("{\"w\":1}"), 0, "tensor \"w\": expected an object, found 1 (InvalidHeaderDeserialization)" },
	{ LIT("{\"w\":[]}"), 0, "tensor \"w\": expected an object, found an array of 0 (InvalidHeaderDeserialization)" },
	{ LIT("{\"w\":{}}"), 0, "tensor \"w\": dtype is missing (InvalidHeaderDeserialization)" },
	{ LIT("{\"w\":{\"shape\":[],\"data_offsets\":[0,4]}}"), 4, "tensor \"w\": dtype is missing (InvalidHeaderDeserialization)" },
	{ LIT("{\"w\":{\"dtype\":\"F32\",\"data_offsets\":[0,4]}}"), 4, "tensor \"w\": shape is missing (InvalidHeaderDeserialization)" },
	{ LIT("{\"w\":{\"dtype\":\"F32\",\"shape\":[]}}"), 4, "tensor \"w\": data_offsets is missing (InvalidHeaderDeserialization)" },
	{ LIT("{\"w\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,4],\"x\":1}}"), 4,
	  "tensor \"w\": unknown field \"x\" (InvalidHeaderDeserialization)" },
	{ LIT("{\"w\":{\"dtype\":7,\"shape\":[],\"data_offsets\":[0,4]}}"), 4, "tensor \"w\": dtype: expected a string, found 7 (InvalidHeaderDeserialization)" },
	{ LIT("{" T("w", "F33", "[]", "[0,4]") "}"), 4, "tensor \"w\": dtype: \"F33\" is not known (InvalidHeaderDeserialization)" },
	{ LIT("{" T("w", "f32", "[]", "[0,4]") "}"), 4, "tensor \"w\": dtype: \"f32\" is not known (InvalidHeaderDeserialization)" },
	{ LIT("{" T("w", "F32", "{}", "[0,4]") "}"), 4, "tensor \"w\": shape: expected an array, found an object (InvalidHeaderDeserialization)" },
	{ LIT("{" T("w", "F32", "\"1\"", "[0,4]") "}"), 4, "tensor \"w\": shape: expected an array, found \"1\" (InvalidHeaderDeserialization)" },
	{ LIT("{" T("w", "F32", "[1,-1]", "[0,4]") "}"), 4,
	  "tensor \"w\": shape: axis 1: expected a whole number from 0 to 2^53 - 1, found -1 (InvalidHeaderDeserialization)" },
	{ LIT("{" T("w", "F32", "[1.0]", "[0,4]") "}"), 4,
	  "tensor \"w\": shape: axis 0: expected a whole number from 0 to 2^53 - 1, found 1 with a fraction or an exponent (InvalidHeaderDeserialization)" },
	{ LIT("{" T("w", "F32", "[9007199254740993]", "[0,4]") "}"), 4,
	  "tensor \"w\": shape: axis 0: expected a whole number from 0 to 2^53 - 1, found about 9007199254740992 (InvalidHeaderDeserialization)" },
	{ LIT("{" T("w", "F32", "[\"1\"]", "[0,4]") "}"), 4,
	  "tensor \"w\": shape: axis 0: expected a whole number from 0 to 2^53 - 1, found \"1\" (InvalidHeaderDeserialization)" },
	{ LIT("{" T("w", "U8", "[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]", "[0,1]") "}"), 1,
	  "tensor \"w\": shape: 33 axes, but 32 are the most" },
	{ LIT("{" T("w", "F32", "[]", "4") "}"), 4,
	  "tensor \"w\": data_offsets: expected two whole numbers from 0 to 2^53 - 1, found 4 (InvalidHeaderDeserialization)" },
	{ LIT("{" T("w", "F32", "[]", "[0]") "}"), 4,
	  "tensor \"w\": data_offsets: expected two whole numbers from 0 to 2^53 - 1, found an array of 1 (InvalidHeaderDeserialization)" },
	{ LIT("{" T("w", "F32", "[]", "[0,4,4]") "}"), 4,
	  "tensor \"w\": data_offsets: expected two whole numbers from 0 to 2^53 - 1, found an array of 3 (InvalidHeaderDeserialization)" },
	{ LIT("{" T("w", "F32", "[]", "[0,4e0]") "}"), 4,
	  "tensor \"w\": data_offsets: expected two whole numbers from 0 to 2^53 - 1, found 4 with a fraction or an exponent (InvalidHeaderDeserialization)" },
	{ LIT("{" T("w", "F32", "[]", "[-4,0]") "}"), 4,
	  "tensor \"w\": data_offsets: expected two whole numbers from 0 to 2^53 - 1, found -4 (InvalidHeaderDeserialization)" },
	{ LIT("{\"__metadata__\":null}"), 0, "header: __metadata__: expected an object, found null (InvalidHeaderDeserialization)" },
	{ LIT("{\"__metadata__\":{\"a\":\"b\",\"k\":1}}"), 0,
	  "header: __metadata__: the value of \"k\": expected a string, found 1 (InvalidHeaderDeserialization)" },
	{ LIT("{" T("w", "F32", "[1]", "[4,8]") "}"), 8, "tensor \"w\": data_offsets [4, 8] should begin at 0, as the first tensor (InvalidOffset)" },
	{ LIT("{" T("b", "F32", "[2]", "[0,8]") "," T("a.b", "F32", "[2]", "[16,24]") "}"), 24,
	  "tensor \"a.b\": data_offsets [16, 24] should begin at 8, where the tensor before it ends (InvalidOffset)" },
	{ LIT("{" T("b", "F32", "[2]", "[4,12]") "," T("a", "F32", "[2]", "[0,8]") "}"), 12,
	  "tensor \"b\": data_offsets [4, 12] should begin at 8, where the tensor before it ends (InvalidOffset)" },
	{ LIT("{" T("b", "F32", "[2]", "[0,8]") "," T("a", "F32", "[2]", "[0,8]") "}"), 8,
	  "tensor \"b\": data_offsets [0, 8] should begin at 8, where the tensor before it ends (InvalidOffset)" },
	{ LIT("{" T("b", "F32", "[1]", "[0,4]") "," T("a", "F32", "[1]", "[4,0]") "}"), 4,
	  "tensor \"a\": data_offsets [4, 0] end before they begin (InvalidOffset)" },
	{ LIT("{" T("w", "F32", "[4294967296,4294967296]", "[0,4]") "}"), 4,
	  "tensor \"w\": shape: the product up to axis 1 passes 64 bits (ValidationOverflow)" },
	{ LIT("{" T("w", "F32", "[1073741824,1073741824]", "[0,4]") "}"), 4,
	  "tensor \"w\": shape: 1152921504606846976 elements of F32 pass 64 bits (ValidationOverflow)" },
	{ LIT("{" T("w", "F4", "[3]", "[0,2]") "}"), 2, "tensor \"w\": shape: 3 elements of F4 end inside a byte (MisalignedSlice)" },
	{ LIT("{" T("w", "F6_E2M3", "[2,3]", "[0,5]") "}"), 5, "tensor \"w\": shape: 6 elements of F6_E2M3 end inside a byte (MisalignedSlice)" },
	{ LIT("{" T("w", "F32", "[2,3]", "[0,20]") "}"), 20,
	  "tensor \"w\": data_offsets [0, 20] hold 20 bytes, but 6 elements of F32 take 24 (TensorInvalidInfo)" },
	{ LIT("{" T("w", "BF16", "[0]", "[0,2]") "}"), 2,
	  "tensor \"w\": data_offsets [0, 2] hold 2 bytes, but 0 elements of BF16 take 0 (TensorInvalidInfo)" },
	{ LIT("{" T("w", "F32", "[1]", "[0,4]") "}"), 5,
	  "the tensors end at byte 4 of the data, but the file has 5 bytes of data (MetadataIncompleteBuffer)" },
	{ LIT("{" T("w", "F32", "[1]", "[0,4]") "}"), 3,
	  "the tensors end at byte 4 of the data, but the file has 3 bytes of data (MetadataIncompleteBuffer)" },
	{ LIT("{}"), 1, "the tensors end at byte 0 of the data, but the file has 1 bytes of data (MetadataIncompleteBuffer)" },
	{ LIT("{\"a\\nb\":1}"), 0, "tensor \"a\\x0Ab\": expected an object, found 1 (InvalidHeaderDeserialization)" },
};

Test(safetensors, every_rule)
{
	for (size_t i = 0; i < COUNT(bad); i++) {
		struct arena *arena = arena_new();
		struct safetensors st;
		struct error err;

		cr_assert_eq(parse(bad[i].header, bad[i].len, bad[i].data, arena, &st, &err), -EINVAL, "case %zu: %s", i, bad[i].header);
		cr_assert_str_eq(err.msg, bad[i].message, "case %zu: %s", i, bad[i].header);
		arena_free(arena);
	}
}

Test(safetensors, a_name_of_a_megabyte_leaves_the_reason)
{
	struct text text = TEXT_EMPTY;
	struct arena *arena = arena_new();
	struct safetensors st;
	struct error err;

	text_add(&text, "{\"");
	text_pad(&text, 'n', 1 << 20);
	text_add(&text, "\":{\"dtype\":\"F33\"}}");
	cr_assert_eq(parse(text.ptr, text.len, 0, arena, &st, &err), -EINVAL);
	cr_assert_not_null(strstr(err.msg, "n...\": dtype: \"F33\" is not known"), "%s", err.msg);
	text_free(&text);
	arena_free(arena);
}

Test(safetensors, what_others_write)
{
	static const char header[] = "{\"__metadata__\":{\"format\":\"pt\",\"remove_redundancy\":\"True\"}," /* any order, blanks, escapes, zero sizes */
				     T("z", "F32", "[]", "[12, 16]") ", " T("empty", "F16", "[3,0,2]", "[4,4]") ",\n" T("a\\u00e9", "I8", "[2,2]", "[0,4]") ","
				     T("also", "BF16", "[0]", "[4,4]") "," T("q", "F4", "[16]", "[4,12]") "}   ";
	static const struct {
		const char *name;
		uint64_t begin, end;
		uint32_t axes;
		enum dtype dtype;
	} want[] = { { "a\xc3\xa9", 0, 4, 2, DTYPE_I8 }, { "also", 4, 4, 1, DTYPE_BF16 }, { "empty", 4, 4, 3, DTYPE_F16 },
		     { "q", 4, 12, 1, DTYPE_F4 }, { "z", 12, 16, 0, DTYPE_F32 } };
	struct arena *arena = arena_new();
	struct safetensors st;
	struct error err;

	cr_assert_eq(parse(header, sizeof(header) - 1, 16, arena, &st, &err), 0, "%s", err.msg);
	cr_assert_eq(st.data_start, 8 + sizeof(header) - 1);
	cr_assert_eq(st.count, COUNT(want));
	for (size_t i = 0; i < COUNT(want); i++) {
		cr_assert_str_eq(st.entries[i].name, want[i].name);
		cr_assert_eq(st.entries[i].begin, want[i].begin);
		cr_assert_eq(st.entries[i].end, want[i].end);
		cr_assert_eq(st.entries[i].axes, want[i].axes);
		cr_assert_eq(st.entries[i].dtype, want[i].dtype);
	}
	cr_assert_eq(st.entries[2].shape[0], 3);
	cr_assert_eq(st.entries[2].shape[1], 0);
	cr_assert_eq(st.entries[2].shape[2], 2);
	cr_assert_eq(st.meta_count, 2);
	cr_assert_str_eq(st.meta[1].key, "remove_redundancy");
	cr_assert_str_eq(safetensors_meta_get(&st, "format"), "pt");
	cr_assert_null(safetensors_meta_get(&st, "Format"));
	arena_free(arena);
}

/* MindSpore writes a file without tensors and without metadata for a rank that keeps nothing. */
Test(safetensors, no_tensors)
{
	static const char *const headers[] = { "{}", "{}      ", "{\"__metadata__\":{}}", "{\"__metadata__\":{\"format\":\"ms\"}}" };

	for (size_t i = 0; i < COUNT(headers); i++) {
		struct arena *arena = arena_new();
		struct safetensors st;
		struct error err;

		cr_assert_eq(parse(headers[i], strlen(headers[i]), 0, arena, &st, &err), 0, "%s", err.msg);
		cr_assert_eq(st.count, 0);
		cr_assert_eq(st.meta_count, i == 3);
		arena_free(arena);
	}
}

Test(safetensors, written_bytes)
{
	static const char want[] = "{\"__metadata__\":{\"format\":\"ms\",\"k\\\"\":\"v\\n\"},"
				   "\"a\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0,24]},"
				   "\"\xe6\x9d\x83\\\\\":{\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[24,25]}}";
	static const struct pair meta[] = { { "format", "ms" }, { "k\"", "v\n" } };
	static const uint64_t shape[] = { 2, 3 };
	static const struct safetensors_entry entries[] = { { "a", shape, 0, 24, 2, DTYPE_F32 }, { "\xe6\x9d\x83\\", shape, 24, 25, 0, DTYPE_U8 } };
	struct safetensors st = { .entries = entries, .meta = meta, .count = 2, .meta_count = 2 };
	struct arena *arena = arena_new();
	struct bytes out;
	struct error err;

	cr_assert_eq(safetensors_write(&st, arena, &out, &err), 0);
	cr_assert_eq(out.len, SAFETENSORS_ALIGN);
	cr_assert_eq(bytes_le64(out.ptr), SAFETENSORS_ALIGN - 8);
	cr_assert_eq(memcmp(out.ptr + 8, want, sizeof(want) - 1), 0, "%.*s", 300, (const char *)out.ptr + 8);
	for (uint64_t i = 8 + sizeof(want) - 1; i < out.len; i++)
		cr_assert_eq(out.ptr[i], ' ');
	st.count = st.meta_count = 0;
	cr_assert_eq(safetensors_write(&st, arena, &out, &err), 0);
	cr_assert_eq(out.len, SAFETENSORS_ALIGN);
	cr_assert_eq(memcmp(out.ptr + 8, "{} ", 3), 0);
	arena_free(arena);
}

static uint64_t draw(uint64_t *seed, uint64_t below)
{
	*seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (*seed >> 33) % below;
}

/* A random name that ends in its number, so that names differ. */
static char *draw_name(struct arena *arena, uint64_t *seed, uint64_t number)
{
	static const char *const units[] = { "layers.", "w", "\"", "\\", "\n", "\x01", "\xc3\xa9", "\xe6\x9d\x83", "\xf0\x9f\x98\x80", "/", " " };
	char *name = "";

	for (uint64_t n = draw(seed, 6); n > 0; n--)
		name = arena_printf(arena, "%s%s", name, units[draw(seed, COUNT(units))]);
	return arena_printf(arena, "%s%llu", name, (unsigned long long)number);
}

/* Random entries that lie one behind the other. */
static struct safetensors_entry *draw_entries(struct arena *arena, uint64_t *seed, uint64_t count)
{
	struct safetensors_entry *entries = arena_alloc(arena, count, sizeof(*entries));
	uint64_t at = draw(seed, 2) ? 0 : UINT64_C(1) << 40, start = at;

	for (uint64_t i = 0; i < count; i++) {
		struct safetensors_entry *e = &entries[i];
		uint64_t elements = 1, *shape = arena_alloc(arena, BOX_AXES, sizeof(*shape));

		e->axes = (uint32_t)draw(seed, draw(seed, 10) ? 5 : BOX_AXES + 1);
		e->dtype = (enum dtype)draw(seed, DTYPE_COUNT);
		for (uint32_t a = 0; a < e->axes; a++) {
			shape[a] = a == 0 ? 8 * draw(seed, 2000000) : a < 3 ? 1 + draw(seed, 20) : 1;
			elements *= shape[a];
		}
		if (e->axes == 0 && dtype_bits(e->dtype) < 8)
			e->dtype = DTYPE_F32;
		e->name = draw_name(arena, seed, i);
		e->shape = shape;
		e->begin = at - start;
		at += elements * dtype_bits(e->dtype) / 8;
		e->end = at - start;
	}
	return entries;
}

static void check_round_trip(uint64_t n)
{
	uint64_t seed = n, count = draw(&seed, n % 50 ? 12 : 400), cost = 2 + 2 * SAFETENSORS_ALIGN;
	struct arena *arena = arena_new();
	struct pair meta[] = { { "format", "ms" }, { "e\\\xc3\xa9", "\"" } };
	struct safetensors back, st = { .meta = meta, .count = count, .meta_count = draw(&seed, 3) };
	uint64_t length;
	struct bytes out;
	struct error err;

	st.entries = draw_entries(arena, &seed, count);
	cr_assert_eq(safetensors_write(&st, arena, &out, &err), 0, "seed %d: %s", (int)n, err.msg);
	cr_assert_eq(out.len % SAFETENSORS_ALIGN, 0);

	uint64_t file_size = out.len + (count ? st.entries[count - 1].end : 0);

	cr_assert_eq(safetensors_length(out, file_size, &length, &err), 0, "seed %d: %s", (int)n, err.msg);
	cr_assert_eq(length + 8, out.len);
	cr_assert_eq(parse(out.ptr + 8, length, file_size - out.len, arena, &back, &err), 0, "seed %d: %s", (int)n, err.msg);
	cr_assert_eq(back.data_start, out.len);
	cr_assert_eq(back.count, count);
	cr_assert_eq(back.meta_count, st.meta_count);
	for (uint64_t i = 0; i < st.meta_count; i++)
		cr_assert_str_eq(safetensors_meta_get(&back, meta[i].key), meta[i].value);
	for (uint64_t i = 0, k; i < count; i++) {
		const struct safetensors_entry *want = &st.entries[i], *got = NULL;

		for (k = 0; k < count && !got; k++) /* tensors without bytes may change places */
			got = strcmp(back.entries[k].name, want->name) == 0 ? &back.entries[k] : NULL;
		cr_assert_not_null(got, "seed %d", (int)n);
		cr_assert(got->begin == want->begin && got->end == want->end && got->dtype == want->dtype && got->axes == want->axes);
		cr_assert_eq(memcmp(got->shape, want->shape, want->axes * sizeof(*want->shape)), 0, "seed %d", (int)n);
		cr_assert(want->begin == want->end || k - 1 == i, "seed %d: order", (int)n);
		cost += safetensors_entry_cost(want);
	}
	cr_assert_leq(out.len, cost, "seed %d: %d bytes, but a bound of %d", (int)n, (int)out.len, (int)cost);
	arena_free(arena);
}

Test(safetensors, random_round_trips)
{
	for (uint64_t n = 1; n <= 1500; n++)
		check_round_trip(n);
}
