/* SPDX-License-Identifier: Apache-2.0 */
/* Open addressing over XXH3 of the numbers in the file; what the parser computed from them need not be compared. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <xxhash.h>

#include "layout/formats/layouts.h"

struct layouts layouts_new(struct arena *arena)
{
	return (struct layouts){ .arena = arena };
}

/* How many device axes the tensor map names. */
static uint32_t map_size(const struct layout *l)
{
	uint32_t n = 0;

	for (uint32_t a = 0; a < l->axes; a++)
		n += l->map_len[a];
	return n;
}

static bool same_numbers(const uint32_t *a, const uint32_t *b, uint32_t count)
{
	return count == 0 || memcmp(a, b, count * sizeof(*a)) == 0;
}

const char *layouts_difference(const struct layout *a, const struct layout *b)
{
	if (a->matrix_axes != b->matrix_axes || !same_numbers(a->matrix, b->matrix, a->matrix_axes))
		return "dev_matrix";
	if (a->nested != b->nested || a->axes != b->axes || !same_numbers(a->map_len, b->map_len, a->axes) ||
	    !same_numbers(a->map, b->map, map_size(a)))
		return "tensor_map";
	if (a->opt_step != b->opt_step)
		return "opt_weight_shard_step";
	return a->opt_size != b->opt_size ? "opt_weight_shard_size" : NULL;
}

static uint64_t hash(const struct layout *l)
{
	const int32_t numbers[] = { (int32_t)l->matrix_axes, (int32_t)l->axes, l->opt_step, l->opt_size, l->nested };
	uint64_t h = XXH3_64bits(numbers, sizeof(numbers));

	h = XXH3_64bits_withSeed(l->matrix, l->matrix_axes * sizeof(*l->matrix), h);
	h = XXH3_64bits_withSeed(l->map_len, l->axes * sizeof(*l->map_len), h);
	return XXH3_64bits_withSeed(l->map, map_size(l) * sizeof(*l->map), h);
}

/* The slot that holds an equal layout, or the empty one where it belongs. */
static const struct layout **probe(const struct layouts *t, const struct layout *layout)
{
	uint64_t mask = (UINT64_C(1) << t->bits) - 1, at = hash(layout) & mask;

	while (t->slot[at] && layouts_difference(t->slot[at], layout))
		at = (at + 1) & mask;
	return &t->slot[at];
}

static bool grow(struct layouts *t)
{
	struct layouts next = *t;

	next.bits = t->bits ? t->bits + 1 : 5;
	next.slot = arena_alloc(t->arena, UINT64_C(1) << next.bits, sizeof(*next.slot));
	if (!next.slot)
		return false;
	for (uint64_t i = 0; t->bits && i < UINT64_C(1) << t->bits; i++)
		if (t->slot[i])
			*probe(&next, t->slot[i]) = t->slot[i];
	*t = next;
	return true;
}

static const uint32_t *copy_numbers(struct arena *arena, const uint32_t *numbers, uint32_t count)
{
	uint32_t *copy = arena_alloc(arena, count, sizeof(*copy));

	if (copy && count)
		memcpy(copy, numbers, count * sizeof(*copy));
	return copy;
}

static const struct layout *copy(struct arena *arena, const struct layout *layout, uint32_t number)
{
	struct layout *l = arena_alloc(arena, 1, sizeof(*l));

	if (!l)
		return NULL;
	*l = *layout;
	l->number = number;
	l->matrix = copy_numbers(arena, layout->matrix, l->matrix_axes);
	l->map_len = copy_numbers(arena, layout->map_len, l->axes);
	l->map = copy_numbers(arena, layout->map, map_size(layout));
	l->grid.cuts = copy_numbers(arena, layout->grid.cuts, l->axes);
	return l->matrix && l->map_len && l->map && l->grid.cuts ? l : NULL;
}

const struct layout *layouts_intern(struct layouts *layouts, const struct layout *layout)
{
	const struct layout **slot;

	if (layouts->bits == 0 && !grow(layouts))
		return NULL;
	slot = probe(layouts, layout);
	if (*slot)
		/* cppcheck-suppress identicalInnerCondition ; it takes what a function returns for a condition */
		return *slot;
	if ((layouts->count + 1) * 2 > UINT32_C(1) << layouts->bits) {
		if (layouts->bits == 31 || !grow(layouts))
			return NULL;
		slot = probe(layouts, layout);
	}
	*slot = copy(layouts->arena, layout, layouts->count);
	if (*slot)
		layouts->count++;
	return *slot;
}

static void add(char *out, size_t *at, const char *format, ...)
{
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(out + *at, LAYOUTS_TEXT - *at, format, args);
	va_end(args);
	*at = n < 0 || (size_t)n >= LAYOUTS_TEXT - *at ? LAYOUTS_TEXT - 1 : *at + (size_t)n;
}

const char *layouts_text(const struct layout *layout, char *out)
{
	const uint32_t *map = layout->map;
	const char *open = layout->nested ? "[" : "", *close = layout->nested ? "]" : "";
	size_t at = 0;

	for (uint32_t i = 0; i < layout->matrix_axes; i++)
		add(out, &at, i ? ", %u" : "dev_matrix [%u", layout->matrix[i]);
	add(out, &at, "], tensor_map [");
	for (uint32_t a = 0; a < layout->axes; a++) {
		add(out, &at, a ? ", %s" : "%s", open);
		for (uint32_t i = 0; i < layout->map_len[a]; i++)
			add(out, &at, i ? ", %u" : "%u", layout->matrix_axes - 1 - *map++);
		add(out, &at, layout->map_len[a] ? "%s" : "-1%s", close);
	}
	add(out, &at, "], opt_weight_shard_step %d, opt_weight_shard_size %d", layout->opt_step, layout->opt_size);
	return out;
}
