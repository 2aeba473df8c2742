/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "layout/base/regexp.h"

/* How large what was read so far becomes. A group that is open has what stands in front of it in a level of its own. */
struct size {
	struct level {
		uint64_t before; /* of the last part: all of the group up to it */
		uint64_t last;   /* what a repeat sign would repeat */
	} level[REGEXP_DEPTH + 1];
	uint32_t depth;
};

/* The end of a bracket expression that begins behind `p`[-1] == '['; "]" comes first in it as itself, and [:alpha:] nests once. */
static const char *bracket_end(const char *p)
{
	p += *p == '^';
	p += *p == ']';
	while (*p && *p != ']') {
		const char kind[] = { p[1], ']', '\0' };
		const char *end = *p == '[' && p[1] && strchr(":.=", p[1]) ? strstr(p + 2, kind) : NULL;

		p = end ? end + 2 : p + 1;
	}
	return *p ? p + 1 : p;
}

/* How often "{m,n}", which begins behind `p`[-1] == '{', repeats; "{m,}" once more than m. At most a little over REGEXP_SIZE. */
static const char *read_count(const char *p, uint64_t *count)
{
	uint64_t n = 0;

	for (*count = 1; (*p >= '0' && *p <= '9') || *p == ','; p++) {
		if (*p == ',')
			n = p[1] == '}' ? n + 1 : 0;
		else if (n <= REGEXP_SIZE)
			n = n * 10 + (uint64_t)(*p - '0');
		*count = n > *count ? n : *count;
	}
	return p;
}

static void add_part(struct size *s)
{
	s->level[s->depth].before += s->level[s->depth].last;
	s->level[s->depth].last = 1;
}

static void close_group(struct size *s)
{
	struct level *inner = &s->level[s->depth];

	if (s->depth == 0)
		return add_part(s);
	s->depth--;
	s->level[s->depth].last = inner->before + inner->last + 1;
}

static bool is_sign(char c)
{
	return c == '{' || c == '+' || c == '*' || c == '?';
}

/* Takes what begins with `c`, behind which is `p`; where the next begins. */
static const char *take(struct size *s, char c, const char *p)
{
	uint64_t count = c == '+' ? 2 : 1;

	if (c == '{') {
		p = read_count(p, &count);
		p += *p == '}';
	}
	if (is_sign(c)) {
		s->level[s->depth].last = s->level[s->depth].last * count + 1;
		return p;
	}
	if (c == ')') {
		close_group(s);
		return p;
	}
	add_part(s);
	if (c == '(' && s->depth < REGEXP_DEPTH)
		s->level[++s->depth] = (struct level){ 0, 0 };
	if (c == '[')
		return bracket_end(p);
	return c == '\\' && *p ? p + 1 : p;
}

int regexp_check(const char *expression, struct error *err)
{
	struct size s = { .depth = 0 };
	const char *p = expression;
	bool sign;

	if (strlen(expression) > REGEXP_BYTES)
		return error_set(err, -EINVAL, "%zu bytes are too long for an expression: at most %d", strlen(expression), REGEXP_BYTES);
	while (*p) {
		if (*p == '\\' && p[1] >= '1' && p[1] <= '9')
			return error_set(err, -EINVAL, "\"%s\": \\%c is a back-reference, which extended expressions do not have", expression, p[1]);
		if (*p == '(' && s.depth == REGEXP_DEPTH)
			return error_set(err, -EINVAL, "\"%s\": groups are nested deeper than %d", expression, REGEXP_DEPTH);
		sign = is_sign(*p);
		p = take(&s, *p, p + 1);
		if (sign && is_sign(*p))
			return error_set(err, -EINVAL, "\"%s\": a repeat sign behind another one means nothing in extended expressions", expression);
		if (s.level[s.depth].before + s.level[s.depth].last > REGEXP_SIZE)
			return error_set(err, -EINVAL, "\"%s\": too large with all its repeats: at most %d", expression, REGEXP_SIZE);
	}
	return 0;
}
