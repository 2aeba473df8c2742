/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A table that numbers names: the first name that is added gets 0, the next new one 1, and so on.
 *
 * Invariants: a name has one number; numbers are dense; names are kept by pointer, not copied.
 */
#ifndef LAYOUT_NAMES_H
#define LAYOUT_NAMES_H

#include <stdbool.h>

#include "layout/base/arena.h"

#define NAMES_NONE UINT32_MAX

struct names {
	struct arena *arena; /* of the table */
	const char **name;   /* [count] by number */
	uint32_t *slot;      /* [1 << bits]: a name's number plus 1, or 0 */
	uint32_t count, capacity, bits;
};

/* An empty table that grows in `arena`. */
struct names names_new(struct arena *arena);

/* The number of `name`, or NAMES_NONE. */
uint32_t names_find(const struct names *names, const char *name);

/* The number of `name`, added if it is new; it must live as long as the table. NAMES_NONE without memory. */
uint32_t names_add(struct names *names, const char *name);

#endif
