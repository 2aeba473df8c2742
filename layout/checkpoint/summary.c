/* SPDX-License-Identifier: Apache-2.0 */
/* See summary.h. */
#include <string.h>

#include "layout/checkpoint/describe.h"
#include "layout/checkpoint/summary.h"

static bool same_matrix(const struct layout *a, const struct layout *b)
{
	return a == b || (a->matrix_axes == b->matrix_axes && memcmp(a->matrix, b->matrix, a->matrix_axes * sizeof(*a->matrix)) == 0);
}

static void count_matrix(struct summary *s, const struct layout *layout)
{
	uint32_t i = 0;

	while (i < s->matrix_count && !same_matrix(s->matrix[i].layout, layout))
		i++;
	if (i == SUMMARY_MATRICES) {
		s->more_matrices = true;
		return;
	}
	s->matrix[i].layout = layout;
	s->matrix[i].tensors++;
	s->matrix_count += i == s->matrix_count;
}

static void count(struct summary *s, const struct tensor *t)
{
	s->elements += describe_elements(t);
	s->bytes += t->bytes;
	s->held += describe_held_bytes(t);
	s->dtype[t->dtype].tensors++;
	s->dtype[t->dtype].bytes += t->bytes;
	if (t->holding_count && t->holdings[0].layout)
		count_matrix(s, t->holdings[0].layout);
}

void summary_of(const struct checkpoint *ckpt, struct summary *out)
{
	*out = (struct summary){ 0 };
	for (uint64_t i = 0; i < ckpt->count; i++)
		count(out, &ckpt->tensors[i]);
	for (uint64_t i = 0; i < ckpt->outside_count; i++)
		count(out, &ckpt->outside[i]);
	for (uint64_t i = 0; i < ckpt->meta_count; i++)
		out->deduplicated |= strcmp(ckpt->meta[i].key, "remove_redundancy") == 0 && strcmp(ckpt->meta[i].value, "True") == 0;
}
