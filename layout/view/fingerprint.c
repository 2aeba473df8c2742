/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A view may name a tensor of a thousand pieces in each of a thousand files, so pieces go in once, with the checkpoint, and a file
 * names the tensor. The copies of a tensor outside the strategy are of one piece, which goes in with the name.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <xxhash.h>

#include "layout/names/weave.h"
#include "layout/view/fingerprint.h"

/* Where libxxhash has it, this one chooses the widest instructions of the processor at run time: three times as fast. */
XXH_errorcode XXH3_128bits_update_dispatch(XXH3_state_t *state, const void *ptr, size_t len) __attribute__((weak));

struct fingerprint_state *fingerprint_begin(void)
{
	XXH3_state_t *state = XXH3_createState();

	if (state)
		XXH3_128bits_reset(state);
	return (struct fingerprint_state *)state;
}

void fingerprint_add(struct fingerprint_state *state, const void *ptr, uint64_t len)
{
	if (XXH3_128bits_update_dispatch)
		XXH3_128bits_update_dispatch((XXH3_state_t *)state, ptr, len);
	else
		XXH3_128bits_update((XXH3_state_t *)state, ptr, len);
}

struct fingerprint fingerprint_end(struct fingerprint_state *state)
{
	XXH128_hash_t hash = XXH3_128bits_digest((XXH3_state_t *)state);

	XXH3_freeState((XXH3_state_t *)state);
	return (struct fingerprint){ hash.high64, hash.low64 };
}

void fingerprint_add_number(struct fingerprint_state *state, uint64_t n)
{
	uint8_t le[8];

	for (int i = 0; i < 8; i++)
		le[i] = (uint8_t)(n >> 8 * i);
	fingerprint_add(state, le, sizeof(le));
}

void fingerprint_add_text(struct fingerprint_state *state, const char *text)
{
	fingerprint_add(state, text, strlen(text) + 1);
}

static void add_piece(struct fingerprint_state *state, const struct piece *piece)
{
	fingerprint_add_number(state, piece->source);
	fingerprint_add_number(state, piece->offset);
}

static void add_grid(struct fingerprint_state *state, const struct grid *grid)
{
	fingerprint_add_number(state, grid->axes);
	for (uint32_t i = 0; i < grid->axes; i++)
		fingerprint_add_number(state, grid->cuts[i]);
}

static void add_numbers(struct fingerprint_state *state, const uint64_t *list, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		fingerprint_add_number(state, list[i]);
}

/* A tensor that the sources hold. */
static void add_held(struct fingerprint_state *state, const struct tensor *t)
{
	fingerprint_add_number(state, t->dtype);
	add_grid(state, &t->grid);
	add_numbers(state, t->shape, t->axes);
	if (t->literal)
		fingerprint_add(state, t->literal, t->bytes);
	for (uint32_t i = 0; !t->literal && i < t->grid.blocks; i++)
		add_piece(state, &t->pieces[i]);
}

static void add_part(struct fingerprint_state *state, const struct weave_part *part, uint32_t factors, const struct tensor *source)
{
	add_numbers(state, part->start, factors);
	add_numbers(state, part->count, factors);
	add_numbers(state, part->step, factors);
	add_numbers(state, part->base, source->axes);
	for (uint32_t i = 0; i < factors; i++)
		fingerprint_add_number(state, part->axis[i]);
	add_held(state, source);
}

static void add_woven(struct fingerprint_state *state, const struct tensor *t)
{
	const struct weave *w = t->woven->weave;

	fingerprint_add_number(state, w->factors);
	add_numbers(state, w->shape, w->factors);
	for (uint32_t i = 0; i < w->factors; i++)
		fingerprint_add_number(state, w->of[i]);
	fingerprint_add_number(state, w->count);
	for (uint32_t i = 0; i < w->count; i++)
		add_part(state, &w->parts[i], w->factors, t->woven->of[i]);
}

static void add_tensors(struct fingerprint_state *state, const struct tensor *tensors, uint64_t count)
{
	fingerprint_add_number(state, count);
	for (uint64_t i = 0; i < count; i++) {
		fingerprint_add_text(state, tensors[i].name);
		fingerprint_add_number(state, tensors[i].woven != NULL);
		if (tensors[i].woven)
			add_woven(state, &tensors[i]);
		else
			add_held(state, &tensors[i]);
	}
}

static void add_extent(struct fingerprint_state *state, const struct image *image, uint64_t i)
{
	struct extent extent = image_extent(image, i), *e = &extent;

	fingerprint_add_number(state, e->kind);
	fingerprint_add_number(state, e->offset);
	switch (e->kind) {
	case EXTENT_LITERAL:
		fingerprint_add(state, e->literal, image_extent_len(image, i));
		break;
	case EXTENT_BLOCK:
		fingerprint_add_text(state, e->tensor->name);
		if (e->tensor->pieces)
			add_piece(state, &e->tensor->pieces[0]);
		add_grid(state, e->grid);
		fingerprint_add_number(state, e->block);
		break;
	case EXTENT_RANGE:
		add_piece(state, &e->range);
		break;
	default: /* only in lists that images share */
		break;
	}
}

void fingerprint_add_view(struct fingerprint_state *state, const struct view *view, const struct checkpoint *checkpoint)
{
	add_tensors(state, checkpoint ? checkpoint->tensors : NULL, checkpoint ? checkpoint->count : 0);
	add_tensors(state, checkpoint ? checkpoint->outside : NULL, checkpoint ? checkpoint->outside_count : 0);
	fingerprint_add_number(state, view->count);
	for (uint64_t f = 0; f < view->count; f++) {
		const struct image *image = view->files[f].image;

		fingerprint_add_text(state, view->files[f].path);
		fingerprint_add_number(state, image->size);
		fingerprint_add_number(state, image->count);
		for (uint64_t i = 0; i < image->count; i++)
			add_extent(state, image, i);
	}
}

bool fingerprint_equal(struct fingerprint a, struct fingerprint b)
{
	return a.high == b.high && a.low == b.low;
}

const char *fingerprint_write(struct fingerprint f, char *out)
{
	snprintf(out, FINGERPRINT_TEXT, "%016" PRIx64 "%016" PRIx64, f.high, f.low);
	return out;
}

/* 16 digits. */
static bool parse_half(const char *text, uint64_t *out)
{
	static const char digits[] = "0123456789abcdef";

	*out = 0;
	for (int i = 0; i < 16; i++) {
		const char *at = text[i] ? strchr(digits, text[i]) : NULL;

		if (!at)
			return false;
		*out = *out << 4 | (uint64_t)(at - digits);
	}
	return true;
}

bool fingerprint_parse(const char *text, struct fingerprint *out)
{
	return parse_half(text, &out->high) && parse_half(text + 16, &out->low);
}
