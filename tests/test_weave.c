/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Woven tensors against a reference that walks their elements one by one: it takes the element's coordinates apart into factors,
 * looks for the part among all, and steps through the source as the part says. Factors, parts, transpositions, the grids of the
 * sources and of the image are random, so blocks of either cut across the parts.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "layout/names/weave.h"
#include "layout/view/plan.h"

#define PARTS 6
#define ROOM (1 << 20) /* bytes of all sources */
#define BLOCKS 512     /* most of a source tensor */
#define ELEMENTS 3000  /* most of a woven tensor */

struct drawn_source {
	struct tensor t;
	uint64_t shape[WEAVE_FACTORS];
	uint32_t cuts[WEAVE_FACTORS];
	struct piece piece[BLOCKS];
};

struct world {
	uint64_t seed;
	struct arena *arena;
	uint8_t bytes[3][ROOM]; /* the files */
	uint64_t used[3];
	uint32_t width;         /* bytes of an element */
	enum dtype dtype;
	struct weave weave;
	struct weave_part parts[PARTS];
	struct drawn_source sources[PARTS];
	const struct tensor *of[PARTS];
	struct woven made_of;
	struct tensor woven;
	uint32_t image_cuts[WEAVE_FACTORS];
	struct grid grid;
	struct image *image;
	uint8_t *want;
	uint64_t want_len;
};

static uint64_t draw(struct world *w, uint64_t below)
{
	w->seed = w->seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (w->seed >> 33) % below;
}

static void draw_factors(struct world *w)
{
	uint64_t elements;

	do {
		elements = 1;
		w->weave.factors = 1 + (uint32_t)draw(w, 6);
		for (uint32_t f = 0; f < w->weave.factors; f++) {
			w->weave.shape[f] = 1 + draw(w, draw(w, 3) ? 6 : 14);
			w->weave.of[f] = f == 0 ? 0 : w->weave.of[f - 1] + (draw(w, 2) == 0);
			elements *= w->weave.shape[f];
		}
	} while (elements > ELEMENTS);
}

/* Splits boxes of the factored shape until there are enough. */
static void draw_boxes(struct world *w)
{
	uint32_t wanted = 1 + (uint32_t)draw(w, PARTS);

	w->weave.parts = w->parts;
	w->made_of = (struct woven){ &w->weave, w->of };
	w->weave.count = 1;
	memcpy(w->parts[0].count, w->weave.shape, sizeof(w->weave.shape));
	for (int tries = 0; tries < 20 && w->weave.count < wanted; tries++) {
		struct weave_part *a = &w->parts[draw(w, w->weave.count)], *b = &w->parts[w->weave.count];
		uint32_t f = (uint32_t)draw(w, w->weave.factors);

		if (a->count[f] < 2)
			continue;
		*b = *a;
		a->count[f] = 1 + draw(w, a->count[f] - 1);
		b->start[f] += a->count[f];
		b->count[f] -= a->count[f];
		w->weave.count++;
	}
}

/* The factors of a part in a random order along a random number of axes, with room before, between and behind the elements. */
static void draw_source(struct world *w, uint32_t part)
{
	uint32_t order[WEAVE_FACTORS], n = w->weave.factors, axes = 1 + (uint32_t)draw(w, n);
	struct weave_part *p = &w->parts[part];
	struct drawn_source *s = &w->sources[part];

	for (uint32_t f = 0; f < n; f++)
		order[f] = f;
	if (draw(w, 3))
		for (uint32_t f = n; f > 1; f--) {
			uint32_t k = (uint32_t)draw(w, f), t = order[f - 1];

			order[f - 1] = order[k];
			order[k] = t;
		}
	for (uint32_t a = 0; a < axes; a++)
		s->shape[a] = 1;
	for (uint32_t i = 0; i < n; i++) {
		uint32_t f = order[i], a = (uint32_t)draw(w, axes);

		p->axis[f] = a;
		p->step[f] = p->count[f] == 1 ? 0 : s->shape[a] * (1 + draw(w, 2) * draw(w, 2));
		s->shape[a] += (p->count[f] - 1) * p->step[f];
	}
	for (uint32_t a = 0; a < axes; a++) {
		p->base[a] = draw(w, 2) * draw(w, 3);
		s->cuts[a] = 1 + (uint32_t)(draw(w, 2) * draw(w, 3));
		s->shape[a] += p->base[a] + draw(w, 2);
		s->shape[a] += s->cuts[a] - 1 - (s->shape[a] - 1) % s->cuts[a];
	}
	s->t = (struct tensor){ .name = "s", .shape = s->shape, .axes = axes, .dtype = w->dtype, .pieces = s->piece };
	w->of[part] = &s->t;
}

/* Lays the blocks of a source down in the files; false when there are too many bytes. */
static bool place(struct world *w, struct drawn_source *s)
{
	uint64_t bytes = w->width;

	s->t.grid = (struct grid){ .axes = s->t.axes, .blocks = 1, .cuts = s->cuts };
	for (uint32_t a = 0; a < s->t.axes; a++) {
		bytes *= s->shape[a];
		s->t.grid.blocks *= s->cuts[a];
	}
	s->t.bytes = bytes;
	if (s->t.grid.blocks > BLOCKS || bytes > ROOM / PARTS)
		return false;
	for (uint32_t b = 0; b < s->t.grid.blocks; b++) {
		uint32_t file = (uint32_t)draw(w, 3);

		w->used[file] += draw(w, 3);
		s->piece[b] = (struct piece){ .source = file, .offset = w->used[file] };
		w->used[file] += bytes / s->t.grid.blocks;
		if (w->used[file] > ROOM)
			return false;
	}
	return true;
}

static const uint8_t *element(const struct world *w, uint32_t part, const uint64_t *x)
{
	uint64_t y[WEAVE_FACTORS], in = 0, block = 0;
	const struct weave_part *p = &w->parts[part];
	const struct tensor *t = w->of[part];

	memcpy(y, p->base, sizeof(y));
	for (uint32_t f = 0; f < w->weave.factors; f++)
		y[p->axis[f]] += (x[f] - p->start[f]) * p->step[f];
	for (uint32_t a = 0; a < t->axes; a++) {
		uint64_t width = t->shape[a] / t->grid.cuts[a];

		cr_assert_lt(y[a], t->shape[a]);
		block = block * t->grid.cuts[a] + y[a] / width;
		in = in * width + y[a] % width;
	}
	return w->bytes[t->pieces[block].source] + t->pieces[block].offset + in * w->width;
}

/* The element at `at`: the parts are tried one after the other, and exactly one has it. */
static const uint8_t *look_up(const struct world *w, const uint64_t *at)
{
	uint64_t x[WEAVE_FACTORS], rest[WEAVE_FACTORS];
	const uint8_t *found = NULL;

	memcpy(rest, at, w->woven.axes * sizeof(*rest));
	for (uint32_t f = w->weave.factors; f-- > 0; rest[w->weave.of[f]] /= w->weave.shape[f])
		x[f] = rest[w->weave.of[f]] % w->weave.shape[f];
	for (uint32_t i = 0; i < w->weave.count; i++) {
		const struct weave_part *p = &w->parts[i];
		bool in = true;

		for (uint32_t f = 0; f < w->weave.factors; f++)
			in &= x[f] >= p->start[f] && x[f] < p->start[f] + p->count[f];
		cr_assert_not(in && found);
		if (in)
			found = element(w, i, x);
	}
	cr_assert(found);
	return found;
}

static void want_block(struct world *w, uint32_t block)
{
	struct box box;
	uint64_t count = 1, at[WEAVE_FACTORS];

	box_of_block(&w->grid, w->woven.shape, block, &box);
	for (uint32_t a = 0; a < box.axes; a++)
		count *= box.count[a];
	for (uint64_t i = 0; i < count; i++) {
		uint64_t n = i;

		for (uint32_t a = box.axes; a-- > 0; n /= box.count[a])
			at[a] = box.start[a] + n % box.count[a];
		memcpy(w->want + w->want_len, look_up(w, at), w->width);
		w->want_len += w->width;
	}
}

/* The image has all blocks of a random grid of the woven tensor, or one of them. */
static void draw_image(struct world *w)
{
	uint32_t first = 0, last;

	w->grid = (struct grid){ .axes = w->woven.axes, .blocks = 1, .cuts = w->image_cuts };
	for (uint32_t a = 0; a < w->woven.axes; a++) {
		do
			w->image_cuts[a] = 1 + (uint32_t)(draw(w, 2) * draw(w, w->woven.shape[a]));
		while (w->woven.shape[a] % w->image_cuts[a]);
		w->grid.blocks *= w->image_cuts[a];
	}
	last = w->grid.blocks - 1;
	if (draw(w, 2))
		first = last = (uint32_t)draw(w, w->grid.blocks);
	w->image = image_new(w->arena, last - first + 3);
	w->want = arena_alloc(w->arena, w->woven.bytes + 20, 1);
	image_add_literal(w->image, (struct bytes){ (const uint8_t *)"head", 4 });
	memcpy(w->want, "head", w->want_len = 4);
	for (uint32_t b = first; b <= last; b++) {
		image_add_block(w->image, &w->woven, &w->grid, b);
		want_block(w, b);
	}
	cr_assert_eq(w->image->size, w->want_len);
}

static struct world *world_new(uint64_t seed)
{
	static const enum dtype types[] = { DTYPE_U8, DTYPE_F8_E4M3, DTYPE_BF16, DTYPE_F32, DTYPE_F64 };
	struct world *w = NULL;
	struct error err;
	bool fits;

	do {
		free(w);
		w = calloc(1, sizeof(*w));
		w->seed = seed += UINT64_C(0x9E3779B97F4A7C15);
		w->dtype = types[draw(w, 5)];
		w->width = dtype_bits(w->dtype) / 8;
		draw_factors(w);
		draw_boxes(w);
		fits = true;
		for (uint32_t i = 0; fits && i < w->weave.count; i++) {
			draw_source(w, i);
			fits = place(w, &w->sources[i]);
		}
	} while (!fits);
	for (int f = 0; f < 3; f++)
		for (uint64_t i = 0; i < w->used[f]; i++)
			w->bytes[f][i] = (uint8_t)draw(w, 256);
	w->arena = arena_new();
	cr_assert_eq(weave_make("t", &w->made_of, w->arena, &w->woven, &err), 0, "%s", err.msg);
	draw_image(w);
	return w;
}

static void world_free(struct world *w)
{
	arena_free(w->arena);
	free(w);
}

/* Copies what is planned for a range, and compares it; each byte must come exactly once. */
static void check_range(const struct world *w, uint64_t offset, uint64_t len)
{
	uint8_t *got = calloc(len + 1, 1), *hits = calloc(len + 1, 1);
	uint64_t last = 0;
	struct plan plan;
	struct run r;

	plan_begin(&plan, w->image, offset, len);
	while (plan_next(&plan, &r)) {
		cr_assert(r.len && r.rows && r.dst >= last, "an empty run, or one out of order");
		last = r.dst;
		for (uint64_t row = 0; row < r.rows; row++) {
			uint64_t src = r.src + row * r.src_stride, dst = r.dst + row * r.dst_stride;

			cr_assert(dst <= len && r.len <= len - dst, "a row ends past the range");
			cr_assert(r.literal || (r.source < 3 && src + r.len <= w->used[r.source]), "a row outside its file");
			memcpy(got + dst, r.literal ? r.literal : w->bytes[r.source] + src, r.len);
			for (uint64_t i = 0; i < r.len; i++)
				hits[dst + i]++;
		}
	}
	for (uint64_t i = 0; i < len; i++)
		cr_assert(hits[i] == 1 && got[i] == w->want[offset + i], "seed %llx, [%llu, +%llu): byte %llu came %d times, or is wrong",
			  (unsigned long long)w->seed, (unsigned long long)offset, (unsigned long long)len, (unsigned long long)i, hits[i]);
	free(got);
	free(hits);
}

Test(weave, any_range_is_that_of_the_elements, .timeout = 300)
{
	for (uint64_t seed = 1; seed <= 1500; seed++) {
		struct world *w = world_new(seed << 20);

		check_range(w, 0, w->image->size);
		for (int i = 0; i < 60; i++) {
			uint64_t at = draw(w, w->image->size + 1), left = w->image->size - at;

			check_range(w, at, i % 3 == 0 ? left : draw(w, (left < 100 ? left : 100) + 1));
		}
		world_free(w);
	}
}

/* Rows as short as an element: a range may begin and end inside one of them. */
Test(weave, rows_of_one_element)
{
	const uint32_t ones[2] = { 1, 1 };
	uint64_t shape[2] = { 8, 1 };
	struct piece piece = { .source = 0 };
	struct tensor t = { .name = "s", .shape = shape, .axes = 2, .dtype = DTYPE_F32, .pieces = &piece, .grid = { 2, 1, ones }, .bytes = 32 };
	struct weave_part part = { .count = { 8, 1 }, .axis = { 0, 1 }, .step = { 1, 1 } };
	struct world *w = calloc(1, sizeof(*w));
	struct error err;

	w->arena = arena_new();
	w->weave = (struct weave){ .factors = 2, .shape = { 8, 1 }, .of = { 0, 1 }, .parts = &part, .count = 1 };
	w->of[0] = &t;
	w->made_of = (struct woven){ &w->weave, w->of };
	w->want = arena_alloc(w->arena, 32, 1);
	for (w->used[0] = 0; w->used[0] < 32; w->used[0]++)
		w->want[w->used[0]] = w->bytes[0][w->used[0]] = (uint8_t)(w->used[0] * 7);
	w->want_len = 32;
	cr_assert_eq(weave_make("t", &w->made_of, w->arena, &w->woven, &err), 0, "%s", err.msg);
	w->image = image_new(w->arena, 1);
	w->grid = box_uncut(2);
	image_add_block(w->image, &w->woven, &w->grid, 0);
	for (uint64_t at = 0; at < 32; at++)
		for (uint64_t len = 0; len <= 32 - at; len++)
			check_range(w, at, len);
	world_free(w);
}

/* q, k and v by group, as [groups, q + 2, dim] x [hidden]: few runs, for whole heads lie together in their sources. */
Test(weave, few_runs)
{
	enum { GROUPS = 4, Q = 3, DIM = 8, HIDDEN = 16 };
	const uint32_t ones[2] = { 1, 1 };
	uint64_t shape[3][2] = { { GROUPS * Q * DIM, HIDDEN }, { GROUPS * DIM, HIDDEN }, { GROUPS * DIM, HIDDEN } };
	struct arena *arena = arena_new();
	struct piece piece[3];
	struct tensor t[3], out;
	const struct tensor *of[3] = { &t[0], &t[1], &t[2] };
	struct weave_part part[3];
	struct weave w = { .factors = 4, .shape = { GROUPS, Q + 2, DIM, HIDDEN }, .of = { 0, 0, 0, 1 }, .parts = part, .count = 3 };
	struct woven made_of = { &w, of };
	struct image *image = image_new(arena, 1);
	struct grid whole = box_uncut(2);
	struct plan plan;
	struct run r;
	struct error err;
	int runs = 0;

	for (uint32_t i = 0; i < 3; i++) {
		uint64_t heads = i == 0 ? Q : 1;

		piece[i] = (struct piece){ .source = i };
		t[i] = (struct tensor){ .name = "s", .shape = shape[i], .axes = 2, .dtype = DTYPE_BF16, .pieces = &piece[i],
					.grid = { 2, 1, ones }, .bytes = shape[i][0] * HIDDEN * 2 };
		part[i] = (struct weave_part){ .start = { 0, i ? Q + i - 1 : 0, 0, 0 },
					       .count = { GROUPS, heads, DIM, HIDDEN },
					       .axis = { 0, 0, 0, 1 },
					       .step = { heads * DIM, DIM, 1, 1 } };
	}
	cr_assert_eq(weave_make("qkv", &made_of, arena, &out, &err), 0, "%s", err.msg);
	cr_assert_eq(out.axes, 2);
	cr_assert_eq(out.shape[0], GROUPS * (Q + 2) * DIM);
	cr_assert_eq(out.shape[1], HIDDEN);
	image_add_block(image, &out, &whole, 0);
	for (plan_begin(&plan, image, 0, image->size); plan_next(&plan, &r); runs++)
		cr_assert_eq(r.rows, 1);
	cr_assert_eq(runs, GROUPS * 3);
	arena_free(arena);
}
