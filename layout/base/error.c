/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The message is formatted, then copied character by character, so that what came from a file cannot move a cursor, end
 * the line or cut a character in two.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "layout/base/error.h"
#include "layout/base/utf8.h"

#define ROOM (sizeof(((struct error *)0)->msg) - 1) /* bytes of text */
#define DOTS "..."

/* Writes the character at p as it may be shown, and says how many bytes of p that were; 0 when `room` is too small. */
static uint32_t put(char *to, size_t room, const uint8_t *p, uint64_t len, size_t *written)
{
	uint32_t code = 0, used = utf8_decode(p, len, &code);

	if (used > 0 && utf8_is_harmless(code)) { /* what is not UTF-8 may be anything */
		*written = used;
		if (used > room)
			return 0;
		memcpy(to, p, used);
		return used;
	}
	*written = 4;
	if (room < 4)
		return 0;

	char hex[5];

	snprintf(hex, sizeof(hex), "\\x%02X", p[0]);
	memcpy(to, hex, 4);
	return 1;
}

/* Copies `raw`, which lost its end when `cut`, into err->msg. */
static void show(struct error *err, const char *raw, bool cut)
{
	const uint8_t *p = (const uint8_t *)raw;
	size_t at = 0, fits = 0, written; /* `fits`: the longest start that leaves room for the dots */

	for (uint64_t left = strlen(raw); left > 0;) {
		uint32_t used = put(err->msg + at, ROOM - at, p, left, &written);

		if (used == 0) {
			cut = true;
			break;
		}
		at += written;
		fits = at <= ROOM - strlen(DOTS) ? at : fits;
		p += used;
		left -= used;
	}
	if (cut)
		memcpy(err->msg + fits, DOTS, strlen(DOTS));
	err->msg[cut ? fits + strlen(DOTS) : at] = '\0';
}

int error_set(struct error *err, int code, const char *format, ...)
{
	char raw[ROOM + 1];
	va_list args;

	va_start(args, format);

	int len = vsnprintf(raw, sizeof(raw), format, args);

	va_end(args);
	show(err, len < 0 ? format : raw, len > (int)ROOM);
	return code;
}

int error_prefix(struct error *err, int code, const char *format, ...)
{
	char prefix[ROOM + 1];
	va_list args;

	va_start(args, format);
	vsnprintf(prefix, sizeof(prefix), format, args);
	va_end(args);
	return error_set(err, code, "%s: %s", prefix, err->msg);
}

int error_nomem(struct error *err)
{
	return error_set(err, -ENOMEM, "out of memory");
}
