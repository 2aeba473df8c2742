/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Plans against a reference that knows nothing of runs: it walks the elements of an image one by one, finds each in its piece
 * by index arithmetic, and copies it bit by bit. Tensors, source grids and image grids are random; the image's grid need not
 * be the sources', as in a reshard.
 */
#include <criterion/criterion.h>
#include <string.h>

#include "layout/view/plan.h"

#define AXES 5
#define SOURCES 3
#define SOURCE_SIZE (1 << 18)
#define TENSORS 3
#define BLOCKS 1024
#define ELEMENTS 4000 /* most in a tensor */

/* Everything of one random case: memory files, tensors over them, an image, and what the image must read as. */
struct world {
	uint64_t seed;
	uint8_t source[SOURCES][SOURCE_SIZE];
	uint32_t owner[SOURCES][SOURCE_SIZE]; /* number of the piece that a byte belongs to, 0 for a gap */
	uint64_t used[SOURCES];
	uint32_t pieces; /* numbered so far */
	struct drawn {
		struct tensor t;
		uint64_t shape[AXES];
		uint32_t cuts[AXES], image_cuts[AXES];
		struct grid image_grid;
		struct piece piece[BLOCKS];
	} drawn[TENSORS];
	struct arena *arena;
	struct image *image;
	uint8_t literal[64];
	uint8_t *want; /* [image->size] */
	uint64_t want_len;
};

static uint64_t draw(struct world *w, uint64_t below)
{
	w->seed = w->seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (w->seed >> 33) % below;
}

/* Coordinates of number `n` in a row-major space of `size`. */
static void unravel(uint64_t n, const uint64_t *size, uint32_t axes, uint64_t *at)
{
	for (uint32_t a = axes; a-- > 0; n /= size[a])
		at[a] = n % size[a];
}

/* The piece's number that holds element g, and the element's number in it. */
static uint64_t find_element(const uint64_t *g, const uint64_t *shape, const uint32_t *cuts, uint32_t axes, uint64_t *in)
{
	uint64_t block = 0;

	*in = 0;
	for (uint32_t a = 0; a < axes; a++) {
		uint64_t width = shape[a] / cuts[a];

		block = block * cuts[a] + g[a] / width;
		*in = *in * width + g[a] % width;
	}
	return block;
}

static uint64_t product(const uint64_t *n, uint32_t axes)
{
	uint64_t p = 1;

	for (uint32_t a = 0; a < axes; a++)
		p *= n[a];
	return p;
}

/* Brute force: no two neighbours of one byte lie in different blocks. */
static bool cuts_between_bytes(const uint64_t *shape, const uint32_t *cuts, uint32_t axes, uint32_t bits)
{
	uint64_t count = product(shape, axes), before = 0;

	for (uint64_t i = 0; i < count; i++) {
		uint64_t g[AXES], in, block;

		unravel(i, shape, axes, g);
		block = find_element(g, shape, cuts, axes, &in);
		if (block != before && i * bits % 8 != 0)
			return false;
		before = block;
	}
	return count * bits % 8 == 0;
}

static void copy_bits(uint8_t *to, uint64_t to_bit, const uint8_t *from, uint64_t from_bit, uint32_t bits)
{
	for (uint32_t i = 0; i < bits; i++, to_bit++, from_bit++) {
		uint8_t one = (uint8_t)(from[from_bit / 8] >> (from_bit % 8) & 1);

		to[to_bit / 8] = (uint8_t)((to[to_bit / 8] & ~(1 << (to_bit % 8))) | one << (to_bit % 8));
	}
}

/* The bytes of an image's block, element by element, behind what is wanted already. */
static void want_block(struct world *w, const struct drawn *d, uint32_t block)
{
	uint32_t axes = d->t.axes, bits = dtype_bits(d->t.dtype);
	uint64_t width[AXES], at[AXES], cuts[AXES], corner[AXES], count;

	for (uint32_t a = 0; a < axes; a++) {
		cuts[a] = d->image_cuts[a];
		width[a] = d->shape[a] / cuts[a];
	}
	unravel(block, cuts, axes, corner);
	count = product(width, axes);
	for (uint64_t i = 0; i < count; i++) {
		uint64_t in;

		unravel(i, width, axes, at);
		for (uint32_t a = 0; a < axes; a++)
			at[a] += corner[a] * width[a];
		const struct piece *p = &d->piece[find_element(at, d->shape, d->cuts, axes, &in)];
		copy_bits(w->want + w->want_len, i * bits, w->source[p->source], p->offset * 8 + in * bits, bits);
	}
	w->want_len += count * bits / 8;
}

/* Shape and grids of at most ELEMENTS elements whose cuts fall between bytes. One in twelve tensors is empty. */
static void draw_tensor(struct world *w, struct drawn *d)
{
	uint32_t axes;
	bool fits;

	do {
		uint64_t blocks = 1, image_blocks = 1;

		d->t.dtype = (enum dtype)draw(w, DTYPE_COUNT);
		d->t.axes = axes = (uint32_t)draw(w, AXES + 1);
		for (uint32_t a = 0; a < axes; a++) {
			d->cuts[a] = draw(w, 2) ? 1 + (uint32_t)draw(w, 4) : 1;
			d->image_cuts[a] = draw(w, 2) ? 1 + (uint32_t)draw(w, 4) : draw(w, 2) ? d->cuts[a] : 1;
			d->shape[a] = d->cuts[a] * d->image_cuts[a] * (1 + draw(w, 4));
			blocks *= d->cuts[a];
			image_blocks *= d->image_cuts[a];
		}
		d->t.grid = (struct grid){ .axes = axes, .blocks = (uint32_t)blocks, .cuts = d->cuts };
		d->image_grid = (struct grid){ .axes = axes, .blocks = (uint32_t)image_blocks, .cuts = d->image_cuts };
		fits = product(d->shape, axes) <= ELEMENTS && blocks <= BLOCKS;
		for (int g = 0; fits && g < 2; g++) {
			const struct grid *grid = g ? &d->image_grid : &d->t.grid;
			uint32_t bits = dtype_bits(d->t.dtype);
			bool between = cuts_between_bytes(d->shape, grid->cuts, axes, bits);

			if (product(d->shape, axes) * bits % 8 == 0)
				cr_assert_eq(box_whole_bytes(grid, d->shape, dtype_bits(d->t.dtype)), between, "seed %llx", (unsigned long long)w->seed);
			fits = between;
		}
	} while (!fits);
	if (axes && draw(w, 12) == 0)
		d->shape[draw(w, axes)] = 0;
	cr_assert(dtype_bytes(d->t.dtype, product(d->shape, axes), &d->t.bytes));
	d->t.name = "t";
	d->t.shape = d->shape;
	d->t.pieces = d->piece;
}

/* Gives every piece a place of its own, with gaps, in a random file. */
static void place_pieces(struct world *w, struct drawn *d)
{
	uint64_t len = d->t.bytes / d->t.grid.blocks;

	for (uint32_t b = 0; b < d->t.grid.blocks; b++) {
		uint32_t s = (uint32_t)draw(w, SOURCES);

		w->used[s] += draw(w, 3);
		d->piece[b] = (struct piece){ .offset = w->used[s], .source = s };
		w->pieces++;
		cr_assert_leq(w->used[s] + len, SOURCE_SIZE);
		for (uint64_t i = 0; i < len; i++)
			w->owner[s][w->used[s]++] = w->pieces;
	}
}

static void add_literal(struct world *w)
{
	struct bytes b = { .ptr = w->literal, .len = draw(w, sizeof(w->literal)) };

	image_add_literal(w->image, b);
	if (b.len)
		memcpy(w->want + w->want_len, b.ptr, b.len);
	w->want_len += b.len;
}

static void add_range(struct world *w)
{
	struct piece range = { .offset = draw(w, 50), .source = (uint32_t)draw(w, SOURCES) };
	uint64_t len = draw(w, 100);

	image_add_range(w->image, range, len);
	memcpy(w->want + w->want_len, w->source[range.source] + range.offset, len);
	w->want_len += len;
}

static struct world *world_new(uint64_t seed)
{
	struct world *w = calloc(1, sizeof(*w));
	uint64_t room = 0;

	w->seed = seed * UINT64_C(0x9E3779B97F4A7C15);
	w->arena = arena_new();
	w->image = image_new(w->arena, 4 * TENSORS * BLOCKS);
	for (size_t i = 0; i < sizeof(w->literal); i++)
		w->literal[i] = (uint8_t)draw(w, 256);
	for (int t = 0; t < TENSORS; t++) {
		draw_tensor(w, &w->drawn[t]);
		place_pieces(w, &w->drawn[t]);
		room += w->drawn[t].t.bytes + 1000;
	}
	for (int s = 0; s < SOURCES; s++)
		for (uint64_t i = 0; i < SOURCE_SIZE; i++)
			w->source[s][i] = (uint8_t)draw(w, 256);
	w->want = calloc(room, 1);
	for (int t = 0; t < TENSORS; t++) {
		const struct drawn *d = &w->drawn[t];
		bool all = draw(w, 2); /* blocks one after the other, or a single one between other things */
		uint32_t block = all ? 0 : (uint32_t)draw(w, d->image_grid.blocks);

		add_literal(w);
		do {
			image_add_block(w->image, &d->t, &d->image_grid, block);
			want_block(w, d, block);
		} while (all && ++block < d->image_grid.blocks);
		add_range(w);
	}
	cr_assert_eq(w->image->size, w->want_len);
	return w;
}

static void world_free(struct world *w)
{
	arena_free(w->arena);
	free(w->want);
	free(w);
}

/* Copies a row, having checked that it lies in one piece (a range is no piece, so only those that touch one) and in the range. */
static void copy_row(const struct world *w, const struct run *r, uint64_t row, uint8_t *got, uint8_t *hits, uint64_t len)
{
	uint64_t src = r->src + row * r->src_stride, dst = r->dst + row * r->dst_stride;

	cr_assert(dst <= len && r->len <= len - dst, "a row ends past the range");
	for (uint64_t i = 0; i < r->len; i++)
		hits[dst + i]++;
	if (r->literal) {
		cr_assert(r->rows == 1 && r->literal >= w->literal && r->literal + r->len <= w->literal + sizeof(w->literal));
		memcpy(got + dst, r->literal, r->len);
		return;
	}
	cr_assert(r->source < SOURCES && src <= SOURCE_SIZE && r->len <= SOURCE_SIZE - src, "a row outside its file");
	memcpy(got + dst, w->source[r->source] + src, r->len);
}

static void check_in_piece(const struct world *w, const struct plan *plan, const struct run *r)
{
	if (plan->extent.kind != EXTENT_BLOCK)
		return;
	for (uint64_t row = 0; row < r->rows; row++) {
		const uint32_t *owner = &w->owner[r->source][r->src + row * r->src_stride];

		cr_assert(owner[0] && owner[0] == owner[r->len - 1], "a row outside its piece");
	}
}

/* Plans a range, copies it row by row, and compares it with what is wanted; each byte must come exactly once. */
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
		for (uint64_t row = 0; row < r.rows; row++)
			copy_row(w, &r, row, got, hits, len);
		check_in_piece(w, &plan, &r);
	}
	for (uint64_t i = 0; i < len; i++)
		cr_assert(hits[i] == 1 && got[i] == w->want[offset + i], "[%llu, +%llu): byte %llu came %d times, or is wrong",
			  (unsigned long long)offset, (unsigned long long)len, (unsigned long long)i, hits[i]);
	free(got);
	free(hits);
}

static bool same_run(const struct run *a, const struct run *b)
{
	return a->literal == b->literal && a->source == b->source && a->src == b->src && a->dst == b->dst && a->len == b->len &&
	       a->rows == b->rows && a->src_stride == b->src_stride && a->dst_stride == b->dst_stride;
}

Test(plan, any_range_of_any_grid_is_that_of_the_elements, .timeout = 300)
{
	for (uint64_t seed = 1; seed <= 250; seed++) {
		struct world *w = world_new(seed);
		uint64_t size = w->image->size;

		check_range(w, 0, size);
		for (int i = 0; i < 200; i++) {
			uint64_t at = draw(w, size + 1), left = size - at;

			check_range(w, at, i % 3 == 0 ? left : draw(w, (left < 200 ? left : 200) + 1));
		}
		world_free(w);
	}
}

Test(plan, a_copy_iterates_the_same_from_the_middle)
{
	for (uint64_t seed = 1000; seed < 1040; seed++) {
		struct world *w = world_new(seed);
		struct plan plan, copy;
		struct run a, b;

		plan_begin(&plan, w->image, w->image->size / 7, w->image->size - w->image->size / 7);
		for (uint64_t skip = draw(w, 40); skip > 0 && plan_next(&plan, &a); skip--)
			;
		copy = plan;
		while (plan_next(&plan, &a)) {
			cr_assert(plan_next(&copy, &b));
			cr_assert(same_run(&a, &b), "seed %llu", (unsigned long long)seed);
		}
		cr_assert_not(plan_next(&copy, &b));
		world_free(w);
	}
}
