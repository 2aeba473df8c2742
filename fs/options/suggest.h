/* SPDX-License-Identifier: Apache-2.0 */
/* The name that somebody may have meant: the one with the fewest typing mistakes between it and what was written. */
#ifndef FS_SUGGEST_H
#define FS_SUGGEST_H

#include <stdint.h>

struct suggest {
	const char *typed; /* what was written */
	const char *best;  /* the nearest name so far, NULL while none is near enough */
	uint32_t mistakes; /* of the best */
};

/* Starts looking for names near `typed`; only those with at most a third of its letters wrong count. */
struct suggest suggest_begin(const char *typed);

/* Offers one name. */
void suggest_offer(struct suggest *s, const char *name);

#endif
