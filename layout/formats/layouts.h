/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The distinct layouts of a strategy: 20,000 parameters share a few, and equal ones become one object, so that layouts are
 * compared by address from there on.
 *
 * Invariant: no two layouts of a table are equal, by all that strategy files say of them; they are numbered as they came.
 */
#ifndef LAYOUT_LAYOUTS_H
#define LAYOUT_LAYOUTS_H

#include "layout/formats/strategy.h"

#define LAYOUTS_TEXT 512

struct layouts {
	struct arena *arena;         /* of the table and of the layouts */
	const struct layout **slot;  /* [1 << bits], at most half full */
	uint32_t count, bits;
};

/* An empty table. */
struct layouts layouts_new(struct arena *arena);

/* The table's layout that equals `layout`, copied into the arena if it is new; NULL without memory. */
const struct layout *layouts_intern(struct layouts *layouts, const struct layout *layout);

/* The field in which two layouts differ, as strategy files call it; NULL when they are equal. A static string. */
const char *layouts_difference(const struct layout *a, const struct layout *b);

/* A layout as a message shows it, "dev_matrix [2, 4], tensor_map [0, -1], ...", into `out` [LAYOUTS_TEXT], which is returned. */
const char *layouts_text(const struct layout *layout, char *out);

#endif
