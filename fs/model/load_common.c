/* SPDX-License-Identifier: Apache-2.0 */
/*
 * common.json in a unified view: MindSpore Transformers 2.x resumes from it. An iteration has one, which is shown as it is; another
 * source has the same numbers as tensors. One that a source of whole tensors has itself shows through as its other small files do.
 */
#include <string.h>

#include "fs/model/loading.h"
#include "layout/checkpoint/counters.h"

/* The bytes of a counter, which is one number. */
static bool read_raw(const struct loading *ld, const struct tensor *t, uint64_t *out)
{
	uint8_t raw[8] = { 0 };
	struct error ignored;

	if (t->bytes != dtype_bits(t->dtype) / 8 || t->bytes > sizeof(raw))
		return false;
	if (t->literal)
		memcpy(raw, t->literal, t->bytes);
	else if (source_read(&ld->model->sources->list[t->pieces[0].source], t->pieces[0].offset, raw, t->bytes, &ignored) < 0)
		return false;
	*out = bytes_le64(raw);
	return true;
}

bool load_counter(const struct loading *ld, const char *name, uint64_t *out)
{
	const struct checkpoint *c = ld->model->checkpoint;
	const struct tensor *t = checkpoint_find(c->outside, c->outside_count, name);

	return t && (t->dtype == DTYPE_I64 || t->dtype == DTYPE_I32) && read_raw(ld, t, out) && *out >> (t->bytes * 8 - 1) == 0;
}

static bool read_scale(const struct loading *ld, double *out)
{
	const struct checkpoint *c = ld->model->checkpoint;
	const struct tensor *t = checkpoint_find(c->outside, c->outside_count, "loss_scale");
	uint64_t raw;
	uint32_t low;
	float narrow;

	if (load_counter(ld, "loss_scale", &raw)) {
		*out = (double)raw;
		return true;
	}
	if (!t || t->dtype != DTYPE_F32 || !read_raw(ld, t, &raw))
		return false;
	low = (uint32_t)raw;
	memcpy(&narrow, &low, sizeof(narrow));
	*out = narrow;
	return true;
}

static bool has_own(const struct loading *ld)
{
	for (uint64_t i = 0; ld->unified && i < ld->entries.count; i++)
		if (strcmp(ld->entries.entries[i].name, "common.json") == 0)
			return true;
	return false;
}

int load_common(struct loading *ld, struct error *err)
{
	struct model *m = ld->model;
	struct counters c = { .scaled = false };
	struct bytes text;
	int code;

	if (ld->common)
		return load_file(ld, ld->common, "common.json", err);
	if (has_own(ld))
		return 0;
	for (int i = 0; i < COUNTERS_COUNT; i++)
		c.number[i].known = load_counter(ld, counters_name((enum counters_number)i), &c.number[i].value);
	c.scaled = read_scale(ld, &c.loss_scale);
	if (!c.number[COUNTERS_EPOCH].known || !c.number[COUNTERS_STEP].known)
		return 0;
	code = counters_write(&c, m->arena, &text, err);
	return code == 0 ? view_add_literal(&m->view, m->arena, "common.json", text, err) : code;
}
