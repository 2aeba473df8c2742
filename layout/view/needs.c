/* SPDX-License-Identifier: Apache-2.0 */
#include "layout/view/needs.h"
#include "layout/view/plan.h"

#define ROWS_MAX 65536 /* looked at for one list: where elements lie far apart, that is soon more than there is time for */

/* True when [lo, hi) could be one range with `n`. */
static bool is_near(const struct need *n, uint64_t lo, uint64_t hi)
{
	return lo <= n->hi + NEEDS_GAP && n->lo <= hi + NEEDS_GAP;
}

/* Joins [lo, hi) with a range that is near, or appends it; false when the list is full. */
static bool add(struct needs *needs, uint32_t source, uint64_t lo, uint64_t hi)
{
	for (uint32_t i = needs->count; i-- > 0;) {
		struct need *n = &needs->list[i];

		if (n->source != source || !is_near(n, lo, hi))
			continue;
		n->lo = lo < n->lo ? lo : n->lo;
		n->hi = hi > n->hi ? hi : n->hi;
		return true;
	}
	if (needs->count == NEEDS_MAX)
		return false;
	needs->list[needs->count++] = (struct need){ lo, hi, source };
	return true;
}

/* Takes rows until the list is full or `most` have been looked at; how many may still be. */
static uint64_t add_run(struct needs *needs, const struct run *run, uint64_t most)
{
	uint64_t rows = run->rows, step = run->src_stride;

	if (rows == 1 || step <= run->len + NEEDS_GAP)
		return add(needs, run->source, run->src, run->src + (rows - 1) * (rows > 1 ? step : 0) + run->len) ? most - 1 : 0;
	for (uint64_t i = 0; i < rows && most > 0; i++, most--)
		if (!add(needs, run->source, run->src + i * step, run->src + i * step + run->len))
			return 0;
	return most;
}

void needs_find(const struct image *image, uint64_t offset, uint64_t len, struct needs *out)
{
	uint64_t most = ROWS_MAX;
	struct plan plan;
	struct run run;

	out->count = 0;
	plan_begin(&plan, image, offset, len);
	while (most > 0 && plan_next(&plan, &run))
		if (!run.literal)
			most = add_run(out, &run, most);
}
