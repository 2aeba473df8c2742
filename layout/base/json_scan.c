/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One loop over the text with the open brackets as bits of one word: no stack grows with the input. The functions that scan
 * a part begin with the cursor on its first byte and leave it behind its last.
 */
#include <errno.h>
#include <string.h>

#include "layout/base/json.h"
#include "layout/base/json_scan.h"
#include "layout/base/utf8.h"

#define NUMBER_MAX 63 /* characters; cJSON reads no more of a number */

struct scan {
	const uint8_t *start, *at, *end;
	uint64_t values, max_values;
	uint64_t objects; /* one bit a level, the innermost lowest: set for an object, clear for an array */
	uint32_t depth;
	bool fractions; /* a number was not written as a whole one */
	struct error *err;
};

static int refuse(const struct scan *s, const char *what)
{
	return error_set(s->err, -EINVAL, "byte %llu: %s", (unsigned long long)(s->at - s->start), what);
}

/* The byte at the cursor, or NUL at the end, which no rule accepts. */
static uint8_t peek(const struct scan *s)
{
	return s->at < s->end ? *s->at : 0;
}

static void skip_blanks(struct scan *s)
{
	while (s->at < s->end && (*s->at == ' ' || *s->at == '\n' || *s->at == '\r' || *s->at == '\t'))
		s->at++;
}

static bool is_digit(uint8_t c)
{
	return c >= '0' && c <= '9';
}

static int hex(uint8_t c)
{
	return is_digit(c) ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* The value of the "\uXXXX" at the cursor, or -1. Moves the cursor only when there is one. */
static int32_t unicode_escape(struct scan *s)
{
	int32_t value = 0;

	if (s->end - s->at < 6 || s->at[0] != '\\' || s->at[1] != 'u')
		return -1;
	for (int i = 2; i < 6; i++) {
		if (hex(s->at[i]) < 0)
			return -1;
		value = value << 4 | hex(s->at[i]);
	}
	s->at += 6;
	return value;
}

static int scan_escape(struct scan *s)
{
	if (s->end - s->at >= 2 && s->at[1] != 'u') {
		if (!s->at[1] || !strchr("\"\\/bfnrt", s->at[1]))
			return refuse(s, "unknown escape in a string");
		s->at += 2;
		return 0;
	}

	const uint8_t *first = s->at;
	int32_t high = unicode_escape(s), low = high >= 0xd800 && high < 0xdc00 ? unicode_escape(s) : -1;
	const char *flaw = high < 0 ? "broken \\u escape in a string" :
			   high == 0 ? "escaped NUL in a string" :
			   high >= 0xd800 && high < 0xe000 && (low < 0xdc00 || low >= 0xe000) ? "half of a surrogate pair in a string" : NULL;

	if (!flaw)
		return 0;
	s->at = first;
	return refuse(s, flaw);
}

/* Scans a string from its opening quote to behind its closing one. */
static int scan_string(struct scan *s)
{
	if (peek(s) != '"')
		return refuse(s, "expected a string");
	s->at++;
	for (;;) {
		uint32_t code, used;

		while (s->at < s->end && *s->at >= 0x20 && *s->at < 0x80 && *s->at != '"' && *s->at != '\\')
			s->at++;
		if (s->at == s->end)
			return refuse(s, "the text ends inside a string");
		if (*s->at == '"') {
			s->at++;
			return 0;
		}
		if (*s->at < 0x20)
			return refuse(s, "control character in a string");
		if (*s->at == '\\') {
			if (scan_escape(s) < 0)
				return -EINVAL;
			continue;
		}
		used = utf8_decode(s->at, (uint64_t)(s->end - s->at), &code);
		if (used == 0)
			return refuse(s, "not UTF-8");
		s->at += used;
	}
}

/* At least one digit; false when there is none. */
static bool skip_digits(struct scan *s)
{
	const uint8_t *first = s->at;

	while (is_digit(peek(s)))
		s->at++;
	return s->at > first;
}

/* number = [ "-" ] ( "0" / digit1-9 *digit ) [ "." 1*digit ] [ ( "e" / "E" ) [ "-" / "+" ] 1*digit ] */
static int scan_number(struct scan *s)
{
	const uint8_t *first = s->at;
	bool good;

	s->at += peek(s) == '-';
	good = peek(s) == '0' ? (s->at++, true) : skip_digits(s);
	if (good && peek(s) == '.') {
		s->at++;
		s->fractions = true;
		good = skip_digits(s);
	}
	if (good && (peek(s) | 0x20) == 'e') {
		s->at++;
		s->fractions = true;
		s->at += peek(s) == '+' || peek(s) == '-';
		good = skip_digits(s);
	}
	if (!good || is_digit(peek(s)))
		return refuse(s, "broken number");
	if (s->at - first > NUMBER_MAX)
		return refuse(s, "number of more than 63 characters");
	return 0;
}

static int scan_word(struct scan *s)
{
	static const char *const words[] = { "true", "false", "null" };

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		size_t len = strlen(words[i]);

		if ((size_t)(s->end - s->at) >= len && memcmp(s->at, words[i], len) == 0) {
			s->at += len;
			return 0;
		}
	}
	return refuse(s, s->at == s->end ? "the text ends where a value should begin" : "expected a value");
}

/* Scans a key and its colon. */
static int scan_key(struct scan *s)
{
	if (scan_string(s) < 0)
		return -EINVAL;
	skip_blanks(s);
	if (peek(s) != ':')
		return refuse(s, "expected ':'");
	s->at++;
	skip_blanks(s);
	return 0;
}

static bool in_object(const struct scan *s)
{
	return s->objects & 1;
}

/* Scans a value; of an object or array only the opening and, when it is not empty, the first key. *opened tells that a value follows. */
static int scan_value(struct scan *s, bool *opened)
{
	uint8_t c = peek(s);

	*opened = false;
	if (++s->values > s->max_values)
		return error_set(s->err, -E2BIG, "byte %llu: more than %llu values", (unsigned long long)(s->at - s->start),
				 (unsigned long long)s->max_values);
	if (c == '"')
		return scan_string(s);
	if (c == '-' || is_digit(c))
		return scan_number(s);
	if (c != '{' && c != '[')
		return scan_word(s);
	if (s->depth == JSON_DEPTH)
		return refuse(s, "nested too deeply");
	s->depth++;
	s->objects = s->objects << 1 | (c == '{');
	s->at++;
	skip_blanks(s);
	if (peek(s) == (c == '{' ? '}' : ']'))
		return 0;
	*opened = true;
	return c == '{' ? scan_key(s) : 0;
}

/* Behind a value: closes what ends there, up to the next value (*more) or the end of the outermost one. */
static int scan_after(struct scan *s, bool *more)
{
	*more = false;
	while (s->depth > 0) {
		skip_blanks(s);
		if (peek(s) == ',') {
			s->at++;
			skip_blanks(s);
			*more = true;
			return in_object(s) ? scan_key(s) : 0;
		}
		if (peek(s) != (in_object(s) ? '}' : ']'))
			return refuse(s, in_object(s) ? "expected ',' or '}'" : "expected ',' or ']'");
		s->at++;
		s->depth--;
		s->objects >>= 1;
	}
	return 0;
}

static int scan_text(struct scan *s)
{
	bool more = true;

	while (more) {
		int r = scan_value(s, &more);

		if (r == 0 && !more)
			r = scan_after(s, &more);
		if (r < 0)
			return r;
	}
	skip_blanks(s);
	return s->at < s->end ? refuse(s, "text after the value") : 0;
}

int json_scan(struct bytes text, uint64_t max_values, bool *fractions, struct error *err)
{
	struct scan s = { .start = text.ptr, .at = text.ptr, .end = text.ptr + text.len, .max_values = max_values, .err = err };
	int r = scan_text(&s);

	*fractions = s.fractions;
	return r;
}
