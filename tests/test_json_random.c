/* SPDX-License-Identifier: Apache-2.0 */
/* Random JSON: trees that are written here and must be found again, and the same with a few bytes changed. */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "layout/base/text.h"
#include "tests/json_text.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

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
		cr_assert_eq(json_text_parse(text.ptr, text.len, JSON_TEXT_MANY, &doc, &err), 0, "seed %d: %s: %s", (int)n, err.msg, text.ptr);
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

		int r = json_text_parse(text.ptr, text.len, JSON_TEXT_MANY, &doc, &err);

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
