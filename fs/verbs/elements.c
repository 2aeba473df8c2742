/* SPDX-License-Identifier: Apache-2.0 */
/* See elements.h. */
#include <stdlib.h>

#include "fs/base/buffer.h"
#include "fs/options/pattern.h"
#include "fs/verbs/elements.h"
#include "layout/checkpoint/describe.h"

int elements_begin(struct elements *e, const struct model *model, uint64_t room, struct arena *arena, struct error *err)
{
	*e = (struct elements){ .model = model, .image = image_new(arena, room), .uncut = view_uncut(arena) };
	e->tensor = arena_alloc(arena, room, sizeof(*e->tensor));
	e->offset = arena_alloc(arena, room, sizeof(*e->offset));
	e->first_chunk = arena_alloc(arena, room + 1, sizeof(*e->first_chunk));
	return e->image && e->uncut && e->tensor && e->offset && e->first_chunk ? 0 : error_nomem(err);
}

void elements_add(struct elements *e, const struct tensor *tensor)
{
	uint64_t chunks = describe_elements(tensor) / ELEMENTS_CHUNK + (describe_elements(tensor) % ELEMENTS_CHUNK > 0);

	e->tensor[e->count] = tensor;
	e->offset[e->count] = e->image->size;
	e->first_chunk[e->count + 1] = e->first_chunk[e->count] + chunks;
	e->count++;
	image_add_block(e->image, tensor, &e->uncut[tensor->axes], 0);
}

/* Those of a list that match. */
static void add_list(struct elements *e, const struct tensor *list, uint64_t count, const char *pattern)
{
	for (uint64_t i = 0; i < count; i++)
		if (pattern_matches(pattern, list[i].name))
			elements_add(e, &list[i]);
}

void elements_add_matching(struct elements *e, const char *pattern)
{
	const struct checkpoint *ckpt = e->model->checkpoint;

	add_list(e, ckpt->tensors, ckpt->count, pattern);
	e->parameters = e->count;
	add_list(e, ckpt->outside, ckpt->outside_count, pattern);
}

uint64_t elements_chunks(const struct elements *e)
{
	return e->first_chunk[e->count];
}

struct elements_chunk elements_chunk(const struct elements *e, uint64_t number)
{
	uint64_t low = 0, high = e->count;
	struct elements_chunk c;
	uint32_t bits;

	while (high - low > 1) { /* the last tensor that begins at or before it: those without elements have no chunk */
		uint64_t middle = low + (high - low) / 2;

		if (e->first_chunk[middle] <= number)
			low = middle;
		else
			high = middle;
	}
	bits = dtype_bits(e->tensor[low]->dtype);
	c = (struct elements_chunk){ .index = low, .first = (number - e->first_chunk[low]) * ELEMENTS_CHUNK };
	c.count = describe_elements(e->tensor[low]) - c.first;
	c.count = c.count < ELEMENTS_CHUNK ? c.count : ELEMENTS_CHUNK;
	c.offset = e->offset[low] + c.first * bits / 8;
	c.bytes = c.count * bits / 8;
	return c;
}

struct elements_reader *elements_reader_new(void)
{
	struct elements_reader *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	r->gather = gather_new();
	r->data = buffer_new(ELEMENTS_BYTES_MAX);
	if (r->gather && r->data)
		return r;
	elements_reader_free(r);
	return NULL;
}

void elements_reader_free(struct elements_reader *r)
{
	if (!r)
		return;
	gather_free(r->gather);
	free(r->data);
	free(r);
}

int elements_read(const struct elements *e, const struct elements_chunk *chunk, struct elements_reader *r, struct error *err)
{
	struct gather_range range = { .model = e->model, .image = e->image, .offset = chunk->offset, .len = chunk->bytes, .dst = r->data };
	uint32_t source;

	return gather_bytes(r->gather, &range, &source, err);
}
