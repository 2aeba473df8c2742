/* SPDX-License-Identifier: Apache-2.0 */
/* What is JSON and what is not, by tables, and hostile sizes. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "layout/base/text.h"
#include "tests/json_text.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define LIT(s) (s), sizeof(s) - 1

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

		cr_assert_eq(json_text_parse(good[i].text, good[i].len, JSON_TEXT_MANY, &doc, &err), 0, "%s: %s", good[i].text, err.msg);
		cr_assert_not_null(json_root(doc));
		json_free(doc);
	}
}

Test(json, bad_texts)
{
	for (size_t i = 0; i < COUNT(bad); i++) {
		struct json_doc *doc;
		struct error err;

		cr_assert_eq(json_text_parse(bad[i].text, bad[i].len, JSON_TEXT_MANY, &doc, &err), -EINVAL, "case %zu: %s", i, bad[i].text);
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

		cr_assert_eq(json_text_parse(text, len, JSON_TEXT_MANY, &doc, &err), len == sizeof(text) - 1 ? 0 : -EINVAL, "%zu bytes", len);
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

		cr_assert_eq(json_text_parse(cases[i].text, strlen(cases[i].text), 10, &doc, &err), 0, "%s: %s", cases[i].text, err.msg);
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

	cr_assert_eq(json_text_parse(text, sizeof(text) - 1, JSON_TEXT_MANY, &doc, &err), 0, "%s", err.msg);
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

	cr_assert_eq(json_text_parse(text, sizeof(text) - 1, 6, &doc, &err), 0);
	json_free(doc);
	cr_assert_eq(json_text_parse(text, sizeof(text) - 1, 5, &doc, &err), -E2BIG);
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
	cr_assert_eq(json_text_parse(text, 2 * len, JSON_TEXT_MANY, &doc, &err), -EINVAL);
	cr_assert_str_eq(err.msg, "byte 32: nested too deeply");
	for (size_t i = 0; i < 2 * len - 6; i += 5)
		memcpy(text + i, "{\"a\":", 5);
	cr_assert_eq(json_text_parse(text, 2 * len, JSON_TEXT_MANY, &doc, &err), -EINVAL);
	cr_assert_str_eq(err.msg, "byte 160: nested too deeply");
	free(text);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
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

	int r = json_parse((struct bytes){ (const uint8_t *)text.ptr, text.len }, JSON_TEXT_MANY, &doc, err);

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
