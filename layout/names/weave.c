/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "layout/names/weave.h"

/* True when every axis has factors, and they are in its order. */
static bool factors_are_in_order(const struct weave *w)
{
	if (w->factors == 0 || w->factors > WEAVE_FACTORS || w->of[0] != 0)
		return false;
	for (uint32_t f = 1; f < w->factors; f++)
		if (w->of[f] != w->of[f - 1] && w->of[f] != w->of[f - 1] + 1)
			return false;
	return true;
}

/* The product of the factors of each axis. */
static int shape_of(const char *name, const struct weave *w, uint64_t *shape, uint32_t *axes, struct error *err)
{
	if (!factors_are_in_order(w))
		return error_set(err, -EINVAL, "tensor \"%s\": its %u factors are not those of its axes in order", name, w->factors);
	*axes = w->of[w->factors - 1] + 1;
	for (uint32_t a = 0; a < *axes; a++)
		shape[a] = 1;
	for (uint32_t f = 0; f < w->factors; f++)
		if (!bytes_mul(shape[w->of[f]], w->shape[f], &shape[w->of[f]]))
			return error_set(err, -EINVAL, "tensor \"%s\": axis %u overflows", name, w->of[f]);
	return 0;
}

/* A part's box lies in the factored shape, and each of its steps in the source. */
static int check_part(const char *name, const struct weave *w, const struct weave_part *p, const struct tensor *source, struct error *err)
{
	uint64_t end[WEAVE_FACTORS];

	for (uint32_t s = 0; s < source->axes; s++)
		end[s] = p->base[s];
	for (uint32_t f = 0; f < w->factors; f++) {
		uint64_t far;

		if (p->count[f] == 0 || p->start[f] > w->shape[f] || p->count[f] > w->shape[f] - p->start[f])
			return error_set(err, -EINVAL, "tensor \"%s\": the part from \"%s\" is empty or passes factor %u, which has %llu",
					 name, source->name, f, (unsigned long long)w->shape[f]);
		if (p->axis[f] >= WEAVE_FACTORS)
			return error_set(err, -EINVAL, "tensor \"%s\": factor %u steps along axis %u of \"%s\"", name, f, p->axis[f],
					 source->name);
		if (p->count[f] == 1)
			continue;
		if (p->axis[f] >= source->axes || p->step[f] == 0 || !bytes_mul(p->count[f] - 1, p->step[f], &far) ||
		    !bytes_add(end[p->axis[f]], far, &end[p->axis[f]]))
			return error_set(err, -EINVAL, "tensor \"%s\": factor %u steps nowhere in \"%s\"", name, f, source->name);
	}
	for (uint32_t s = 0; s < source->axes; s++)
		if (end[s] >= source->shape[s])
			return error_set(err, -EINVAL, "tensor \"%s\": it needs element %llu on axis %u of \"%s\", which has %llu", name,
					 (unsigned long long)end[s], s, source->name, (unsigned long long)source->shape[s]);
	return 0;
}

static bool overlap(const struct weave *w, const struct weave_part *a, const struct weave_part *b)
{
	for (uint32_t f = 0; f < w->factors; f++)
		if (a->start[f] + a->count[f] <= b->start[f] || b->start[f] + b->count[f] <= a->start[f])
			return false;
	return true;
}

static uint64_t volume(const struct weave *w, const uint64_t *count)
{
	uint64_t v = 1;

	for (uint32_t f = 0; f < w->factors; f++)
		v *= count[f];
	return v;
}

/* Boxes that do not overlap and have the volume of the whole cover it. */
static int check_cover(const char *name, const struct woven *woven, struct error *err)
{
	const struct weave *w = woven->weave;
	uint64_t covered = 0;

	for (uint32_t i = 0; i < w->count; i++) {
		for (uint32_t k = i + 1; k < w->count; k++)
			if (overlap(w, &w->parts[i], &w->parts[k]))
				return error_set(err, -EINVAL, "tensor \"%s\": the parts from \"%s\" and \"%s\" overlap", name,
						 woven->of[i]->name, woven->of[k]->name);
		covered += volume(w, w->parts[i].count);
	}
	if (covered != volume(w, w->shape))
		return error_set(err, -EINVAL, "tensor \"%s\": its parts give %llu of %llu elements", name, (unsigned long long)covered,
				 (unsigned long long)volume(w, w->shape));
	return 0;
}

static int check(const char *name, const struct woven *woven, struct error *err)
{
	const struct weave *w = woven->weave;
	int code = w->count ? 0 : error_set(err, -EINVAL, "tensor \"%s\": it has no parts", name);

	for (uint32_t i = 0; code == 0 && i < w->count; i++) {
		const struct tensor *source = woven->of[i], *first = woven->of[0];

		if (source->woven || dtype_bits(source->dtype) % 8 || source->axes > WEAVE_FACTORS)
			return error_set(err, -EINVAL, "tensor \"%s\": \"%s\" of %s and %u axes cannot be a part", name, source->name,
					 dtype_name(source->dtype), source->axes);
		if (source->dtype != first->dtype)
			return error_set(err, -EINVAL, "tensor \"%s\": \"%s\" is %s, but \"%s\" is %s", name, first->name,
					 dtype_name(first->dtype), source->name, dtype_name(source->dtype));
		code = check_part(name, w, &w->parts[i], source, err);
	}
	return code;
}

int weave_make(const char *name, const struct woven *woven, struct arena *arena, struct tensor *out, struct error *err)
{
	uint64_t *shape = arena_alloc(arena, WEAVE_FACTORS, sizeof(*shape)), elements = 1;
	uint32_t axes = 0;
	int code = shape ? shape_of(name, woven->weave, shape, &axes, err) : error_nomem(err);

	for (uint32_t a = 0; code == 0 && a < axes; a++)
		if (!bytes_mul(elements, shape[a], &elements))
			code = error_set(err, -EINVAL, "tensor \"%s\": its shape overflows", name);
	if (code == 0)
		code = check(name, woven, err);
	if (code == 0)
		code = check_cover(name, woven, err);
	if (code < 0)
		return code;
	*out = (struct tensor){ .name = name, .source_name = name, .shape = shape, .axes = axes, .dtype = woven->of[0]->dtype,
				.grid = box_uncut(axes), .woven = woven };
	if (!dtype_bytes(out->dtype, elements, &out->bytes))
		return error_set(err, -EINVAL, "tensor \"%s\": its bytes overflow", name);
	return 0;
}

/* The coordinates by factor of the element at `at`. */
static void factor(const struct weave *w, const uint64_t *at, uint64_t *x)
{
	uint64_t rest = 0;

	for (uint32_t f = w->factors; f-- > 0;) {
		if (f + 1 == w->factors || w->of[f] != w->of[f + 1])
			rest = at[w->of[f]];
		x[f] = rest % w->shape[f];
		rest /= w->shape[f];
	}
}

static bool contains(const struct weave *w, const struct weave_part *p, const uint64_t *x)
{
	for (uint32_t f = 0; f < w->factors; f++)
		if (x[f] < p->start[f] || x[f] - p->start[f] >= p->count[f])
			return false;
	return true;
}

/* The part that holds x. Neighbours of the last one are likely: rows go back and forth between a few. */
static uint32_t part_at(const struct weave *w, const uint64_t *x, uint32_t hint)
{
	for (uint32_t i = 0; i < w->count; i++) {
		uint32_t k = (hint + (i % 2 ? w->count - (i + 1) / 2 : i / 2)) % w->count;

		if (contains(w, &w->parts[k], x))
			return k;
	}
	return hint; /* cannot be: the parts cover the whole */
}

/* Where an element lies in its source tensor, and how the source's pieces cut the axis that the last factor steps along. */
struct spot {
	uint64_t y[WEAVE_FACTORS];
	struct piece piece;  /* with the offset of the element */
	uint64_t row, left;  /* elements on `along` of the piece's block, and from here to its end */
	uint64_t rows;       /* on the axis before `along`, from here to the end of the block */
	uint64_t unit;       /* bytes from one to the next on `along` */
};

static void find_spot(const struct tensor *t, uint32_t along, uint32_t width, struct spot *s)
{
	uint64_t offset = 0, unit = width;
	uint32_t block = 0, stride = 1;

	s->row = s->left = s->rows = s->unit = 0;
	for (uint32_t a = t->axes; a-- > 0;) {
		uint64_t w = t->shape[a] / t->grid.cuts[a], in = s->y[a] % w;

		if (a == along) {
			s->row = w;
			s->left = w - in;
			s->unit = unit;
		}
		if (a + 1 == along)
			s->rows = w - in;
		offset += in * unit;
		block += (uint32_t)(s->y[a] / w) * stride;
		unit *= w;
		stride *= t->grid.cuts[a];
	}
	s->piece = t->pieces[block];
	s->piece.offset += offset;
}

/* How many rows lie one after the other from here on, when the run has `elements`: more than one where those are a row of both tensors. */
static uint64_t rows_on(const struct weave *w, const struct weave_part *p, const struct tensor *source, const uint64_t *x, const struct spot *s,
			uint64_t elements)
{
	uint32_t last = w->factors - 1, f = last - 1;
	uint64_t in_part;

	if (last == 0 || w->of[f] == w->of[last] || p->step[f] != 1 || p->step[last] != 1)
		return 1;
	if (p->axis[last] + 1 != source->axes || p->axis[f] + 1 != p->axis[last])
		return 1;
	if (elements != w->shape[last] || elements != s->row || elements != s->left)
		return 1;
	in_part = p->start[f] + p->count[f] - x[f];
	return in_part < s->rows ? in_part : s->rows;
}

void weave_find(const struct tensor *tensor, const uint64_t *at, uint64_t most, uint32_t *part, struct weave_run *out)
{
	const struct weave *w = tensor->woven->weave;
	uint32_t last = w->factors - 1, width = dtype_bits(tensor->dtype) / 8;
	uint64_t x[WEAVE_FACTORS], n;
	struct spot spot;

	factor(w, at, x);
	*part = part_at(w, x, *part);

	const struct weave_part *p = &w->parts[*part];
	const struct tensor *source = tensor->woven->of[*part];

	memcpy(spot.y, p->base, source->axes * sizeof(*spot.y));
	for (uint32_t f = 0; f < w->factors; f++)
		spot.y[p->axis[f]] += (x[f] - p->start[f]) * p->step[f];
	find_spot(source, p->axis[last], width, &spot);
	n = p->start[last] + p->count[last] - x[last];
	if (p->step[last] && n > (spot.left + p->step[last] - 1) / p->step[last])
		n = (spot.left + p->step[last] - 1) / p->step[last];
	out->piece = spot.piece;
	out->elements = n < most ? n : most;
	out->stride = out->elements > 1 ? spot.unit * p->step[last] : width;
	out->rows = rows_on(w, p, source, x, &spot, out->elements);
}
