/* SPDX-License-Identifier: Apache-2.0 */
/* The first file that has a tensor decides what it is; every later one must say the same. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "layout/held.h"

struct held held_new(const char *name, uint32_t blocks)
{
	return (struct held){ .name = name, .blocks = blocks };
}

bool held_is_whole(const struct held *held)
{
	return held->shape && held->found == held->blocks;
}

const char *held_shape_text(char *out, const uint64_t *shape, uint32_t axes)
{
	int at = snprintf(out, HELD_SHAPE_TEXT, "[");

	for (uint32_t a = 0; a < axes && at < HELD_SHAPE_TEXT - 32; a++)
		at += snprintf(out + at, (size_t)(HELD_SHAPE_TEXT - at), a ? ", %llu" : "%llu", (unsigned long long)shape[a]);
	snprintf(out + at, (size_t)(HELD_SHAPE_TEXT - at), "]");
	return out;
}

static int first(struct held *h, const struct safetensors_entry *e, const struct checkpoint_file *file, struct arena *arena)
{
	uint64_t *shape = arena_alloc(arena, e->axes, sizeof(*shape));

	h->pieces = arena_alloc(arena, h->blocks, sizeof(*h->pieces));
	if (!shape || !h->pieces)
		return -ENOMEM;
	for (uint32_t i = 0; i < h->blocks; i++)
		h->pieces[i].source = HELD_NO_SOURCE;
	if (e->axes)
		memcpy(shape, e->shape, e->axes * sizeof(*shape));
	h->shape = shape;
	h->axes = e->axes;
	h->dtype = e->dtype;
	h->path = file->path;
	h->rank = file->rank;
	h->outside = file->outside;
	return 0;
}

int held_agrees(const struct held *held, const struct safetensors_entry *entry, struct error *err)
{
	char have[HELD_SHAPE_TEXT], want[HELD_SHAPE_TEXT];

	if (entry->dtype != held->dtype)
		return error_set(err, -EINVAL, "tensor \"%s\": dtype %s, but %s has it as %s", held->name, dtype_name(entry->dtype),
				 held->path, dtype_name(held->dtype));
	if (entry->axes != held->axes || (entry->axes && memcmp(entry->shape, held->shape, entry->axes * sizeof(*entry->shape)) != 0))
		return error_set(err, -EINVAL, "tensor \"%s\": shape %s, but %s has it as %s", held->name,
				 held_shape_text(have, entry->shape, entry->axes), held->path, held_shape_text(want, held->shape, held->axes));
	return 0;
}

int held_add(struct held *held, const struct safetensors_entry *entry, const struct checkpoint_file *file, uint32_t block,
	     struct arena *arena, struct error *err)
{
	if (held->shape) {
		int code = held_agrees(held, entry, err);

		if (code < 0)
			return code;
	} else if (first(held, entry, file, arena) < 0) {
		return error_nomem(err);
	}
	if (held->pieces[block].source == HELD_NO_SOURCE) {
		held->pieces[block] = (struct piece){ .offset = entry->begin, .source = file->source };
		held->found++;
	}
	return 0;
}
