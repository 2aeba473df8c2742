/* SPDX-License-Identifier: Apache-2.0 */
/* common.json <-> tensors: epoch_num, step_num, global_batch_size and loss_scale are I64 scalars, global_step is I32 [1]. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "layout/base/json.h"
#include "layout/base/natural.h"
#include "layout/base/text.h"
#include "layout/checkpoint/counters.h"

#define VALUES_MAX (UINT64_C(1) << 20) /* of a common.json: data_plan_state may be long */

static const char *const names[COUNTERS_COUNT] = {
	[COUNTERS_EPOCH] = "epoch_num", [COUNTERS_STEP] = "step_num", [COUNTERS_GLOBAL] = "global_step",
	[COUNTERS_BATCH] = "global_batch_size", [COUNTERS_SAMPLES] = "consumed_samples", [COUNTERS_STATUS] = "ckpt_status",
};

const char *counters_name(enum counters_number number)
{
	return names[number];
}

static int read_number(const json *root, int i, struct counters *out, struct error *err)
{
	const json *v = json_get(root, names[i]);

	if (!v || json_is_null(v))
		return 0;
	out->number[i].known = json_u64(v, &out->number[i].value);
	return out->number[i].known ? 0 : json_refuse(v, names[i], "a whole number", err);
}

static int read_all(const json *root, struct counters *out, struct error *err)
{
	const json *scale = json_is_object(root) ? json_get(root, "loss_scale") : NULL;
	int code = json_is_object(root) ? 0 : json_refuse(root, "the JSON text", "an object", err);

	for (int i = 0; code == 0 && i < COUNTERS_COUNT; i++)
		code = read_number(root, i, out, err);
	if (code < 0 || !scale || json_is_null(scale))
		return code;
	out->scaled = json_number(scale, &out->loss_scale);
	return out->scaled ? 0 : json_refuse(scale, "loss_scale", "a number", err);
}

int counters_parse(struct bytes text, struct counters *out, struct error *err)
{
	struct json_doc *doc;
	int code = json_parse(text, VALUES_MAX, &doc, err);

	*out = (struct counters){ .scaled = false };
	if (code < 0)
		return code;
	code = read_all(json_root(doc), out, err);
	json_free(doc);
	return code;
}

static void write_number(const struct counters *c, enum counters_number i, const char *end, struct text *text)
{
	if (c->number[i].known)
		text_add(text, "    \"%s\": %llu%s", names[i], (unsigned long long)c->number[i].value, end);
	else
		text_add(text, "    \"%s\": null%s", names[i], end);
}

static bool is_whole(double d)
{
	/* cppcheck-suppress incorrectLogicOperator ; it does not read the exponent of a hexadecimal number */
	return d > -0x1p53 && d < 0x1p53 && (double)(int64_t)d == d;
}

/* A float as Python's repr() shows it where it is whole, which a loss scale nearly always is. */
static void write_scale(const struct counters *c, struct text *text)
{
	if (!c->scaled || !(c->loss_scale - c->loss_scale == 0)) /* no NaN, no infinity */
		text_add(text, "    \"loss_scale\": null,\n");
	else if (is_whole(c->loss_scale))
		text_add(text, "    \"loss_scale\": %.1f,\n", c->loss_scale);
	else
		text_add(text, "    \"loss_scale\": %.17g,\n", c->loss_scale);
}

int counters_write(const struct counters *counters, struct arena *arena, struct bytes *out, struct error *err)
{
	struct text text = TEXT_EMPTY;

	text_add(&text, "{\n");
	write_number(counters, COUNTERS_EPOCH, ",\n", &text);
	write_number(counters, COUNTERS_STEP, ",\n", &text);
	write_number(counters, COUNTERS_GLOBAL, ",\n", &text);
	write_scale(counters, &text);
	write_number(counters, COUNTERS_BATCH, ",\n", &text);
	write_number(counters, COUNTERS_SAMPLES, ",\n", &text);
	write_number(counters, COUNTERS_STATUS, "\n}", &text);
	return text_finish(&text, arena, out) < 0 ? error_nomem(err) : 0;
}

/* What is being added to. */
struct adding {
	struct checkpoint *ckpt;
	struct tensor *outside;           /* [ckpt->outside_count], with room */
	struct checkpoint_copies *copies; /* beside them */
	struct arena *arena;
};

static bool is_there(const struct adding *a, const char *name)
{
	for (uint64_t i = 0; i < a->ckpt->outside_count; i++)
		if (strcmp(a->outside[i].name, name) == 0)
			return true;
	return checkpoint_find(a->ckpt->tensors, a->ckpt->count, name) != NULL;
}

/* A tensor whose bytes are ours: `bytes` of `raw`, a scalar or, with `axes` 1, a list of one. */
static int add(struct adding *a, const char *name, enum dtype dtype, uint32_t axes, uint64_t raw)
{
	uint32_t bytes = dtype_bits(dtype) / 8;
	uint8_t *literal = arena_alloc(a->arena, bytes, 1);
	uint64_t *shape = arena_alloc(a->arena, 1, sizeof(*shape));
	struct checkpoint_copy *copy = arena_alloc(a->arena, 1, sizeof(*copy));

	if (is_there(a, name))
		return 0;
	if (!literal || !shape || !copy)
		return -ENOMEM;
	for (uint32_t i = 0; i < bytes; i++)
		literal[i] = (uint8_t)(raw >> 8 * i);
	*shape = 1;
	a->outside[a->ckpt->outside_count] = (struct tensor){ .name = name, .source_name = name, .shape = shape, .grid = box_uncut(axes),
							      .literal = literal, .bytes = bytes, .dtype = dtype, .axes = axes };
	a->copies[a->ckpt->outside_count++] = (struct checkpoint_copies){ copy, 1 };
	return 0;
}

static int add_scale(struct adding *a, const struct counters *c)
{
	double scale = c->scaled ? c->loss_scale : 1;
	float narrow = (float)scale;
	uint32_t raw;

	if (is_whole(scale))
		return add(a, "loss_scale", DTYPE_I64, 0, (uint64_t)(int64_t)scale);
	memcpy(&raw, &narrow, sizeof(raw));
	return add(a, "loss_scale", DTYPE_F32, 0, raw);
}

/* Both lists in natural order again: what was added is moved to its place. */
static void sort(struct adding *a)
{
	for (uint64_t i = 1; i < a->ckpt->outside_count; i++)
		for (uint64_t j = i; j > 0 && natural_compare(a->outside[j - 1].name, a->outside[j].name) > 0; j--) {
			struct tensor t = a->outside[j];
			struct checkpoint_copies c = a->copies[j];

			a->outside[j] = a->outside[j - 1];
			a->copies[j] = a->copies[j - 1];
			a->outside[j - 1] = t;
			a->copies[j - 1] = c;
		}
}

static int add_all(struct adding *a, const struct counters *c)
{
	static const enum counters_number scalars[] = { COUNTERS_EPOCH, COUNTERS_STEP, COUNTERS_BATCH };
	bool any = false;
	int code = 0;

	for (size_t i = 0; code == 0 && i < sizeof(scalars) / sizeof(*scalars); i++)
		if (c->number[scalars[i]].known) {
			code = add(a, names[scalars[i]], DTYPE_I64, 0, c->number[scalars[i]].value);
			any = true;
		}
	if (code == 0 && c->number[COUNTERS_GLOBAL].known && c->number[COUNTERS_GLOBAL].value <= INT32_MAX)
		code = add(a, names[COUNTERS_GLOBAL], DTYPE_I32, 1, c->number[COUNTERS_GLOBAL].value);
	return code == 0 && any ? add_scale(a, c) : code;
}

int counters_add(const struct counters *counters, struct checkpoint *ckpt, struct arena *arena, struct error *err)
{
	uint64_t room = ckpt->outside_count + COUNTERS_COUNT + 1;
	struct adding a = { ckpt, arena_alloc(arena, room, sizeof(*a.outside)), arena_alloc(arena, room, sizeof(*a.copies)), arena };

	if (!a.outside || !a.copies)
		return error_nomem(err);
	if (ckpt->outside_count) {
		memcpy(a.outside, ckpt->outside, ckpt->outside_count * sizeof(*a.outside));
		memcpy(a.copies, ckpt->copies, ckpt->outside_count * sizeof(*a.copies));
	}
	if (add_all(&a, counters) < 0)
		return error_nomem(err);
	sort(&a);
	ckpt->outside = a.outside;
	ckpt->copies = a.copies;
	return 0;
}
