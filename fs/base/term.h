/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a stream can show: whether it is a terminal, how wide, with colours or not; and how names, sizes and numbers are shown in it.
 * In anything but a terminal all is plain and nothing is cut, so that what a pipe gets depends on nothing but the input.
 *
 * Names come from files: term_name() makes them harmless, whatever is in them.
 */
#ifndef FS_TERM_H
#define FS_TERM_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "layout/base/error.h"
#include "layout/base/text.h"

#define TERM_TEXT 32 /* room for a size or a number as text */

struct term {
	bool is_terminal;
	bool colour;      /* a terminal, TERM is not "dumb", and NO_COLOR is unset or empty */
	bool utf8;        /* a terminal, and the locale's characters are UTF-8 */
	uint32_t columns; /* of a terminal, 80 where it does not say; 0 for any other stream: no limit */
};

enum term_style {
	TERM_PLAIN, /* ends the others */
	TERM_BOLD,
	TERM_DIM,
	TERM_RED,
	TERM_GREEN,
	TERM_YELLOW,
	TERM_CYAN,
};

struct term term_of(FILE *stream);

/* What begins a style, or TERM_PLAIN what ends it; "" where there is no colour. A static string. */
const char *term_style(const struct term *term, enum term_style style);

/* "1.25 GiB", "17 B" in `out` [TERM_TEXT], which is returned. */
const char *term_size(char *out, uint64_t bytes);

/* "1,234,567" in `out` [TERM_TEXT], which is returned. */
const char *term_number(char *out, uint64_t n);

/* Columns that the name takes when it is shown whole. */
uint32_t term_width(const char *name);

/*
 * Adds `name` with control characters, and what is not UTF-8, as \xNN. A `width` above 0 says how many columns it gets: a longer name
 * loses its middle, a shorter one is padded with blanks.
 */
void term_name(struct text *text, const char *name, uint32_t width);

/*
 * Adds a message that is harmless already, from column `indent` on: broken at blanks so that no line passes `columns`, and the others
 * indented as far. 0 columns: as it is.
 */
void term_wrap(struct text *text, const char *message, uint32_t columns, uint32_t indent);

/* Writes `text` to the stream and frees it: 0, -ENOMEM when it could not be made, or the errno of writing. */
int term_write(struct text *text, FILE *stream);

/* The same to the standard output, with a message when it fails. */
int term_output(struct text *text, struct error *err);

#endif
