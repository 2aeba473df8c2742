/* SPDX-License-Identifier: Apache-2.0 */
/* See diff_write.h. */
#include <inttypes.h>
#include <string.h>

#include "fs/base/table.h"
#include "fs/verbs/diff_write.h"
#include "layout/checkpoint/describe.h"

#define DIGITS "%.6g" /* of a number that people read */

static bool same_shape(const struct diff_pair *p)
{
	return p->a->axes == p->b->axes && memcmp(p->a->shape, p->b->shape, p->a->axes * sizeof(*p->a->shape)) == 0;
}

/* What is different, in one word: the first thing that is. NULL for nothing. */
static const char *what_differs(const struct diff_pair *p)
{
	if (!p->a || !p->b)
		return p->a ? "only in A" : "only in B";
	if (!same_shape(p))
		return "shape";
	if (p->a->dtype != p->b->dtype)
		return "dtype";
	return p->found.differing ? "values" : NULL;
}

bool diff_write_differs(const struct diff_pair *p)
{
	return what_differs(p) != NULL;
}

uint64_t diff_write_count(const struct diff_write *w)
{
	uint64_t count = 0;

	for (uint64_t i = 0; i < w->count; i++)
		count += diff_write_differs(&w->pairs[i]);
	return count;
}

/* "F32 [2, 3]" */
static void add_form(struct text *text, const struct tensor *t)
{
	text_add(text, "%s ", dtype_name(t->dtype));
	describe_numbers(text, t->shape, t->axes);
}

/* Numbers that were compared: a complex element has two. */
static uint64_t numbers_of(const struct tensor *t)
{
	return describe_elements(t) * (values_kind(t->dtype) == VALUES_COMPLEX ? 2 : 1);
}

static void add_detail(struct table *table, const struct diff_pair *p)
{
	struct text text = TEXT_EMPTY;
	bool forms = !p->a || !p->b || !same_shape(p) || p->a->dtype != p->b->dtype;

	if (forms && p->a)
		add_form(&text, p->a);
	if (forms && p->a && p->b)
		text_add(&text, " / ");
	if (forms && p->b)
		add_form(&text, p->b);
	if (!forms)
		text_add(&text, "%" PRIu64 " of %" PRIu64, p->found.differing, numbers_of(p->a));
	if (!forms && p->found.nans)
		text_add(&text, ", %" PRIu64 " NaN", p->found.nans);
	table->cells.failed |= text.failed;
	table_add(table, "%s", text.ptr ? text.ptr : "");
	text_free(&text);
}

static void add_row(struct table *table, const struct diff_pair *p)
{
	table_add(table, "%s", what_differs(p));
	add_detail(table, p);
	if (p->compared) {
		table_add(table, DIGITS, p->found.absolute);
		table_add(table, DIGITS, p->found.relative);
	} else {
		table_add(table, "-");
		table_add(table, "-");
	}
	table_add(table, "%s", p->a ? p->a->name : p->b->name);
}

static void add_totals(const struct diff_write *w, const struct term *term, struct text *out)
{
	uint64_t differ = diff_write_count(w);
	char n[TERM_TEXT], all[TERM_TEXT];

	if (differ == 0)
		text_add(out, "%sall %s tensors are equal%s\n", term_style(term, TERM_GREEN), term_number(all, w->count),
			 term_style(term, TERM_PLAIN));
	else
		text_add(out, "%s%s of %s tensors differ%s\n", term_style(term, TERM_RED), term_number(n, differ), term_number(all, w->count),
			 term_style(term, TERM_PLAIN));
}

void diff_write_text(const struct diff_write *w, bool more, struct text *out)
{
	static const struct table_column columns[] = { { "WHAT", false, 0 }, { "DIFFERENT", false, 28 }, { "MAX ABS", true, 0 },
						       { "MAX REL", true, 0 }, { "TENSOR", false, 0 } };
	struct table table = table_new(columns, sizeof(columns) / sizeof(*columns));
	struct term term = term_of(stdout);

	for (uint64_t i = 0; i < w->count; i++)
		if (diff_write_differs(&w->pairs[i]))
			add_row(&table, &w->pairs[i]);
	table_write(&table, &term, more && table.cell_count > 0, out);
	table_free(&table);
	if (more)
		add_totals(w, &term, out);
}

/* "name": {"dtype", "shape"}, or null. */
static void json_side(struct text *out, const char *name, const struct tensor *t)
{
	text_add(out, ", \"%s\": ", name);
	if (!t) {
		text_add(out, "null");
		return;
	}
	text_add(out, "{\"dtype\": \"%s\", \"shape\": ", dtype_name(t->dtype));
	describe_numbers(out, t->shape, t->axes);
	text_add(out, "}");
}

/* "name": [index of the element on each axis]. */
static void json_place(struct text *out, const char *name, const struct tensor *t, uint64_t element)
{
	uint64_t place[BOX_AXES];

	for (uint32_t a = t->axes; a-- > 0; element /= t->shape[a])
		place[a] = element % t->shape[a];
	text_add(out, ", \"%s\": ", name);
	describe_numbers(out, place, t->axes);
}

/* Infinity is no number of JSON's, so a string says it. */
static void json_number(struct text *out, const char *name, double v)
{
	char number[VALUES_TEXT];

	text_add(out, __builtin_isfinite(v) ? ", \"%s\": %s" : ", \"%s\": \"%s\"", name, values_text_double(v, number));
}

static void json_pair(struct text *out, const struct diff_pair *p)
{
	text_add(out, "{\"name\": ");
	text_json_ascii(out, p->a ? p->a->name : p->b->name);
	text_add(out, ", \"difference\": \"%s\"", what_differs(p));
	json_side(out, "a", p->a);
	json_side(out, "b", p->b);
	if (p->compared) {
		text_add(out, ", \"numbers\": %" PRIu64 ", \"differing\": %" PRIu64 ", \"nan_on_one_side\": %" PRIu64, numbers_of(p->a),
			 p->found.differing, p->found.nans);
		json_number(out, "max_abs", p->found.absolute);
		json_number(out, "max_rel", p->found.relative);
	}
	if (p->compared && p->found.differing) {
		json_place(out, "first", p->a, p->found.first);
		json_place(out, "max_abs_at", p->a, p->found.at);
	}
	text_add(out, "}");
}

void diff_write_json(const struct diff_write *w, struct text *out)
{
	uint64_t differ = diff_write_count(w), written = 0;

	text_add(out, "{\n  \"equal\": %s,\n  \"tensors\": %" PRIu64 ",\n  \"differing\": %" PRIu64 ",\n  \"differences\": [", differ ? "false" : "true",
		 w->count, differ);
	for (uint64_t i = 0; i < w->count; i++) {
		if (!diff_write_differs(&w->pairs[i]))
			continue;
		text_add(out, written++ ? ",\n    " : "\n    ");
		json_pair(out, &w->pairs[i]);
	}
	text_add(out, "%s]\n}\n", differ ? "\n  " : "");
}
