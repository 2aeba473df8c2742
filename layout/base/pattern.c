/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "layout/base/bytes.h"
#include "layout/base/pattern.h"

bool pattern_has(const struct pattern *pattern, uint32_t index)
{
	for (uint32_t i = 0; i < pattern->count; i++)
		if (pattern->index[i] == index)
			return true;
	return false;
}

/* Takes the index that begins at `open` ("{layer}...") into the pattern. *end is behind it. */
static int take_index(const char *open, const struct names *known, struct arena *arena, struct pattern *p, const char **end,
		      struct error *err)
{
	const char *close = strchr(open, '}');
	const char *name = close ? arena_strndup(arena, open + 1, (size_t)(close - open - 1)) : "";
	uint32_t index;

	if (!name)
		return error_nomem(err);
	index = names_find(known, name);
	if (!close || index == NAMES_NONE)
		return error_set(err, -EINVAL, "\"%s\": expected the name of an index in braces", open);
	if (pattern_has(p, index))
		return error_set(err, -EINVAL, "index {%s} comes twice in one name", name);
	if (p->count == PATTERN_INDEXES)
		return error_set(err, -EINVAL, "more than %d indexes in one name", PATTERN_INDEXES);
	p->index[p->count++] = index;
	*end = close + 1;
	return 0;
}

int pattern_parse(const char *word, const struct names *known, struct arena *arena, struct pattern *out, struct error *err)
{
	char *text = arena_strndup(arena, word, strlen(word)), *to = text;
	int code = text ? 0 : error_nomem(err);

	*out = (struct pattern){ .text = text, .tail = text };
	while (code == 0 && *word) {
		size_t plain = strcspn(word, "{}");

		memcpy(to, word, plain);
		to += plain;
		word += plain;
		if (*word == '}')
			return error_set(err, -EINVAL, "\"%s\": a brace that was not opened", word);
		if (*word == '{') {
			*to++ = '{';
			*to++ = '}';
			code = take_index(word, known, arena, out, &word, err);
			out->tail = to;
		}
	}
	if (code < 0)
		return code;
	*to = '\0';
	out->text_len = (uint64_t)(to - text);
	out->tail_len = (uint64_t)(to - out->tail);
	out->head_len = out->count ? (uint64_t)(strchr(text, '{') - text) : 0;
	return 0;
}

/* Reads a number as names have it; NULL when there is none. */
static const char *read_number(const char *s, uint64_t *out)
{
	const char *start = s;

	for (*out = 0; *s >= '0' && *s <= '9'; s++)
		if (!bytes_mul(*out, 10, out) || !bytes_add(*out, (uint64_t)(*s - '0'), out))
			return NULL;
	return s == start || (*start == '0' && s > start + 1) ? NULL : s;
}

/* Most names differ in what is behind the last number from most patterns: that is looked at first. */
bool pattern_match(const struct pattern *pattern, const char *name, uint64_t len, uint64_t *values)
{
	const char *tail;
	uint32_t n = 0;

	if (len < pattern->head_len + pattern->tail_len)
		return false;
	tail = name + len - pattern->tail_len;
	if (memcmp(tail, pattern->tail, pattern->tail_len) != 0 || memcmp(name, pattern->text, pattern->head_len) != 0)
		return false;
	name += pattern->head_len;
	for (const char *p = pattern->text + pattern->head_len; p < pattern->tail; p++) {
		if (*p == '{') {
			name = read_number(name, &values[pattern->index[n++]]);
			if (!name)
				return false;
			p++;
		} else if (*name++ != *p) {
			return false;
		}
	}
	return name == tail;
}

static char *put_number(char *to, uint64_t number)
{
	char room[BYTES_DIGITS];
	const char *first = bytes_decimal(number, room);
	size_t len = (size_t)(room + BYTES_DIGITS - first);

	memcpy(to, first, len);
	return to + len;
}

const char *pattern_format(const struct pattern *pattern, const char *prefix, const uint64_t *values, struct arena *arena)
{
	char *out = arena_alloc(arena, strlen(prefix) + pattern->text_len + pattern->count * (BYTES_DIGITS - strlen("{}")) + 1, 1), *to;
	uint32_t n = 0;

	if (!out)
		return NULL;
	to = stpcpy(out, prefix);
	memcpy(to, pattern->text, pattern->head_len);
	to += pattern->head_len;
	for (const char *p = pattern->text + pattern->head_len; p < pattern->tail; p++) {
		if (*p == '{') {
			to = put_number(to, values[pattern->index[n++]]);
			p++;
		} else {
			*to++ = *p;
		}
	}
	memcpy(to, pattern->tail, pattern->tail_len + 1);
	return out;
}
