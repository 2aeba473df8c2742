/* SPDX-License-Identifier: Apache-2.0 */
/* See replicas.h. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "layout/checkpoint/replicas.h"

static int compare_cuts(const struct grid *a, const struct grid *b)
{
	if (a->cuts == b->cuts || a->axes == 0)
		return 0;
	return memcmp(a->cuts, b->cuts, a->axes * sizeof(*a->cuts)); /* both are of one tensor, so of as many axes */
}

/* Only copies of one tensor are compared. */
static int by_group(const void *x, const void *y)
{
	const struct copies_one *a = &((const struct replica *)x)->copy, *b = &((const struct replica *)y)->copy;
	int cuts = compare_cuts(a->grid, b->grid);

	if (cuts)
		return cuts;
	if (a->block != b->block)
		return a->block < b->block ? -1 : 1;
	if (a->stage != b->stage)
		return a->stage < b->stage ? -1 : 1;
	return a->rank < b->rank ? -1 : a->rank > b->rank;
}

static bool same_group(const struct replica *a, const struct replica *b)
{
	return a->tensor == b->tensor && a->copy.block == b->copy.block && compare_cuts(a->copy.grid, b->copy.grid) == 0;
}

static void take_tensor(struct replicas *r, const struct tensor *t, bool outside)
{
	struct replica *first = &r->list[r->count];
	struct copies walk = copies_of(t);
	struct copies_one copy;
	uint64_t n = 0;

	for (; copies_next(&walk, &copy); n++)
		first[n] = (struct replica){ .tensor = t, .copy = copy, .bytes = t->bytes / copy.grid->blocks, .outside = outside };
	qsort(first, n, sizeof(*first), by_group);
	for (uint64_t i = 0; i < n; i++) {
		first[i].group = i > 0 && same_group(&first[i - 1], &first[i]) ? first[i - 1].group : r->count + i;
		r->chunk_count += (first[i].bytes + REPLICAS_CHUNK - 1) / REPLICAS_CHUNK;
		r->bytes += first[i].bytes;
	}
	r->count += n;
}

static void cut_copies(struct replicas *r)
{
	struct replica_chunk *c = r->chunks;

	for (uint64_t i = 0; i < r->count; i++) {
		struct replica *one = &r->list[i];

		one->first_chunk = (uint64_t)(c - r->chunks);
		for (uint64_t at = 0, len; at < one->bytes; at += len) {
			len = one->bytes - at < REPLICAS_CHUNK ? one->bytes - at : REPLICAS_CHUNK;
			*c++ = (struct replica_chunk){ .replica = i, .address = one->copy.piece.offset + at, .at = at, .len = (uint32_t)len,
						       .source = one->copy.piece.source };
		}
	}
	r->list[r->count].first_chunk = r->chunk_count;
}

static int by_place(const void *x, const void *y, void *chunks)
{
	const struct replica_chunk *all = chunks, *a = &all[*(const uint64_t *)x], *b = &all[*(const uint64_t *)y];

	if (a->source != b->source)
		return a->source < b->source ? -1 : 1;
	return a->address < b->address ? -1 : a->address > b->address;
}

static void make_tasks(struct replicas *r)
{
	uint64_t bytes = REPLICAS_TASK, n = 0;

	for (uint64_t i = 0; i < r->chunk_count; i++) {
		const struct replica_chunk *c = &r->chunks[r->order[i]];

		if (bytes >= REPLICAS_TASK || (i > 0 && r->chunks[r->order[i - 1]].source != c->source)) {
			r->tasks[n++] = i;
			bytes = 0;
		}
		bytes += c->len;
	}
	r->tasks[n] = r->chunk_count;
	r->task_count = n;
}

int replicas_make(const struct checkpoint *ckpt, struct arena *arena, struct replicas *r)
{
	uint64_t count = 0;

	*r = (struct replicas){ 0 };
	for (uint64_t i = 0; i < ckpt->count; i++)
		count += copies_count(&ckpt->tensors[i]);
	for (uint64_t i = 0; i < ckpt->outside_count; i++)
		count += copies_count(&ckpt->outside[i]);
	r->list = arena_alloc(arena, count + 1, sizeof(*r->list));
	if (!r->list)
		return -ENOMEM;
	for (uint64_t i = 0; i < ckpt->count; i++)
		take_tensor(r, &ckpt->tensors[i], false);
	for (uint64_t i = 0; i < ckpt->outside_count; i++)
		take_tensor(r, &ckpt->outside[i], true);
	r->chunks = arena_alloc(arena, r->chunk_count, sizeof(*r->chunks));
	r->order = arena_alloc(arena, r->chunk_count, sizeof(*r->order));
	r->tasks = arena_alloc(arena, r->chunk_count + 1, sizeof(*r->tasks));
	if (!r->chunks || !r->order || !r->tasks)
		return -ENOMEM;
	cut_copies(r);
	for (uint64_t i = 0; i < r->chunk_count; i++)
		r->order[i] = i;
	qsort_r(r->order, r->chunk_count, sizeof(*r->order), by_place, r->chunks);
	make_tasks(r);
	return 0;
}

uint64_t replicas_group_end(const struct replicas *r, uint64_t first)
{
	uint64_t end = first;

	while (end < r->count && r->list[end].group == first)
		end++;
	return end;
}

bool replicas_is_compared(const struct replicas *r, uint64_t replica)
{
	uint64_t group = r->list[replica].group;

	return group != replica || (replica + 1 < r->count && r->list[replica + 1].group == group);
}

void replicas_index(const struct replica *replica, uint64_t element, uint64_t *index)
{
	struct box box;

	box_of_block(replica->copy.grid, replica->tensor->shape, replica->copy.block, &box);
	for (uint32_t a = box.axes; a-- > 0;) {
		index[a] = box.start[a] + element % box.count[a];
		element /= box.count[a];
	}
}

/* `bits` (at most 8) bits from bit `at` on. */
static uint32_t bits_at(const uint8_t *data, uint64_t len, uint64_t at, uint32_t bits)
{
	uint32_t two = data[at / 8];

	if (at / 8 + 1 < len)
		two |= (uint32_t)data[at / 8 + 1] << 8;
	return two >> at % 8 & ((1u << bits) - 1);
}

uint64_t replicas_difference(enum dtype dtype, const uint8_t *a, const uint8_t *b, uint64_t len)
{
	uint32_t bits = dtype_bits(dtype);
	uint64_t byte = 0, element;

	while (byte < len && a[byte] == b[byte])
		byte++;
	if (byte == len)
		return UINT64_MAX;
	element = byte * 8 / bits;
	while (bits < 8 && bits_at(a, len, element * bits, bits) == bits_at(b, len, element * bits, bits))
		element++;
	return element;
}
