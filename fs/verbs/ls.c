/* SPDX-License-Identifier: Apache-2.0 */
/* gatherfs ls: a table of the tensors of a SOURCE. Only headers are read. */
#include <errno.h>
#include <inttypes.h>

#include "fs/base/table.h"
#include "fs/options/pattern.h"
#include "fs/verbs/subject.h"
#include "fs/verbs/verbs.h"
#include "layout/checkpoint/describe.h"

/* What the listed tensors are together. */
struct totals {
	uint64_t tensors, outside, elements, bytes, held;
};

/* The tensors that match, parameters and others, in natural order of their names. */
struct list {
	const struct tensor **tensor; /* [count] */
	const struct checkpoint *ckpt;
	struct totals totals;
};

static bool is_outside(const struct list *l, const struct tensor *t)
{
	return t >= l->ckpt->outside && t < l->ckpt->outside + l->ckpt->outside_count;
}

static void take(struct list *l, const struct tensor *list, uint64_t count, const char *pattern)
{
	for (uint64_t i = 0; i < count; i++) {
		if (!pattern_matches(pattern, list[i].name))
			continue;
		l->tensor[l->totals.tensors++] = &list[i];
		l->totals.outside += is_outside(l, &list[i]);
		l->totals.elements += describe_elements(&list[i]);
		l->totals.bytes += list[i].bytes;
		l->totals.held += describe_held_bytes(&list[i]);
	}
}

static int collect(const struct subject *s, struct list *l, struct error *err)
{
	const struct checkpoint *ckpt = s->model->checkpoint;
	const char *pattern = s->arg_count ? s->args[0] : NULL;

	l->ckpt = ckpt;
	l->tensor = arena_alloc(s->model->arena, ckpt->count + ckpt->outside_count, sizeof(*l->tensor));
	if (!l->tensor)
		return error_nomem(err);
	take(l, ckpt->tensors, ckpt->count, pattern);
	take(l, ckpt->outside, ckpt->outside_count, pattern);
	if (l->totals.tensors == 0 && pattern)
		return error_set(err, -ENOENT, "no tensor matches \"%s\" (the SOURCE has %" PRIu64 ")", pattern,
				 ckpt->count + ckpt->outside_count);
	return 0;
}

static void add_row(struct table *table, const struct tensor *t)
{
	struct text shape = TEXT_EMPTY, cuts = TEXT_EMPTY, ranks = TEXT_EMPTY;
	char size[TERM_TEXT];

	describe_numbers(&shape, t->shape, t->axes);
	describe_cuts(&cuts, &t->grid);
	describe_ranks(&ranks, t);
	table->cells.failed |= shape.failed || cuts.failed || ranks.failed;
	table_add(table, "%s", dtype_name(t->dtype));
	table_add(table, "%s", shape.ptr);
	table_add(table, "%s", term_size(size, t->bytes));
	table_add(table, "%s", cuts.ptr);
	table_add(table, "%s", ranks.ptr);
	table_add(table, "%s", t->name);
	text_free(&shape);
	text_free(&cuts);
	text_free(&ranks);
}

static void add_totals(const struct list *l, const struct term *term, struct text *out)
{
	char n[TERM_TEXT], elements[TERM_TEXT], bytes[TERM_TEXT], held[TERM_TEXT];
	struct text line = TEXT_EMPTY;

	text_add(&line, "%s tensors", term_number(n, l->totals.tensors));
	if (l->totals.outside)
		text_add(&line, " (%s outside the strategy)", term_number(n, l->totals.outside));
	text_add(&line, ", %s elements, %s", term_number(elements, l->totals.elements), term_size(bytes, l->totals.bytes));
	if (l->totals.held != l->totals.bytes)
		text_add(&line, "; %s with all copies", term_size(held, l->totals.held));
	out->failed |= line.failed;
	text_add(out, "%s", term_style(term, TERM_BOLD));
	term_wrap(out, line.ptr ? line.ptr : "", term->columns, 0);
	text_add(out, "%s\n", term_style(term, TERM_PLAIN));
	text_free(&line);
}

static void write_text(const struct subject *s, const struct list *l, struct text *out)
{
	static const struct table_column columns[] = { { "DTYPE", false, 0 }, { "SHAPE", false, 22 }, { "SIZE", true, 0 }, { "CUT", false, 10 },
						       { "RANKS", false, 10 }, { "TENSOR", false, 0 } };
	struct table table = table_new(columns, sizeof(columns) / sizeof(*columns));
	struct term term = term_of(stdout);

	for (uint64_t i = 0; i < l->totals.tensors; i++)
		add_row(&table, l->tensor[i]);
	table_write(&table, &term, !s->options.quiet, out);
	table_free(&table);
	if (!s->options.quiet)
		add_totals(l, &term, out);
}

static void write_json(const struct list *l, struct text *out)
{
	text_add(out, "{\n  \"tensors\": [");
	for (uint64_t i = 0; i < l->totals.tensors; i++) {
		text_add(out, "%s\n    {", i ? "," : "");
		describe_json(out, l->tensor[i]);
		text_add(out, ", \"outside\": %s}", is_outside(l, l->tensor[i]) ? "true" : "false");
	}
	text_add(out, "\n  ],\n  \"totals\": {\"tensors\": %" PRIu64 ", \"outside\": %" PRIu64 ", \"elements\": %" PRIu64 ", \"bytes\": %" PRIu64
		 ", \"bytes_with_copies\": %" PRIu64 "}\n}\n", l->totals.tensors, l->totals.outside, l->totals.elements, l->totals.bytes,
		 l->totals.held);
}

static int run(struct subject *s, struct error *err)
{
	struct list l = { 0 };
	struct text out = TEXT_EMPTY;
	int code = subject_load(s, false, err);

	if (code == 0)
		code = collect(s, &l, err);
	if (code < 0)
		return code;
	if (s->options.json)
		write_json(&l, &out);
	else
		write_text(s, &l, &out);
	return term_output(&out, err);
}

int ls_main(int argc, char **argv)
{
	struct subject s;
	struct error err = { "" };
	int code = subject_begin(&s, argc, argv, 0, 1);

	return subject_end(&s, code == SUBJECT_GO ? run(&s, &err) : code, &err);
}
