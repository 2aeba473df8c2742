/* SPDX-License-Identifier: Apache-2.0 */
/* The buffer doubles; one byte behind the text is always kept for its NUL. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "layout/base/text.h"
#include "layout/base/utf8.h"

void text_free(struct text *text)
{
	free(text->ptr);
	*text = TEXT_EMPTY;
}

/* Makes room for `more` bytes and a NUL. */
static bool reserve(struct text *text, uint64_t more)
{
	uint64_t need, size = text->size ? text->size : 256;

	if (text->failed || !bytes_add(text->len, more, &need) || need > SIZE_MAX / 4) {
		text->failed = true;
		return false;
	}
	if (need < text->size)
		return true;
	while (size <= need)
		size *= 2;

	char *bigger = realloc(text->ptr, size);

	text->failed = !bigger;
	if (bigger) {
		text->ptr = bigger;
		text->size = size;
	}
	return bigger;
}

void text_add(struct text *text, const char *format, ...)
{
	va_list args, again;

	va_start(args, format);
	va_copy(again, args);
	reserve(text, 0);

	int len = text->failed ? 0 : vsnprintf(text->ptr + text->len, text->size - text->len, format, args);

	if (len < 0)
		text->failed = true;
	else if (!text->failed && (uint64_t)len >= text->size - text->len && reserve(text, (uint64_t)len))
		vsnprintf(text->ptr + text->len, text->size - text->len, format, again);
	if (!text->failed)
		text->len += (uint64_t)len;
	va_end(again);
	va_end(args);
}

void text_add_bytes(struct text *text, const void *ptr, uint64_t len)
{
	if (!reserve(text, len))
		return;
	if (len)
		memcpy(text->ptr + text->len, ptr, len);
	text->len += len;
	text->ptr[text->len] = '\0';
}

void text_word(struct text *text, const char *word)
{
	text_add_bytes(text, word, strlen(word));
}

void text_number(struct text *text, uint64_t number)
{
	char room[BYTES_DIGITS];
	const char *first = bytes_decimal(number, room);

	text_add_bytes(text, first, (uint64_t)(room + BYTES_DIGITS - first));
}

void text_pad(struct text *text, char c, uint64_t count)
{
	if (!reserve(text, count))
		return;
	memset(text->ptr + text->len, c, count);
	text->len += count;
	text->ptr[text->len] = '\0';
}

static void add_escape(struct text *text, uint32_t code)
{
	static const char shorts[][2] = { { '"', '"' }, { '\\', '\\' }, { '\b', 'b' }, { '\f', 'f' },
					  { '\n', 'n' }, { '\r', 'r' }, { '\t', 't' } };

	for (size_t i = 0; i < sizeof(shorts) / sizeof(shorts[0]); i++)
		if (code == (uint32_t)shorts[i][0]) {
			text_add_bytes(text, (const char[]){ '\\', shorts[i][1] }, 2);
			return;
		}
	if (code >= 0x10000)
		text_add(text, "\\u%04x\\u%04x", 0xd800 + ((code - 0x10000) >> 10), 0xdc00 + (code & 0x3ff));
	else
		text_add(text, "\\u%04x", code);
}

void text_shown(struct text *text, const char *s)
{
	const uint8_t *p = (const uint8_t *)s;

	for (uint64_t left = strlen(s); left > 0;) {
		uint32_t code = 0, len = utf8_decode(p, left, &code);

		if (len > 0 && utf8_is_harmless(code)) {
			text_add_bytes(text, p, len);
		} else {
			len = 1;
			text_add(text, "\\x%02X", p[0]);
		}
		p += len;
		left -= len;
	}
}

static bool is_plain(uint8_t c)
{
	return c >= 0x20 && c != '"' && c != '\\';
}

void text_json(struct text *text, const char *s)
{
	text_add_bytes(text, "\"", 1);
	for (;;) {
		uint64_t run = 0;

		while (is_plain((uint8_t)s[run]))
			run++;
		text_add_bytes(text, s, run);
		s += run;
		if (!*s)
			break;
		add_escape(text, (uint8_t)*s++);
	}
	text_add_bytes(text, "\"", 1);
}

void text_json_ascii(struct text *text, const char *s)
{
	const uint8_t *p = (const uint8_t *)s;

	text_add_bytes(text, "\"", 1);
	for (uint64_t left = strlen(s); left > 0;) {
		uint64_t run = 0;
		uint32_t code = *p;

		while (run < left && is_plain(p[run]) && p[run] < 0x7f)
			run++;
		text_add_bytes(text, p, run);
		p += run;
		left -= run;
		if (left == 0)
			break;

		uint32_t used = utf8_decode(p, left, &code);

		if (!used) { /* no UTF-8, as a path may be: the escape that Python gives to such a byte */
			used = 1;
			code = 0xdc00 + *p;
		}
		add_escape(text, code);
		p += used;
		left -= used;
	}
	text_add_bytes(text, "\"", 1);
}

int text_finish(struct text *text, struct arena *arena, struct bytes *out)
{
	char *copy = text->failed ? NULL : arena_strndup(arena, text->ptr, text->len);

	*out = (struct bytes){ .ptr = (const uint8_t *)copy, .len = copy ? text->len : 0 };
	text_free(text);
	return copy ? 0 : -ENOMEM;
}
