/* SPDX-License-Identifier: Apache-2.0 */
/* See browse.h. */
#include <string.h>

#include "layout/base/text.h"
#include "layout/base/utf8.h"
#include "layout/view/browse.h"

static const char *const endings[BROWSE_KINDS] = { ".txt", ".json", ".npy", ".bin" };

const char *browse_ending(enum browse_kind kind)
{
	return endings[kind];
}

static bool is_plain(uint32_t len, uint32_t code)
{
	return len > 0 && utf8_is_harmless(code) && code != '%' && code != '/';
}

/* A path being written: `part` counts the bytes of its last part. */
struct escaping {
	struct text text;
	uint64_t part;
};

/* Adds a character, which stays in one piece; the part always keeps room for the sign that it goes on. */
static void put(struct escaping *e, const void *bytes, uint64_t len)
{
	if (e->part + len > BROWSE_PART_MAX - 1) {
		text_add_bytes(&e->text, "%/", 2);
		e->part = 0;
	}
	text_add_bytes(&e->text, bytes, len);
	e->part += len;
}

static void put_hex(struct escaping *e, const uint8_t *bytes, uint64_t len)
{
	static const char hex[] = "0123456789ABCDEF";

	for (uint64_t i = 0; i < len; i++)
		put(e, (const char[]){ '%', hex[bytes[i] >> 4], hex[bytes[i] & 15] }, 3);
}

static void end_part(struct escaping *e)
{
	if (e->part == 0)
		text_add_bytes(&e->text, "%", 1);
	e->part = 0;
}

const char *browse_escape(const char *name, struct arena *arena)
{
	struct escaping e = { .text = TEXT_EMPTY };
	const uint8_t *p = (const uint8_t *)name;
	struct bytes out;

	for (uint64_t left = strlen(name); left > 0;) {
		uint32_t code = 0, len = utf8_decode(p, left, &code), used = len ? len : 1;

		if (*p == '.') {
			end_part(&e);
			text_add_bytes(&e.text, "/", 1);
		} else if (is_plain(len, code)) {
			put(&e, p, used);
		} else {
			put_hex(&e, p, used);
		}
		p += used;
		left -= used;
	}
	end_part(&e);
	return text_finish(&e.text, arena, &out) < 0 ? NULL : (const char *)out.ptr;
}
