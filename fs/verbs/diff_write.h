/* SPDX-License-Identifier: Apache-2.0 */
/* What gatherfs diff has found, as a table and as JSON. */
#ifndef FS_DIFF_WRITE_H
#define FS_DIFF_WRITE_H

#include "fs/base/term.h"
#include "layout/checkpoint/checkpoint.h"
#include "layout/values/difference.h"

/* One name of either side; NULL where a side has no such tensor. */
struct diff_pair {
	const struct tensor *a, *b;
	bool compared;         /* shapes agree, and so the elements were compared */
	struct difference found;
};

struct diff_write {
	struct diff_pair *pairs; /* [count]: A's in natural order, then those that only B has */
	uint64_t count;
};

/* True when the two are not the same tensor: one missing, another type or shape, or other numbers. */
bool diff_write_differs(const struct diff_pair *pair);

/* How many differ. */
uint64_t diff_write_count(const struct diff_write *w);

/* A line for each that differs; with `more` titles and how many there are too. */
void diff_write_text(const struct diff_write *w, bool more, struct text *out);
void diff_write_json(const struct diff_write *w, struct text *out);

#endif
