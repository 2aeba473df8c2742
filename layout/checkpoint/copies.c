/* SPDX-License-Identifier: Apache-2.0 */
/* See copies.h. */
#include "layout/checkpoint/copies.h"

struct copies copies_of(const struct tensor *tensor)
{
	return (struct copies){ .tensor = tensor };
}

/* The pieces themselves, one for each block. */
static bool next_piece(struct copies *walk, struct copies_one *out)
{
	const struct tensor *t = walk->tensor;

	if (!t->pieces || walk->at == t->grid.blocks)
		return false;
	*out = (struct copies_one){ .grid = &t->grid, .rank = COPIES_NO_RANK, .block = walk->at, .piece = t->pieces[walk->at], .serves = true };
	walk->at++;
	return true;
}

static bool serves(const struct tensor *t, const struct copies_one *one)
{
	const struct piece *p = t->pieces && one->block < t->grid.blocks ? &t->pieces[one->block] : NULL;

	return p && p->source == one->piece.source && p->offset == one->piece.offset;
}

bool copies_next(struct copies *walk, struct copies_one *out)
{
	const struct tensor *t = walk->tensor;
	const struct checkpoint_holding *h;
	const struct checkpoint_copy *copy;

	if (t->holding_count == 0)
		return next_piece(walk, out);
	while (walk->holding < t->holding_count && walk->at == t->holdings[walk->holding].copies.count) {
		walk->holding++;
		walk->at = 0;
	}
	if (walk->holding == t->holding_count)
		return false;
	h = &t->holdings[walk->holding];
	copy = &h->copies.list[walk->at++];
	*out = (struct copies_one){ .grid = h->layout ? &h->layout->grid : &t->grid, .stage = h->stage, .rank = copy->rank,
				    .block = checkpoint_block(h, copy->rank), .piece = copy->piece };
	out->serves = serves(t, out);
	return true;
}

uint64_t copies_count(const struct tensor *tensor)
{
	uint64_t count = 0;

	if (tensor->holding_count == 0)
		return tensor->pieces ? tensor->grid.blocks : 0;
	for (uint32_t i = 0; i < tensor->holding_count; i++)
		count += tensor->holdings[i].copies.count;
	return count;
}
