/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A walk over every copy of every block of a tensor that its files hold: stage by stage, in the order of ranks. A tensor whose
 * holdings are not known has those copies that serve it, and no ranks.
 */
#ifndef LAYOUT_COPIES_H
#define LAYOUT_COPIES_H

#include "layout/checkpoint/checkpoint.h"

#define COPIES_NO_RANK UINT32_MAX

struct copies {
	const struct tensor *tensor;
	uint32_t holding, at; /* of the next copy */
};

struct copies_one {
	const struct grid *grid; /* how its stage cuts the tensor */
	uint32_t stage, rank;    /* rank: COPIES_NO_RANK where the holdings are not known */
	uint32_t block;          /* in the grid */
	struct piece piece;
	bool serves;             /* it is what a view shows */
};

/* Begins a walk. A woven tensor has no copies of its own. */
struct copies copies_of(const struct tensor *tensor);

/* The next copy; false at the end. */
bool copies_next(struct copies *walk, struct copies_one *out);

/* How many there are. */
uint64_t copies_count(const struct tensor *tensor);

#endif
