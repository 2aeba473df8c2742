/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the entries of a header mean to a checkpoint that is built: ranks of one stage have the same entries, so names are looked up, and
 * shapes compared, for the first of them only. What is left for each further file is the block that its rank holds, which depends
 * on few layouts.
 *
 * Invariant: the numbers depend on nothing but the entries, the stage and the strategy.
 */
#ifndef LAYOUT_KNOWN_H
#define LAYOUT_KNOWN_H

#include "layout/formats/strategy.h"

#define KNOWN_LEFT_OUT UINT32_MAX      /* nothing more is to be done with the entry */
#define KNOWN_WHOLE (UINT32_MAX - 1)   /* no tensor of the strategy: it has to be looked at in every file */

struct known_header {
	struct known_header *older;
	uint64_t entries; /* checkpoint_file.entries */
	uint64_t count;   /* of them */
	uint32_t stage;
	struct known_entry {
		uint32_t number; /* of the entry in the strategy, or one of the above */
		uint32_t layout; /* of one of the strategy: the number of its layout */
	} entry[];               /* [count] */
};

struct known {
	struct arena *arena;
	struct known_header *newest;
	const struct layout **layouts; /* [layout_count] of the strategy, by number */
	uint32_t *block;               /* [layout_count] that the rank at hand holds */
	uint32_t layout_count;
};

/* `strategy` may be NULL. 0 or -ENOMEM. */
int known_new(const struct strategy *strategy, struct arena *arena, struct known *out);

/* Computes `block` of each layout for the rank that is number `local` of its stage. */
void known_set_rank(struct known *known, uint32_t local);

/* The `count` entries as they came before for this stage, or NULL. */
const struct known_header *known_find(const struct known *known, uint64_t entries, uint32_t stage, uint64_t count);

/* A header of `count` entries that is known as soon as known_add() was called. NULL without memory. */
struct known_header *known_make(struct known *known, uint64_t entries, uint32_t stage, uint64_t count);
void known_add(struct known *known, struct known_header *made);

#endif
