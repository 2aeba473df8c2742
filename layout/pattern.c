/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "layout/pattern.h"
#include "layout/text.h"

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

	*out = (struct pattern){ .text = text };
	while (code == 0 && *word) {
		if (*word == '}')
			return error_set(err, -EINVAL, "\"%s\": a brace that was not opened", word);
		*to++ = *word;
		if (*word++ != '{')
			continue;
		*to++ = '}';
		code = take_index(word - 1, known, arena, out, &word, err);
	}
	if (code == 0)
		*to = '\0';
	return code;
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

bool pattern_match(const struct pattern *pattern, const char *name, uint64_t *values)
{
	uint32_t n = 0;

	for (const char *p = pattern->text; *p; p++) {
		if (*p == '{') {
			name = read_number(name, &values[pattern->index[n++]]);
			if (!name)
				return false;
			p++;
		} else if (*name++ != *p) {
			return false;
		}
	}
	return *name == '\0';
}

const char *pattern_format(const struct pattern *pattern, const char *prefix, const uint64_t *values, struct arena *arena)
{
	struct text text = TEXT_EMPTY;
	const char *out;
	uint32_t n = 0;

	text_add(&text, "%s", prefix);
	for (const char *p = pattern->text; *p; p++) {
		if (*p == '{') {
			text_add(&text, "%llu", (unsigned long long)values[pattern->index[n++]]);
			p++;
		} else {
			text_add_bytes(&text, p, 1);
		}
	}
	out = text.failed ? NULL : arena_strndup(arena, text.ptr, text.len);
	text_free(&text);
	return out;
}
