/* SPDX-License-Identifier: Apache-2.0 */
/* See table.h. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "fs/base/table.h"

#define GAP 2        /* blanks between columns */
#define LAST_MIN 12  /* columns that the last one gets on the narrowest terminal */

struct table table_new(const struct table_column *columns, uint32_t count)
{
	struct table t = { .columns = columns, .count = count };

	for (uint32_t i = 0; i < count; i++)
		t.width[i] = term_width(columns[i].title);
	return t;
}

void table_free(struct table *t)
{
	text_free(&t->cells);
}

void table_add(struct table *t, const char *format, ...)
{
	uint32_t *widest = &t->width[t->cell_count++ % t->count], width;
	uint64_t begin = t->cells.len;
	char *cell = NULL;
	va_list args;
	int len;

	va_start(args, format);
	len = vasprintf(&cell, format, args);
	va_end(args);
	t->cells.failed |= len < 0;
	text_add_bytes(&t->cells, len < 0 ? "" : cell, len < 0 ? 1 : (uint64_t)len + 1);
	if (len >= 0)
		free(cell);
	width = t->cells.failed ? 0 : term_width(t->cells.ptr + begin);
	*widest = width > *widest ? width : *widest;
}

/* The widths that columns have on this stream; 0 for a last one that needs none. */
static void lay_out(const struct table *t, const struct term *term, uint32_t *width)
{
	uint32_t taken = 0;

	for (uint32_t i = 0; i < t->count; i++) {
		uint32_t cut = t->columns[i].cut;

		width[i] = term->columns && cut && t->width[i] > cut ? cut : t->width[i];
		if (i + 1 < t->count)
			taken += width[i] + GAP;
	}
	if (term->columns == 0)
		width[t->count - 1] = 0;
	else if (taken + width[t->count - 1] > term->columns)
		width[t->count - 1] = taken + LAST_MIN > term->columns ? LAST_MIN : term->columns - taken;
}

static void write_cell(struct text *out, const char *cell, bool right, uint32_t width, bool last)
{
	uint32_t own = term_width(cell);

	if (right && own < width)
		text_pad(out, ' ', width - own);
	term_name(out, cell, last && own < width ? 0 : right && own < width ? own : width);
	if (!last)
		text_pad(out, ' ', GAP);
}

void table_write(const struct table *t, const struct term *term, bool titled, struct text *out)
{
	const char *cell = t->cells.ptr;
	uint32_t width[TABLE_COLUMNS];

	lay_out(t, term, width);
	if (titled) {
		text_add(out, "%s", term_style(term, TERM_BOLD));
		for (uint32_t i = 0; i < t->count; i++)
			write_cell(out, t->columns[i].title, t->columns[i].right, width[i], i + 1 == t->count);
		text_add(out, "%s\n", term_style(term, TERM_PLAIN));
	}
	out->failed |= t->cells.failed;
	for (uint64_t i = 0; i < t->cell_count && !out->failed; i++, cell += strlen(cell) + 1) {
		uint32_t column = (uint32_t)(i % t->count);

		write_cell(out, cell, t->columns[column].right, width[column], column + 1 == t->count);
		if (column + 1 == t->count)
			text_add(out, "\n");
	}
}
