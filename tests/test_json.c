/* SPDX-License-Identifier: Apache-2.0 */
/* What is JSON and what is not, by tables; random trees that are written here and must be found again; hostile sizes. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "layout/json.h"
#include "layout/text.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define MANY     UINT64_C(100000000)
#define LIT(s)   (s), sizeof(s) - 1

/* Parses a copy that ends where its allocation ends, so that a sanitizer sees every byte read behind it. */
static int parse(const char *text, size_t len, uint64_t max_values, struct json_doc **doc, struct error *err)
{
	uint8_t *copy = malloc(len + !len);

	memcpy(copy, text, len);
	*doc = NULL;
	err->msg[0] = '\0';

	int r = json_parse((struct bytes){ copy, len }, max_values, doc, err);

	free(copy);
	return r;
}

static const struct {
	const char *text;
	size_t len;
} good[] = {
	{ LIT("{}") }, { LIT("[]") }, { LIT("null") }, { LIT("true") }, { LIT("false") }, { LIT("0") }, { LIT("-0") }, { LIT("\"\"") },
	{ LIT("{} \n\r\t") }, { LIT("[1,2.5,-3e+7,1E-9,0.0]") }, { LIT("[ 1 , [ ] , { } ]") }, { LIT("{ \"a\" : { \"a\" : 1 } , \"b\" : 2 }") },
	{ LIT("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0041\\u00e9\\u6743\"") }, { LIT("\"\\ud83d\\ude00\"") }, { LIT("\"\\uD83D\\uDE00\"") },
	{ LIT("\"\x7f\"") }, { LIT("\"\xc3\xa9\xe6\x9d\x83\xf0\x9f\x98\x80\"") }, { LIT("[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]") },
	{ LIT("123456789012345678901234567890123456789012345678901234567890123") }, { LIT("[{\"a\":1},{\"a\":1}]") }, { LIT("1e400") },
};

static const struct {
	const char *text;
	size_t len;
	const char *message;
} bad[] = {
	{ LIT(""), "byte 0: the text ends where a value should begin" },
	{ LIT(" {}"), "byte 0: expected a value" },
	{ LIT("\n1"), "byte 0: expected a value" },
	{ LIT("\xef\xbb\xbf{}"), "byte 0: expected a value" },
	{ LIT("{} x"), "byte 3: text after the value" },
	{ LIT("{}{}"), "byte 2: text after the value" },
	{ LIT("1 2"), "byte 2: text after the value" },
	{ LIT("{}\0"), "byte 2: text after the value" },
	{ LIT("\"a\xff\""), "byte 2: not UTF-8" },
	{ LIT("\"\xc0\x80\""), "byte 1: not UTF-8" },
	{ LIT("\"\xed\xa0\x80\""), "byte 1: not UTF-8" },
	{ LIT("\"\xf4\x90\x80\x80\""), "byte 1: not UTF-8" },
	{ LIT("\"\xe6\x9d"), "byte 1: not UTF-8" },
	{ LIT("{\"k\x80\":1}"), "byte 3: not UTF-8" },
	{ LIT("\"a\nb\""), "byte 2: control character in a string" },
	{ LIT("\"a\0b\""), "byte 2: control character in a string" },
	{ LIT("\"\\x\""), "byte 1: unknown escape in a string" },
	{ LIT("\"\\\0\""), "byte 1: unknown escape in a string" },
	{ LIT("\"\\U0041\""), "byte 1: unknown escape in a string" },
	{ LIT("\"\\u12g4\""), "byte 1: broken \\u escape in a string" },
	{ LIT("\"\\u12"), "byte 1: broken \\u escape in a string" },
	{ LIT("\"\\u0000\""), "byte 1: escaped NUL in a string" },
	{ LIT("{\"w\\u0000x\":1}"), "byte 3: escaped NUL in a string" },
	{ LIT("\"\\ud83d\""), "byte 1: half of a surrogate pair in a string" },
	{ LIT("\"\\ud83dx\""), "byte 1: half of a surrogate pair in a string" },
	{ LIT("\"\\ud83d\\n\""), "byte 1: half of a surrogate pair in a string" },
	{ LIT("\"\\ud83d\\ud83d\""), "byte 1: half of a surrogate pair in a string" },
	{ LIT("\"\\ude00\\ud83d\""), "byte 1: half of a surrogate pair in a string" },
	{ LIT("\"ab"), "byte 3: the text ends inside a string" },
	{ LIT("\"ab\\"), "byte 3: broken \\u escape in a string" },
	{ LIT("007"), "byte 1: broken number" },
	{ LIT("-01"), "byte 2: broken number" },
	{ LIT("1."), "byte 2: broken number" },
	{ LIT("[1.]"), "byte 3: broken number" },
	{ LIT(".5"), "byte 0: expected a value" },
	{ LIT("+1"), "byte 0: expected a value" },
	{ LIT("-"), "byte 1: broken number" },
	{ LIT("1e"), "byte 2: broken number" },
	{ LIT("1e+"), "byte 3: broken number" },
	{ LIT("0x10"), "byte 1: text after the value" },
	{ LIT("1234567890123456789012345678901234567890123456789012345678901234"), "byte 64: number of more than 63 characters" },
	{ LIT("NaN"), "byte 0: expected a value" },
	{ LIT("nul"), "byte 0: expected a value" },
	{ LIT("True"), "byte 0: expected a value" },
	{ LIT("truex"), "byte 4: text after the value" },
	{ LIT("[1,]"), "byte 3: expected a value" },
	{ LIT("[,1]"), "byte 1: expected a value" },
	{ LIT("[1 2]"), "byte 3: expected ',' or ']'" },
	{ LIT("[1}"), "byte 2: expected ',' or ']'" },
	{ LIT("[1"), "byte 2: expected ',' or ']'" },
	{ LIT("["), "byte 1: the text ends where a value should begin" },
	{ LIT("]"), "byte 0: expected a value" },
	{ LIT("{"), "byte 1: expected a string" },
	{ LIT("{1:2}"), "byte 1: expected a string" },
	{ LIT("{\"a\"}"), "byte 4: expected ':'" },
	{ LIT("{\"a\":}"), "byte 5: expected a value" },
	{ LIT("{\"a\":1,}"), "byte 7: expected a string" },
	{ LIT("{\"a\":1]"), "byte 6: expected ',' or '}'" },
	{ LIT("{\"a\":1"), "byte 6: expected ',' or '}'" },
	{ LIT("{'a':1}"), "byte 1: expected a string" },
	{ LIT("[1,/**/2]"), "byte 3: expected a value" },
	{ LIT("[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]"), "byte 32: nested too deeply" },
	{ LIT("{\"a\":1,\"a\":2}"), "the key \"a\" appears twice in one object" },
	{ LIT("{\"a\":1,\"b\":2,\"\\u0061\":3}"), "the key \"a\" appears twice in one object" },
	{ LIT("[1,{\"x\":{\"\":1,\"\":1}}]"), "the key \"\" appears twice in one object" },
	{ LIT("{\"1\":0,\"2\":0,\"3\":0,\"4\":0,\"5\":0,\"6\":0,\"7\":0,\"8\":0,\"9\":0,\"3\":0}"), "the key \"3\" appears twice in one object" },
};

Test(json, good_texts)
{
	for (size_t i = 0; i < COUNT(good); i++) {
		struct json_doc *doc;
		struct error err;

		cr_assert_eq(parse(good[i].text, good[i].len, MANY, &doc, &err), 0, "%s: %s", good[i].text, err.msg);
		cr_assert_not_null(json_root(doc));
		json_free(doc);
	}
}

Test(json, bad_texts)
{
	for (size_t i = 0; i < COUNT(bad); i++) {
		struct json_doc *doc;
		struct error err;

		cr_assert_eq(parse(bad[i].text, bad[i].len, MANY, &doc, &err), -EINVAL, "case %zu: %s", i, bad[i].text);
		cr_assert_str_eq(err.msg, bad[i].message, "case %zu: %s", i, bad[i].text);
		cr_assert_null(doc);
	}
	json_free(NULL);
}

/* Every start of a text that is no text itself must be refused, and nothing behind it may be read. */
Test(json, cut_texts)
{
	static const char text[] = "{\"a\":[1.5,-2e3,\"\\ud83d\\ude00\\n\xe6\x9d\x83\",{\"b\":null,\"c\":[true,false]}],\"d\":{}}";

	for (size_t len = 0; len <= sizeof(text) - 1; len++) {
		struct json_doc *doc;
		struct error err;

		cr_assert_eq(parse(text, len, MANY, &doc, &err), len == sizeof(text) - 1 ? 0 : -EINVAL, "%zu bytes", len);
		json_free(doc);
	}
}

Test(json, whole_numbers)
{
	static const struct {
		const char *text;
		bool u64, i32;
		uint64_t u;
		int32_t i;
	} cases[] = {
		{ "0", true, true, 0, 0 }, { "7", true, true, 7, 7 }, { "-1", false, true, 0, -1 }, { "-0", false, true, 0, 0 },
		{ "1.0", false, false, 0, 0 }, { "1e3", false, false, 0, 0 }, { "1E0", false, false, 0, 0 }, { "0.5", false, false, 0, 0 },
		{ "-1.0", false, false, 0, 0 }, { "2147483647", true, true, INT32_MAX, INT32_MAX }, { "2147483648", true, false, 2147483648, 0 },
		{ "-2147483648", false, true, 0, INT32_MIN }, { "-2147483649", false, false, 0, 0 }, { "5000000000", true, false, 5000000000, 0 },
		{ "9007199254740991", true, false, 9007199254740991, 0 }, { "9007199254740992", false, false, 0, 0 },
		{ "9007199254740993", false, false, 0, 0 }, { "18446744073709551616", false, false, 0, 0 }, { "\"7\"", false, false, 0, 0 },
		{ "null", false, false, 0, 0 }, { "true", false, false, 0, 0 }, { "[]", false, false, 0, 0 },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct json_doc *doc;
		struct error err;
		uint64_t u = 0;
		int32_t n = 0;

		cr_assert_eq(parse(cases[i].text, strlen(cases[i].text), 10, &doc, &err), 0, "%s: %s", cases[i].text, err.msg);
		cr_assert_eq(json_u64(json_root(doc), &u), cases[i].u64, "%s", cases[i].text);
		cr_assert_eq(u, cases[i].u, "%s", cases[i].text);
		cr_assert_eq(json_i32(json_root(doc), &n), cases[i].i32, "%s", cases[i].text);
		cr_assert_eq(n, cases[i].i, "%s", cases[i].text);
		json_free(doc);
	}
}

/* Numbers of both kinds in one text, with digits, quotes and escapes in its strings. */
Test(json, numbers_are_told_apart_in_their_places)
{
	static const char text[] = "{\"1.5\":1,\"a\\\"2.5\":2.0,\"\\\\\":[3,4e0,\"5.5\",{\"-\":-6,\"e\":7.25}],\"x\":[8,9],\"y\":true,\"z\":1E1}";
	static const char want[] = "wfwf" "fwwf"; /* of 1, 2.0, 3, 4e0; then 7.25, 8, 9, 1E1 */
	const json *m, *inner;
	struct json_doc *doc;
	struct error err;
	uint64_t u;
	int32_t i;
	char got[9] = { 0 };

	cr_assert_eq(parse(text, sizeof(text) - 1, MANY, &doc, &err), 0, "%s", err.msg);
	m = json_first(json_root(doc));
	got[0] = json_u64(m, &u) ? 'w' : 'f';
	m = json_next(m);
	cr_assert_str_eq(json_key(m), "a\"2.5");
	got[1] = json_u64(m, &u) ? 'w' : 'f';
	m = json_next(m);
	inner = json_first(m);
	got[2] = json_u64(inner, &u) ? 'w' : 'f';
	inner = json_next(inner);
	got[3] = json_u64(inner, &u) ? 'w' : 'f';
	inner = json_next(json_next(inner));
	cr_assert(json_i32(json_get(inner, "-"), &i) && i == -6);
	got[4] = json_u64(json_get(inner, "e"), &u) ? 'w' : 'f';
	m = json_next(m);
	got[5] = json_u64(json_first(m), &u) ? 'w' : 'f';
	got[6] = json_u64(json_next(json_first(m)), &u) ? 'w' : 'f';
	got[7] = json_u64(json_get(json_root(doc), "z"), &u) ? 'w' : 'f';
	cr_assert_str_eq(got, want);
	json_free(doc);
}

Test(json, the_limit_of_values)
{
	static const char text[] = "{\"a\":[1,2,{}],\"b\":\"x\"}"; /* the object, an array, two numbers, an object, a string */
	struct json_doc *doc;
	struct error err;

	cr_assert_eq(parse(text, sizeof(text) - 1, 6, &doc, &err), 0);
	json_free(doc);
	cr_assert_eq(parse(text, sizeof(text) - 1, 5, &doc, &err), -E2BIG);
	cr_assert_str_eq(err.msg, "byte 18: more than 5 values");
}

Test(json, a_million_levels)
{
	size_t len = 1000000;
	char *text = malloc(2 * len);
	struct json_doc *doc;
	struct error err;

	memset(text, '[', len);
	memset(text + len, ']', len);
	cr_assert_eq(parse(text, 2 * len, MANY, &doc, &err), -EINVAL);
	cr_assert_str_eq(err.msg, "byte 32: nested too deeply");
	for (size_t i = 0; i < 2 * len - 6; i += 5)
		memcpy(text + i, "{\"a\":", 5);
	cr_assert_eq(parse(text, 2 * len, MANY, &doc, &err), -EINVAL);
	cr_assert_str_eq(err.msg, "byte 160: nested too deeply");
	free(text);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* One object of `count` keys, the last one that of number `twin`. */
static int parse_keys(uint64_t count, uint64_t twin, double *seconds, struct error *err)
{
	struct text text = TEXT_EMPTY;
	struct json_doc *doc = NULL;
	double start;

	for (uint64_t i = 0; i < count; i++)
		text_add(&text, "%c\"model.layers.%llu.w\":0", i ? ',' : '{', (unsigned long long)(i + 1 == count ? twin : i));
	text_add(&text, "}");
	start = now();

	int r = json_parse((struct bytes){ (const uint8_t *)text.ptr, text.len }, MANY, &doc, err);

	*seconds = now() - start;
	if (r == 0)
		cr_assert_eq(json_count(json_root(doc)), count);
	json_free(doc);
	text_free(&text);
	return r;
}

Test(json, a_million_keys_in_linear_time)
{
	struct error err;
	double few, many;

	cr_assert_eq(parse_keys(100000, 99999, &few, &err), 0);
	cr_assert_eq(parse_keys(1000000, 999999, &many, &err), 0);
	cr_assert_lt(many, 60 * few + 0.5, "100,000 keys take %.3f s, 1,000,000 take %.3f s", few, many);
	cr_assert_eq(parse_keys(1000000, 77, &many, &err), -EINVAL);
	cr_assert_str_eq(err.msg, "the key \"model.layers.77.w\" appears twice in one object");
	for (uint64_t n = 2; n < 40; n++) { /* both ways of looking for twins, and where one becomes the other */
		cr_assert_eq(parse_keys(n, n - 1, &few, &err), 0);
		for (uint64_t twin = 0; twin + 1 < n; twin++)
			cr_assert_eq(parse_keys(n, twin, &few, &err), -EINVAL, "%d keys, twin %d", (int)n, (int)twin);
	}
}

static uint64_t draw(uint64_t *seed, uint64_t below)
{
	*seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (*seed >> 33) % below;
}

static void blanks(struct text *text, uint64_t *seed)
{
	for (uint64_t n = draw(seed, 6); n > 3; n--)
		text_pad(text, " \n\r\t"[draw(seed, 4)], 1);
}

/* A random string and, in `plain`, what it means. */
static void write_string(struct text *text, char *plain, uint64_t *seed)
{
	static const char *const units[][2] = {
		{ "a", "a" }, { "9", "9" }, { ".", "." }, { "{", "{" }, { ",", "," }, { "\\\"", "\"" }, { "\\\\", "\\" }, { "\\/", "/" }, { "\\n", "\n" },
		{ "\\u0041", "A" }, { "\\u00E9", "\xc3\xa9" }, { "\xc3\xa9", "\xc3\xa9" }, { "\xe6\x9d\x83", "\xe6\x9d\x83" },
		{ "\\ud83d\\uDE00", "\xf0\x9f\x98\x80" }, { "\xf0\x9f\x98\x80", "\xf0\x9f\x98\x80" }, { "\\u0001", "\x01" },
	};

	*plain = 0;
	text_add(text, "\"");
	for (uint64_t n = draw(seed, 8); n > 0; n--) {
		uint64_t u = draw(seed, COUNT(units));

		text_add(text, "%s", units[u][0]);
		strcat(plain, units[u][1]);
	}
	text_add(text, "\"");
}

/* The tree in the order of the text, a line a value: what was written, and what was found. Whole numbers below 2^53 are marked. */
static void write_value(struct text *text, struct text *log, uint64_t *seed, uint32_t depth)
{
	char plain[64];
	uint64_t kind = draw(seed, depth ? 7 : 5), n = draw(seed, 1000000) * draw(seed, 10000000);

	switch (kind) {
	case 0:
		text_add(text, "%llu", (unsigned long long)n);
		text_add(log, "whole %llu\n", (unsigned long long)n);
		return;
	case 1:
		text_add(text, "-%llu%s", (unsigned long long)n, draw(seed, 2) ? ".0" : draw(seed, 2) ? "e1" : "");
		text_add(log, "other\n");
		return;
	case 2:
		text_add(text, "%llu%s", (unsigned long long)n, draw(seed, 2) ? ".0" : "E+2");
		text_add(log, "other\n");
		return;
	case 3:
		text_add(text, "%s", (const char *const[]){ "true", "false", "null" }[draw(seed, 3)]);
		text_add(log, "other\n");
		return;
	case 4:
		write_string(text, plain, seed);
		text_add(log, "string %s\n", plain);
		return;
	}
	n = draw(seed, 12);
	text_add(text, kind == 5 ? "[" : "{");
	text_add(log, kind == 5 ? "array %d\n" : "object %d\n", (int)n);
	for (uint64_t i = 0; i < n; i++) {
		if (i)
			text_add(text, ",");
		blanks(text, seed);
		if (kind == 6) {
			text_add(text, "\"%d\\u002d", (int)i); /* so that keys differ */
			text_add(log, "key %d-\n", (int)i);
			text_add(text, "\"");
			blanks(text, seed);
			text_add(text, ":");
			blanks(text, seed);
		}
		write_value(text, log, seed, depth - 1);
		blanks(text, seed);
	}
	if (n == 0)
		blanks(text, seed);
	text_add(text, kind == 5 ? "]" : "}");
}

static void read_value(struct text *log, const json *v, bool member)
{
	uint64_t u;

	if (member)
		text_add(log, "key %s\n", json_key(v));
	if (json_u64(v, &u))
		text_add(log, "whole %llu\n", (unsigned long long)u);
	else if (json_is_string(v))
		text_add(log, "string %s\n", json_string(v));
	else if (json_is_array(v) || json_is_object(v))
		text_add(log, json_is_array(v) ? "array %d\n" : "object %d\n", (int)json_count(v));
	else
		text_add(log, "other\n");
	for (const json *m = json_first(v); m; m = json_next(m)) {
		cr_assert(!json_is_object(v) || json_get(v, json_key(m)) == m);
		read_value(log, m, json_is_object(v));
	}
}

Test(json, random_trees_are_found_again)
{
	for (uint64_t n = 1; n <= 3000; n++) {
		uint64_t seed = n;
		struct text text = TEXT_EMPTY, want = TEXT_EMPTY, got = TEXT_EMPTY;
		struct json_doc *doc;
		struct error err;

		draw(&seed, 2);
		write_value(&text, &want, &seed, 1 + (uint32_t)(n % 6));
		blanks(&text, &seed);
		cr_assert_eq(parse(text.ptr, text.len, MANY, &doc, &err), 0, "seed %d: %s: %s", (int)n, err.msg, text.ptr);
		read_value(&got, json_root(doc), false);
		cr_assert_str_eq(got.ptr, want.ptr, "seed %d: %s", (int)n, text.ptr);
		json_free(doc);
		text_free(&text);
		text_free(&want);
		text_free(&got);
	}
}

/* Texts with a few bytes changed: refused with a message or parsed, and never more than that. */
Test(json, random_damage)
{
	static const char bytes[] = "\"\\{}[]:,0123456789eE+-.utfn \x80\xc3\xe6\xf0\xff\x01";
	uint64_t refused = 0;

	for (uint64_t n = 1; n <= 20000; n++) {
		uint64_t seed = n * 7919;
		struct text text = TEXT_EMPTY, log = TEXT_EMPTY, got = TEXT_EMPTY;
		struct json_doc *doc;
		struct error err;

		draw(&seed, 2);
		write_value(&text, &log, &seed, 3);
		for (uint64_t i = 1 + draw(&seed, 3); i > 0; i--)
			text.ptr[draw(&seed, text.len)] = bytes[draw(&seed, sizeof(bytes) - 1)];
		if (draw(&seed, 4) == 0)
			text.len = draw(&seed, text.len + 1);

		int r = parse(text.ptr, text.len, MANY, &doc, &err);

		cr_assert(r == 0 || r == -EINVAL, "seed %d: %d", (int)n, r);
		cr_assert_eq(r < 0, err.msg[0] != 0, "seed %d", (int)n);
		refused += r < 0;
		if (r == 0)
			read_value(&got, json_root(doc), false);
		json_free(doc);
		text_free(&text);
		text_free(&log);
		text_free(&got);
	}
	cr_assert_gt(refused, 5000);
	cr_assert_lt(refused, 20000);
}
