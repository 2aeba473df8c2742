/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Widths are counted without the C library, whose answer depends on the locale: characters of East Asia take two columns, marks that
 * combine take none.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "fs/base/term.h"
#include "layout/base/utf8.h"

#define DEFAULT_COLUMNS 80
#define LEAST_COLUMNS 40 /* what a narrower terminal gets is not worth the care */

static bool is_set(const char *variable)
{
	const char *value = getenv(variable);

	return value && *value;
}

/* The first of these that is set decides, as setlocale() has it. */
static bool speaks_utf8(void)
{
	const char *value = is_set("LC_ALL") ? getenv("LC_ALL") : is_set("LC_CTYPE") ? getenv("LC_CTYPE") : getenv("LANG");

	return value && (strcasestr(value, "utf-8") || strcasestr(value, "utf8"));
}

struct term term_of(FILE *stream)
{
	struct term t = { .is_terminal = isatty(fileno(stream)) == 1 };
	const char *kind = getenv("TERM");
	struct winsize size = { 0 };

	if (!t.is_terminal)
		return t;
	t.colour = kind && strcmp(kind, "dumb") != 0 && !is_set("NO_COLOR");
	t.utf8 = speaks_utf8();
	t.columns = DEFAULT_COLUMNS;
	if (ioctl(fileno(stream), TIOCGWINSZ, &size) == 0 && size.ws_col)
		t.columns = size.ws_col < LEAST_COLUMNS ? LEAST_COLUMNS : size.ws_col;
	return t;
}

const char *term_style(const struct term *term, enum term_style style)
{
	static const char *const codes[] = {
		[TERM_PLAIN] = "\033[0m", [TERM_BOLD] = "\033[1m", [TERM_DIM] = "\033[2m", [TERM_RED] = "\033[31m",
		[TERM_GREEN] = "\033[32m", [TERM_YELLOW] = "\033[33m", [TERM_CYAN] = "\033[36m",
	};

	return term->colour ? codes[style] : "";
}

const char *term_size(char *out, uint64_t bytes)
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
	double value = (double)bytes;
	int unit = 0;

	while (value >= 1023.995 && unit < 6) { /* or it would be shown as 1024.00 */
		value /= 1024;
		unit++;
	}
	snprintf(out, TERM_TEXT, "%.*f %s", unit == 0 ? 0 : value < 99.995 ? 2 : 1, value, units[unit]);
	return out;
}

const char *term_number(char *out, uint64_t n)
{
	char digits[24];
	size_t len = (size_t)snprintf(digits, sizeof(digits), "%" PRIu64, n), at = 0;

	for (size_t i = 0; i < len; i++) {
		out[at++] = digits[i];
		if ((len - i) % 3 == 1 && i + 1 < len)
			out[at++] = ',';
	}
	out[at] = '\0';
	return out;
}

static bool within(uint32_t code, const uint32_t (*ranges)[2], size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (code >= ranges[i][0] && code <= ranges[i][1])
			return true;
	return false;
}

#define WITHIN(code, ranges) within(code, ranges, sizeof(ranges) / sizeof(*(ranges)))

static uint32_t columns_of(uint32_t code)
{
	static const uint32_t wide[][2] = { { 0x1100, 0x115f }, { 0x2e80, 0x303e }, { 0x3041, 0xa4cf }, { 0xac00, 0xd7a3 }, { 0xf900, 0xfaff },
					    { 0xfe30, 0xfe6f }, { 0xff00, 0xff60 }, { 0xffe0, 0xffe6 }, { 0x1f300, 0x1f64f },
					    { 0x1f900, 0x1f9ff }, { 0x20000, 0x3fffd } };
	static const uint32_t none[][2] = { { 0x0300, 0x036f }, { 0x200b, 0x200f }, { 0x20d0, 0x20ff }, { 0xfe00, 0xfe0f }, { 0xfe20, 0xfe2f } };

	return WITHIN(code, wide) ? 2 : WITHIN(code, none) ? 0 : 1;
}

/* One character as it is shown. */
struct glyph {
	char text[20];
	uint32_t len, columns;
	uint32_t used; /* bytes of the name */
};

static struct glyph glyph_at(const char *p)
{
	struct glyph g = { .len = 0 };
	uint32_t code = 0, used = utf8_decode((const uint8_t *)p, strnlen(p, 4), &code);

	g.used = used ? used : 1;
	if (used && utf8_is_harmless(code)) {
		memcpy(g.text, p, used);
		g.len = used;
		g.columns = columns_of(code);
		return g;
	}
	for (uint32_t i = 0; i < g.used; i++)
		g.len += (uint32_t)snprintf(g.text + g.len, sizeof(g.text) - g.len, "\\x%02X", (uint8_t)p[i]);
	g.columns = g.len;
	return g;
}

static uint32_t width_of(const char *text, size_t len)
{
	const char *end = text + len;
	uint32_t width = 0;

	while (text < end) {
		struct glyph g = glyph_at(text);

		width += g.columns;
		text += g.used;
	}
	return width;
}

uint32_t term_width(const char *name)
{
	return width_of(name, strlen(name));
}

/* Adds characters while they fit `width`; the columns that they took. */
static uint32_t add_start(struct text *text, const char *name, uint32_t width)
{
	uint32_t taken = 0;

	while (*name) {
		struct glyph g = glyph_at(name);

		if (taken + g.columns > width)
			break;
		text_add_bytes(text, g.text, g.len);
		taken += g.columns;
		name += g.used;
	}
	return taken;
}

/* The longest end of `name`, whose whole width is `whole`, that fits `width`. */
static const char *end_of(const char *name, uint32_t whole, uint32_t width)
{
	while (whole > width) {
		struct glyph g = glyph_at(name);

		whole -= g.columns;
		name += g.used;
	}
	return name;
}

void term_name(struct text *text, const char *name, uint32_t width)
{
	uint32_t whole = term_width(name), taken;

	if (width == 0 || whole <= width) {
		taken = add_start(text, name, whole);
	} else if (width < 8) {
		taken = add_start(text, name, width);
	} else {
		taken = add_start(text, name, (width - 3) / 2);
		text_add(text, "...");
		taken += 3;
		taken += add_start(text, end_of(name, whole, width - taken), width - taken);
	}
	if (width > taken)
		text_pad(text, ' ', width - taken);
}

void term_wrap(struct text *text, const char *message, uint32_t columns, uint32_t indent)
{
	uint32_t at = indent;

	while (*message) {
		size_t len = strcspn(message, " ");
		uint32_t width = width_of(message, len);

		if (columns && at > indent && at + 1 + width > columns) {
			text_add(text, "\n");
			text_pad(text, ' ', indent);
			at = indent;
		} else if (at > indent) {
			text_add(text, " ");
			at++;
		}
		text_add_bytes(text, message, len);
		at += width;
		message += len;
		message += *message == ' ';
	}
}

int term_write(struct text *text, FILE *stream)
{
	int code = text->failed ? -ENOMEM : 0;

	errno = 0;
	if (code == 0 && text->len && (fwrite(text->ptr, 1, text->len, stream) != text->len || fflush(stream) != 0))
		code = errno ? -errno : -EIO;
	text_free(text);
	*text = TEXT_EMPTY;
	return code;
}

int term_output(struct text *text, struct error *err)
{
	int code = term_write(text, stdout);

	if (code == -ENOMEM)
		return error_nomem(err);
	return code < 0 ? error_set(err, code, "writing: %s", strerror(-code)) : 0;
}
