/* SPDX-License-Identifier: Apache-2.0 */
/* See about.h: the same as JSON. JSON has no NaN and no infinities, so those are strings, as are no other values. */
#include <inttypes.h>
#include <string.h>

#include "layout/checkpoint/describe.h"
#include "layout/names/weave.h"
#include "layout/values/values.h"
#include "layout/view/about.h"
#include "layout/view/npy.h"

static void json_part(const struct about *about, const struct tensor *t, uint32_t block, bool *any, struct text *text)
{
	const struct piece *piece = &t->pieces[block];
	const struct about_source *s = &about->sources[piece->source];
	struct about_range range = { 0 };
	struct box box;

	box_of_block(&t->grid, t->shape, block, &box);
	text_add(text, "%s\n    {\"start\": ", *any ? "," : "");
	*any = true;
	describe_numbers(text, box.start, box.axes);
	text_add(text, ", \"count\": ");
	describe_numbers(text, box.count, box.axes);
	if (s->rank == ABOUT_NO_RANK)
		text_add(text, ", \"rank\": null, \"file\": ");
	else
		text_add(text, ", \"rank\": %" PRId64 ", \"file\": ", s->rank);
	text_json_ascii(text, s->path);
	text_add(text, ", \"ranges\": [");
	while (about_next_range(s, piece, t->bytes / t->grid.blocks, &range))
		text_add(text, "%s{\"offset\": %" PRIu64 ", \"bytes\": %" PRIu64 "}", range.done > range.len ? ", " : "", range.offset, range.len);
	text_add(text, "]}");
}

/* Members of a tensor that lies in files: "source_name", "cuts", "parts". */
static void json_parts(const struct about *about, const struct tensor *t, struct text *text)
{
	bool any = false;

	text_add(text, "  \"source_name\": ");
	text_json_ascii(text, t->source_name);
	text_add(text, ",\n  \"cuts\": [");
	for (uint32_t a = 0; a < t->grid.axes; a++)
		text_add(text, a ? ", %u" : "%u", t->grid.cuts[a]);
	text_add(text, "],\n  \"parts\": [");
	for (uint32_t b = 0; !t->literal && b < t->grid.blocks; b++)
		if (t->pieces[b].source != CHECKPOINT_NO_SOURCE)
			json_part(about, t, b, &any, text);
	text_add(text, "\n  ],\n");
}

static void json_head(const struct tensor *t, struct text *text)
{
	text_add(text, "{\n  \"name\": ");
	text_json_ascii(text, t->name);
	text_add(text, ",\n  \"dtype\": \"%s\",\n  \"shape\": ", dtype_name(t->dtype));
	describe_numbers(text, t->shape, t->axes);
	text_add(text, ",\n  \"elements\": %" PRIu64 ",\n  \"bytes\": %" PRIu64 ",\n", describe_elements(t), t->bytes);
}

/* "npy": what the .npy file holds, and whether numpy knows the type. */
static void json_npy(const struct tensor *t, struct text *text)
{
	uint64_t packed[1] = { t->bytes };

	text_add(text, "  \"npy\": {\"descr\": \"%s\", \"shape\": ", npy_type(t->dtype));
	if (dtype_bits(t->dtype) < 8)
		describe_numbers(text, packed, 1);
	else
		describe_numbers(text, t->shape, t->axes);
	text_add(text, ", \"same_type\": %s}", values_numpy(t->dtype) ? "true" : "false");
}

/* A box of a woven tensor's factors, and how its source is stepped along. */
static void json_weave_part(const struct tensor *t, uint32_t i, struct text *text)
{
	const struct weave *w = t->woven->weave;
	const struct weave_part *p = &w->parts[i];

	text_add(text, "{\"source\": ");
	text_json_ascii(text, t->woven->of[i]->name);
	text_add(text, ", \"start\": ");
	describe_numbers(text, p->start, w->factors);
	text_add(text, ", \"count\": ");
	describe_numbers(text, p->count, w->factors);
	text_add(text, ", \"axis\": [");
	for (uint32_t f = 0; f < w->factors; f++)
		text_add(text, f ? ", %u" : "%u", p->axis[f]);
	text_add(text, "], \"step\": ");
	describe_numbers(text, p->step, w->factors);
	text_add(text, ", \"base\": ");
	describe_numbers(text, p->base, t->woven->of[i]->axes);
	text_add(text, "}");
}

/* Whether part `i` of a woven tensor is the first that is made of its source. */
static bool is_first_of(const struct tensor *t, uint32_t i)
{
	for (uint32_t j = 0; j < i; j++)
		if (t->woven->of[j] == t->woven->of[i])
			return false;
	return true;
}

static void json_weave(const struct about *about, const struct tensor *t, struct text *text)
{
	const struct weave *w = t->woven->weave;

	text_add(text, "  \"factors\": ");
	describe_numbers(text, w->shape, w->factors);
	text_add(text, ",\n  \"woven\": [");
	for (uint32_t i = 0; i < w->count; i++) {
		text_add(text, i ? ",\n    " : "\n    ");
		json_weave_part(t, i, text);
	}
	text_add(text, "\n  ],\n  \"sources\": [");
	for (uint32_t i = 0; i < w->count; i++) {
		if (!is_first_of(t, i))
			continue;
		text_add(text, i ? ",\n" : "\n");
		json_head(t->woven->of[i], text);
		json_parts(about, t->woven->of[i], text);
		json_npy(t->woven->of[i], text);
		text_add(text, "}");
	}
	text_add(text, "\n  ],\n");
}

/* A double as JSON. */
static void json_number(double v, struct text *text)
{
	char out[VALUES_TEXT];

	text_add(text, __builtin_isfinite(v) ? "%s" : "\"%s\"", values_text_double(v, out));
}

static void json_value(const struct corners *c, uint64_t i, struct text *text)
{
	const uint8_t *element = c->elements + i * c->width;
	struct value v = values_get(c->array.dtype, element, 0);
	char out[VALUES_TEXT];

	switch (v.kind) {
	case VALUES_BOOL:
		text_add(text, v.u ? "true" : "false");
		break;
	case VALUES_COMPLEX:
		text_add(text, "[");
		json_number(v.re, text);
		text_add(text, ", ");
		json_number(v.im, text);
		text_add(text, "]");
		break;
	default:
		text_add(text, values_is_nan(&v) || values_is_inf(&v) ? "\"%s\"" : "%s", values_text(c->array.dtype, element, 0, out));
		break;
	}
}

/* "corners": `edge` places at both ends of each axis, or null for all of the tensor; their values in row-major order. */
static void json_corners(const struct corners *c, struct text *text)
{
	text_add(text, "  \"corners\": {\"edge\": ");
	text_add(text, c->edge ? "%u" : "null", c->edge);
	text_add(text, ", \"shape\": ");
	describe_numbers(text, c->shape, c->array.axes);
	text_add(text, ", \"values\": [");
	for (uint64_t i = 0; i < c->count; i++) {
		text_add(text, i ? ", " : "");
		json_value(c, i, text);
	}
	text_add(text, "]},\n");
}

void about_json(const struct about *about, struct text *text)
{
	const struct tensor *t = about->tensor;

	json_head(t, text);
	if (t->woven)
		json_weave(about, t, text);
	else
		json_parts(about, t, text);
	if (about->corners)
		json_corners(about->corners, text);
	json_npy(t, text);
	text_add(text, "\n}\n");
}
