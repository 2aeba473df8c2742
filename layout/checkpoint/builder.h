/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A checkpoint in the making. While files are added, every parameter of the strategy has a `held` for each stage that lists it, and
 * every tensor beside the strategy has one too: what the first file says of it, and the pieces found so far.
 *
 * Private to checkpoint.c and checkpoint_add.c.
 */
#ifndef LAYOUT_BUILDER_H
#define LAYOUT_BUILDER_H

#include "layout/base/pairs.h"
#include "layout/checkpoint/held.h"
#include "layout/checkpoint/known.h"

struct checkpoint_builder {
	struct arena *arena;     /* of the checkpoint */
	struct arena *scratch;   /* of what is needed while it is built */
	struct checkpoint_options options;
	struct held *sharded;    /* [strategy->count], as the strategy's entries */
	struct held_table whole; /* tensors that the strategy does not know */
	struct known known;      /* headers that came already */
	struct pairs meta, notes;
	uint32_t first_rank;
	uint32_t *here;          /* [strategy->stages]: files of each stage */
	bool deduplicated;       /* a file says that redundancy was removed */
	bool any;
};

/* Why a name is dropped before anything else is asked of it; NULL when it is not. */
const char *builder_dropped(const struct checkpoint_builder *b, const char *name);

/* Notes a name that is left out, and why. 0 or -ENOMEM. */
int builder_note(struct checkpoint_builder *b, const char *name, const char *why);

#endif
