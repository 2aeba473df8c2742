/* SPDX-License-Identifier: Apache-2.0 */
/* The distance is Levenshtein's, with one row of the table; long words cannot be typing mistakes and are not compared. */
#include <string.h>

#include "fs/options/suggest.h"

#define LONGEST 31

static uint32_t min3(uint32_t a, uint32_t b, uint32_t c)
{
	uint32_t m = a < b ? a : b;

	return m < c ? m : c;
}

static uint32_t distance(const char *a, const char *b)
{
	uint32_t row[LONGEST + 1], n = (uint32_t)strlen(b);

	for (uint32_t j = 0; j <= n; j++)
		row[j] = j;
	for (uint32_t i = 0; a[i]; i++) {
		uint32_t diagonal = row[0];

		row[0] = i + 1;
		for (uint32_t j = 0; j < n; j++) {
			uint32_t above = row[j + 1];

			row[j + 1] = min3(diagonal + (a[i] != b[j]), above + 1, row[j] + 1);
			diagonal = above;
		}
	}
	return row[n];
}

struct suggest suggest_begin(const char *typed)
{
	return (struct suggest){ .typed = typed, .mistakes = (uint32_t)strnlen(typed, LONGEST) / 3 + 1 };
}

void suggest_offer(struct suggest *s, const char *name)
{
	if (strnlen(s->typed, LONGEST + 1) > LONGEST || strlen(name) > LONGEST)
		return;

	uint32_t mistakes = distance(s->typed, name);

	if (mistakes > s->mistakes || (mistakes == s->mistakes && s->best))
		return;
	s->best = name;
	s->mistakes = mistakes;
}
