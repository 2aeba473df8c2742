/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pairs of strings with unique keys, in the order of their first appearance; a key's first value stays.
 */
#ifndef LAYOUT_PAIRS_H
#define LAYOUT_PAIRS_H

#include "layout/base/names.h"

struct pair {
	const char *key, *value;
};

struct pairs {
	struct names names; /* of the keys; names.count is how many pairs there are */
	struct pair *pair;  /* by number of the key */
	uint64_t room;
};

/* No pairs yet; what is added is copied into `arena`. */
struct pairs pairs_new(struct arena *arena);

/* Adds a pair unless its key is there already; 0 or -ENOMEM. */
int pairs_add(struct pairs *pairs, const char *key, const char *value);

#endif
