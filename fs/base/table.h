/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tables: cells are collected, then each column gets the width of its widest cell. The last column takes what the terminal has left,
 * and is cut in its middle to fit; in a pipe nothing is cut.
 *
 * Whatever is in a cell is made harmless (term_name()). Running out of memory shows in the text that the table is written into.
 */
#ifndef FS_TABLE_H
#define FS_TABLE_H

#include "fs/base/term.h"

#define TABLE_COLUMNS 8

struct table_column {
	const char *title;
	bool right;   /* numbers are aligned to the right */
	uint32_t cut; /* most columns of a terminal that it may take; 0: as many as it needs */
};

struct table {
	const struct table_column *columns; /* [count] */
	uint32_t count;
	uint32_t width[TABLE_COLUMNS]; /* of the widest cell so far */
	struct text cells;             /* each with its NUL, row by row */
	uint64_t cell_count;
};

/* An empty table of `count` columns, at most TABLE_COLUMNS. table_free() frees its cells. */
struct table table_new(const struct table_column *columns, uint32_t count);
void table_free(struct table *t);

/* Adds the next cell. */
void table_add(struct table *t, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Writes the rows, under a line of titles with `titled`. */
void table_write(const struct table *t, const struct term *term, bool titled, struct text *out);

#endif
