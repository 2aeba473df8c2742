/* SPDX-License-Identifier: Apache-2.0 */
/* Elements are walked in the order in which they are shown; those that follow each other in the array are read together. */
#include "layout/base/corners.h"

/* How many elements are shown with `edge`; CORNERS_MAX + 1 stands for any larger number. */
static uint64_t shown_with(const struct corners_array *array, uint32_t edge, uint64_t *shape)
{
	uint64_t count = 1;

	for (uint32_t a = 0; a < array->axes; a++) {
		shape[a] = array->shape[a] > 2 * (uint64_t)edge ? 2 * (uint64_t)edge : array->shape[a];
		count *= shape[a];
		count = count > CORNERS_MAX ? CORNERS_MAX + 1 : count;
	}
	return count;
}

void corners_choose(const struct corners_array *array, struct corners *out)
{
	uint32_t bits = dtype_bits(array->dtype);

	*out = (struct corners){ .array = *array, .whole = 1, .width = bits < 8 ? 1 : bits / 8 };
	for (uint32_t a = 0; a < array->axes; a++) {
		out->whole *= array->shape[a];
		out->shape[a] = array->shape[a];
	}
	out->count = out->whole;
	if (out->whole <= CORNERS_WHOLE)
		return;
	out->edge = CORNERS_EDGE;
	while ((out->count = shown_with(array, out->edge, out->shape)) > CORNERS_MAX && out->edge > 1)
		out->edge--;
	if (out->count > CORNERS_MAX)
		out->count = 0;
}

/* The number, in the array, of the shown element at `place`. */
static uint64_t number_of(const struct corners *c, const uint64_t *place)
{
	uint64_t number = 0;

	for (uint32_t a = 0; a < c->array.axes; a++) {
		uint64_t left_out = c->array.shape[a] - c->shape[a];

		number = number * c->array.shape[a] + place[a] + (left_out && place[a] >= c->edge ? left_out : 0);
	}
	return number;
}

/* The next place in row-major order. */
static void step(const struct corners *c, uint64_t *place)
{
	for (uint32_t a = c->array.axes; a-- > 0;) {
		if (++place[a] < c->shape[a])
			return;
		place[a] = 0;
	}
}

/* A run of elements of the array, that are next to each other in what is shown too. */
struct run_of {
	uint64_t first, count; /* elements of the array */
	uint8_t *to;
};

/* Elements under 8 bits, packed from bit `shift` of `packed` on, each to a byte of its own. */
static void spread(const uint8_t *packed, uint32_t shift, uint32_t bits, const struct run_of *run)
{
	for (uint64_t i = 0; i < run->count; i++) {
		uint64_t at = shift + i * bits;
		uint32_t two = packed[at / 8];

		if (at % 8 + bits > 8)
			two |= (uint32_t)packed[at / 8 + 1] << 8;
		run->to[i] = (uint8_t)(two >> at % 8 & ((1u << bits) - 1));
	}
}

static int read_run(const struct corners *c, const struct corners_reader *reader, const struct run_of *run, struct error *err)
{
	uint32_t bits = dtype_bits(c->array.dtype);
	uint64_t begin = run->first * bits, end = begin + run->count * bits;
	uint8_t packed[CORNERS_MAX]; /* under 8 bits an element is less than a byte */
	int code;

	if (bits >= 8)
		return reader->read(reader->arg, begin / 8, (end - begin) / 8, run->to, err);
	code = reader->read(reader->arg, begin / 8, (end + 7) / 8 - begin / 8, packed, err);
	if (code == 0)
		spread(packed, begin % 8, bits, run);
	return code;
}

int corners_read(const struct corners_array *array, const struct corners_reader *reader, struct arena *arena, struct corners *out, struct error *err)
{
	uint64_t place[BOX_AXES] = { 0 };
	struct run_of run = { .count = 0 };
	uint8_t *elements;
	int code = 0;

	corners_choose(array, out);
	elements = arena_alloc(arena, out->count, out->width);
	if (!elements)
		return error_nomem(err);
	out->elements = elements;
	for (uint64_t i = 0; i < out->count && code == 0; i++, step(out, place)) {
		uint64_t number = number_of(out, place);

		if (run.count > 0 && number != run.first + run.count) {
			code = read_run(out, reader, &run, err);
			run.count = 0;
		}
		if (run.count++ == 0)
			run = (struct run_of){ .first = number, .count = 1, .to = elements + i * out->width };
	}
	return code == 0 && run.count > 0 ? read_run(out, reader, &run, err) : code;
}
