/* SPDX-License-Identifier: Apache-2.0 */
/* The correspondence of names=, as a table and as JSON: which tensor of the view is which of SOURCE, or is made of which. */
#include <inttypes.h>
#include <string.h>

#include "fs/base/table.h"
#include "fs/verbs/info.h"
#include "layout/names/weave.h"

#define PARTS_SHOWN 4

/* Tensors of SOURCE that `t` is made of. */
static uint32_t parts_of(const struct tensor *t)
{
	return t->woven ? t->woven->weave->count : 1;
}

static const char *part_of(const struct tensor *t, uint32_t i)
{
	return t->woven ? t->woven->of[i]->source_name : t->source_name;
}

static void write_shape(const struct tensor *t, struct text *text)
{
	text_add(text, "[");
	for (uint32_t a = 0; a < t->axes; a++)
		text_add(text, a ? ", %" PRIu64 : "%" PRIu64, t->shape[a]);
	text_add(text, "]");
}

/* "a + b + c", and how many more there are. */
static void write_parts(const struct tensor *t, struct text *text)
{
	uint32_t count = parts_of(t), shown = count <= PARTS_SHOWN + 1 ? count : PARTS_SHOWN;

	for (uint32_t i = 0; i < shown; i++) {
		text_add(text, "%s", i ? " + " : t->woven && count == 1 ? "part of " : "");
		term_name(text, part_of(t, i), 0);
	}
	if (shown < count)
		text_add(text, " + %u more", count - shown);
}

void info_names(const struct info *in, struct text *out)
{
	static const struct table_column columns[] = { { "NAME IN THE VIEW", false, 0 }, { "SHAPE", false, 0 }, { "IN SOURCE", false, 0 } };
	struct table table = table_new(columns, sizeof(columns) / sizeof(*columns));
	const struct checkpoint *ckpt = in->model->checkpoint;

	text_add(out, "\n");
	for (uint64_t i = 0; i < ckpt->count; i++) {
		struct text name = TEXT_EMPTY, shape = TEXT_EMPTY, parts = TEXT_EMPTY;

		term_name(&name, ckpt->tensors[i].name, 0);
		write_shape(&ckpt->tensors[i], &shape);
		write_parts(&ckpt->tensors[i], &parts);
		out->failed |= name.failed || shape.failed || parts.failed;
		table_add(&table, "%s", name.ptr ? name.ptr : "");
		table_add(&table, "%s", shape.ptr ? shape.ptr : "");
		table_add(&table, "%s", parts.ptr ? parts.ptr : "");
		text_free(&name);
		text_free(&shape);
		text_free(&parts);
	}
	table_write(&table, &in->term, true, out);
	table_free(&table);
}

void info_names_json(const struct info *in, struct text *out)
{
	const struct checkpoint *ckpt = in->model->checkpoint;

	text_add(out, ",\n  \"names\": {");
	for (uint64_t i = 0; i < ckpt->count; i++) {
		const struct tensor *t = &ckpt->tensors[i];

		text_add(out, i ? ",\n    " : "\n    ");
		text_json_ascii(out, t->name);
		text_add(out, ": [");
		for (uint32_t k = 0; k < parts_of(t); k++) {
			text_add(out, k ? ", " : "");
			text_json_ascii(out, part_of(t, k));
		}
		text_add(out, "]");
	}
	text_add(out, "}");
}
