/* SPDX-License-Identifier: Apache-2.0 */
/* Python's repr() of a string escapes the quote, the backslash and what cannot be printed: \n \r \t, \xNN, \uNNNN, \UNNNNNNNN. */
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "layout/base/utf8.h"
#include "layout/formats/shard_id.h"

struct reader {
	const char *at;
	char *out; /* what was unescaped so far ends here */
};

static int hex_digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static void put_utf8(struct reader *r, uint32_t code)
{
	if (code < 0x80) {
		*r->out++ = (char)code;
		return;
	}

	uint32_t more = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;

	*r->out++ = (char)((0xff00u >> (more + 1) & 0xff) | code >> 6 * more);
	while (more-- > 0)
		*r->out++ = (char)(0x80 | (code >> 6 * more & 0x3f));
}

/* A code point of `digits` hexadecimal digits; none is written with fewer bytes than its character takes. */
static bool read_code(struct reader *r, int digits)
{
	uint32_t code = 0;

	for (int d; digits > 0; digits--, r->at++) {
		if ((d = hex_digit(*r->at)) < 0)
			return false;
		code = code << 4 | (uint32_t)d;
	}
	if (code == 0 || code > 0x10ffff || (code >= 0xd800 && code < 0xe000))
		return false;
	put_utf8(r, code);
	return true;
}

static bool read_escape(struct reader *r)
{
	static const char from[] = "\\'\"nrt", to[] = "\\'\"\n\r\t";
	char c = *r->at++;
	const char *plain = c ? strchr(from, c) : NULL;

	if (plain) {
		*r->out++ = to[plain - from];
		return true;
	}
	return (c == 'x' && read_code(r, 2)) || (c == 'u' && read_code(r, 4)) || (c == 'U' && read_code(r, 8));
}

static bool read_name(struct reader *r)
{
	char quote = *r->at++;

	if (quote != '\'' && quote != '"')
		return false;
	while (*r->at && *r->at != quote) {
		if (*r->at != '\\')
			*r->out++ = *r->at++;
		else if (r->at++, !read_escape(r))
			return false;
	}
	*r->out = 0;
	return *r->at++ == quote;
}

/* "(3,)" or "(0, 0)". */
static bool read_slice(struct reader *r, uint64_t *out)
{
	uint64_t n = 0;

	*out = 0;
	if (*r->at++ != '(')
		return false;
	for (;; n++) {
		uint64_t number = 0;
		const char *start = r->at;

		for (; *r->at >= '0' && *r->at <= '9' && r->at - start < 10; r->at++)
			number = number * 10 + (uint64_t)(*r->at - '0');
		if (r->at == start || (n > 0 && (number || *out)))
			return false;
		*out = n == 0 ? number : *out;
		if (*r->at == ',' && r->at[1] == ')' && n == 0)
			return r->at += 2, true;
		if (*r->at == ')' && n > 0)
			return r->at++, true;
		if (*r->at++ != ',' || *r->at++ != ' ')
			return false;
	}
}

int shard_id_parse(const char *key, struct arena *arena, struct shard_id *out, struct error *err)
{
	char *name = arena_alloc(arena, strlen(key) + 1, 1);
	struct reader r = { .at = key, .out = name };

	if (!name)
		return error_nomem(err);
	out->name = name;
	if (*r.at++ == '(' && read_name(&r) && *name && *r.at++ == ',' && *r.at++ == ' ' && read_slice(&r, &out->slice) && strcmp(r.at, ")") == 0)
		return 0;
	return error_set(err, -EINVAL, "storage_data: key \"%.512s\" is not of the form ('NAME', (SLICE,))", key);
}
