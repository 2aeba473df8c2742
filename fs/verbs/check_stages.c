/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stages that share a parameter (tied embeddings) hold the same values. Those that cut it alike are compared block by block like
 * any other copies; here are those that cut it differently, whose whole tensors are gathered and compared.
 */
#include <stdlib.h>
#include <string.h>

#include "fs/model/gather.h"
#include "fs/verbs/checking.h"
#include "layout/checkpoint/describe.h"
#include "layout/view/view.h"

#define WINDOW (UINT64_C(1) << 20) /* bytes compared at a time */

/* A tensor as one stage has it, and an image of nothing else. */
struct side {
	struct tensor tensor;
	struct image *image;
	uint8_t *window;
};

static bool cut_alike(const struct checkpoint_holding *a, const struct checkpoint_holding *b)
{
	return a->layout == b->layout ||
	       (a->layout && b->layout && memcmp(a->layout->grid.cuts, b->layout->grid.cuts, a->layout->axes * sizeof(uint32_t)) == 0);
}

/* The tensor whose pieces are the first copies of the blocks; false when the stage has not all blocks, or without memory. */
static bool take_side(const struct tensor *t, const struct checkpoint_holding *h, struct arena *arena, struct side *out)
{
	const struct grid *uncut = view_uncut(arena);
	uint32_t blocks = h->layout ? h->layout->grid.blocks : 1, found = 0;
	struct piece *pieces = arena_alloc(arena, blocks, sizeof(*pieces));
	bool *have = arena_alloc(arena, blocks, sizeof(*have));

	out->image = image_new(arena, 1);
	out->window = arena_alloc(arena, WINDOW, 1);
	if (!uncut || !pieces || !have || !out->image || !out->window)
		return false;
	for (uint32_t i = 0; i < h->copies.count; i++) {
		uint32_t block = checkpoint_block(h, h->copies.list[i].rank);

		if (have[block])
			continue;
		have[block] = true;
		pieces[block] = h->copies.list[i].piece;
		found++;
	}
	out->tensor = *t;
	out->tensor.pieces = pieces;
	out->tensor.grid = h->layout ? h->layout->grid : uncut[t->axes];
	image_add_block(out->image, &out->tensor, &uncut[t->axes], 0);
	return found == blocks;
}

/* The element that byte `byte` of the whole tensor belongs to; of elements under 8 bits the first. */
static void index_of(const struct tensor *t, uint64_t byte, uint64_t *index)
{
	uint64_t element = byte * 8 / dtype_bits(t->dtype);

	for (uint32_t a = t->axes; a-- > 0;) {
		index[a] = element % t->shape[a];
		element /= t->shape[a];
	}
}

static void tell(struct check *c, const struct tensor *t, const struct checkpoint_holding *const *h, uint64_t byte)
{
	uint64_t *index = arena_alloc(c->arena, t->axes, sizeof(*index));
	struct text where = TEXT_EMPTY;
	struct finding *f;

	c->findings.failed |= !index;
	if (!index)
		return;
	index_of(t, byte, index);
	describe_numbers(&where, index, t->axes);
	f = findings_add(&c->findings, FINDINGS_STAGE, true, "tensor \"%s\": stage %u (rank %u and others) differs from stage %u (rank %u and "
			 "others), first at %s", t->name, h[1]->stage, h[1]->copies.list[0].rank, h[0]->stage, h[0]->copies.list[0].rank,
			 where.ptr ? where.ptr : "[]");
	c->findings.failed |= where.failed;
	text_free(&where);
	f->tensor = t->name;
	f->index = index;
	f->axes = t->axes;
}

/* The first byte in which the two differ, t->bytes when none does; a read that fails was told before. */
static uint64_t first_difference(const struct check *c, struct gather *g, const struct side *a, const struct side *b)
{
	uint64_t bytes = a->tensor.bytes, i;
	struct error err;
	uint32_t source;

	for (uint64_t at = 0, len; at < bytes; at += len) {
		struct gather_range x = { c->model, a->image, at, len = bytes - at < WINDOW ? bytes - at : WINDOW, a->window };
		struct gather_range y = { c->model, b->image, at, len, b->window };

		if (gather_bytes(g, &x, &source, &err) < 0 || gather_bytes(g, &y, &source, &err) < 0)
			return bytes;
		if (memcmp(a->window, b->window, len) == 0)
			continue;
		for (i = 0; a->window[i] == b->window[i];)
			i++;
		return at + i;
	}
	return bytes;
}

static void compare(struct check *c, struct gather *g, const struct tensor *t, const struct checkpoint_holding *a,
		    const struct checkpoint_holding *b)
{
	const struct checkpoint_holding *const both[] = { a, b };
	struct arena *arena = arena_new();
	struct side x, y;
	uint64_t at;

	c->findings.failed |= !arena;
	if (arena && take_side(t, a, arena, &x) && take_side(t, b, arena, &y)) {
		at = first_difference(c, g, &x, &y);
		c->compared++;
		if (at < t->bytes)
			tell(c, t, both, at);
	}
	arena_free(arena);
}

void check_stages(struct check *c)
{
	const struct checkpoint *ckpt = c->model->checkpoint;
	struct gather *g = gather_new();

	c->findings.failed |= !g;
	for (uint64_t i = 0; g && i < ckpt->count; i++) {
		const struct tensor *t = &ckpt->tensors[i];

		for (uint32_t s = 1; s < t->holding_count; s++)
			if (!cut_alike(&t->holdings[0], &t->holdings[s]))
				compare(c, g, t, &t->holdings[0], &t->holdings[s]);
	}
	gather_free(g);
}
