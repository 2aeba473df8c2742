/* SPDX-License-Identifier: Apache-2.0 */
/* What gatherfs stats has found, as a table with a histogram, and as JSON. */
#ifndef FS_STATS_WRITE_H
#define FS_STATS_WRITE_H

#include "fs/base/term.h"
#include "layout/checkpoint/checkpoint.h"
#include "layout/values/histogram.h"
#include "layout/values/moments.h"

struct stats_write {
	const struct tensor **tensor; /* [count] */
	struct moments *of;           /* [count] */
	uint64_t count, counted;      /* the first `counted` are looked at together; counters outside the strategy are not */
	struct moments all;           /* of those */
	struct histogram histogram;   /* likewise */
	bool has_histogram;           /* false with -q, and where there are no numbers, or they are too far apart */
};

/* A line for each tensor; with `more` titles, totals and the histogram too. */
void stats_write_text(const struct stats_write *s, bool more, struct text *out);

/* The same as JSON. What is not finite is null. */
void stats_write_json(const struct stats_write *s, struct text *out);

#endif
