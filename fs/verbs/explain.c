/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gatherfs explain: where a tensor, or one element of it, lives: every copy that a rank has, with its file and the byte there. The
 * values of an element's copies are read and shown side by side.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "fs/base/table.h"
#include "fs/options/pattern.h"
#include "fs/options/suggest.h"
#include "fs/verbs/subject.h"
#include "fs/verbs/verbs.h"
#include "layout/checkpoint/copies.h"
#include "layout/checkpoint/describe.h"
#include "layout/names/weave.h"
#include "layout/values/values.h"

struct explain {
	const struct model *model;
	const struct tensor *tensor;
	bool indexed;              /* an element is asked for ... */
	uint64_t index[BOX_AXES];  /* ... this one */
};

/* One copy, as it is told. */
struct place {
	struct copies_one copy;
	struct box box;       /* of its block */
	uint64_t element;     /* of the one asked for, in the block; 0 without one */
	uint64_t offset, len; /* bytes in the file: of the element (its first), or of the block */
	const struct source *source;
	char value[VALUES_TEXT];
};

/* The last tensor of a list that matches; *matches counts them. */
static const struct tensor *match(const struct tensor *list, uint64_t count, const char *name, uint64_t *matches)
{
	const struct tensor *found = NULL;

	for (uint64_t i = 0; i < count; i++)
		if (pattern_matches(name, list[i].name) || strcmp(list[i].source_name, name) == 0) {
			found = &list[i];
			++*matches;
		}
	return found;
}

static int unknown(const struct checkpoint *c, const char *name, struct error *err)
{
	struct suggest s = suggest_begin(name);

	for (uint64_t i = 0; i < c->count + c->outside_count; i++)
		suggest_offer(&s, i < c->count ? c->tensors[i].name : c->outside[i - c->count].name);
	if (s.best)
		return error_set(err, -ENOENT, "there is no tensor \"%s\"; did you mean \"%s\"?", name, s.best);
	return error_set(err, -ENOENT, "there is no tensor \"%s\" (`gatherfs ls` lists them)", name);
}

/* By its whole name, else by a part of it or a pattern that fits one tensor only. */
static int find(struct explain *e, const char *name, struct error *err)
{
	const struct checkpoint *c = e->model->checkpoint;
	const struct tensor *among, *outside;
	uint64_t matches = 0;

	e->tensor = checkpoint_find(c->tensors, c->count, name);
	if (!e->tensor)
		e->tensor = checkpoint_find(c->outside, c->outside_count, name);
	if (e->tensor)
		return 0;
	among = match(c->tensors, c->count, name, &matches);
	outside = match(c->outside, c->outside_count, name, &matches);
	e->tensor = among ? among : outside;
	if (matches > 1)
		return error_set(err, -EINVAL, "%" PRIu64 " tensors match \"%s\", \"%s\" is one; the whole name tells which is meant", matches, name,
				 e->tensor->name);
	return matches ? 0 : unknown(c, name, err);
}

/* "3,17", "[3, 17]", "3 17": a number for each axis, below its extent. */
static int parse_index(struct explain *e, const char *text, struct error *err)
{
	const struct tensor *t = e->tensor;
	const char *p = text;
	uint32_t n = 0;

	e->indexed = true;
	for (p += strspn(p, "[( "); *p >= '0' && *p <= '9' && n < t->axes; n++) {
		char *end;

		errno = 0;
		e->index[n] = strtoull(p, &end, 10);
		if (errno || e->index[n] >= t->shape[n])
			return error_set(err, -EINVAL, "index \"%s\": axis %u has %" PRIu64 " elements, counted from 0", text, n, t->shape[n]);
		p = end + strspn(end, ", ");
	}
	p += strspn(p, "]) ");
	if (*p == '\0' && n == t->axes)
		return 0;
	return error_set(err, -EINVAL, "index \"%s\": expected %u numbers for tensor \"%s\"", text, t->axes, t->name);
}

static bool holds(const struct explain *e, struct place *p)
{
	p->element = 0;
	for (uint32_t a = 0; a < e->tensor->axes; a++) {
		if (e->index[a] < p->box.start[a] || e->index[a] - p->box.start[a] >= p->box.count[a])
			return false;
		p->element = p->element * p->box.count[a] + (e->index[a] - p->box.start[a]);
	}
	return true;
}

/*
 * Reads the element of a copy. Types under 8 bits have no byte of their own, so the group of eight elements that begins on a whole byte
 * is read, as far as the block has it.
 */
static int read_value(const struct explain *e, struct place *p, struct error *err)
{
	enum dtype dtype = e->tensor->dtype;
	uint64_t bits = dtype_bits(dtype), group = p->element / 8 * 8, begin = group * bits / 8;
	uint64_t block = e->tensor->bytes / p->copy.grid->blocks, len = bits < block - begin ? bits : block - begin;
	uint8_t raw[64] = { 0 };
	int code = source_read(p->source, p->copy.piece.offset + begin, raw, len, err);

	if (code == 0)
		values_text(dtype, raw, p->element - group, p->value);
	return code;
}

static int place(const struct explain *e, const struct copies_one *copy, struct place *p, bool *wanted, struct error *err)
{
	const struct tensor *t = e->tensor;
	uint64_t begin;

	*p = (struct place){ .copy = *copy, .source = &e->model->sources->list[copy->piece.source], .len = t->bytes / copy->grid->blocks };
	box_of_block(copy->grid, t->shape, copy->block, &p->box);
	*wanted = !e->indexed || holds(e, p);
	begin = p->element * dtype_bits(t->dtype) / 8;
	p->offset = p->len ? source_byte(p->source, copy->piece.offset + begin) : copy->piece.offset;
	return *wanted && e->indexed ? read_value(e, p, err) : 0;
}

/* "[0:2, 0:8]", as a slice is written in Python. */
static void add_box(struct text *out, const struct box *box)
{
	text_add(out, "[");
	for (uint32_t a = 0; a < box->axes; a++)
		text_add(out, "%s%" PRIu64 ":%" PRIu64, a ? ", " : "", box->start[a], box->start[a] + box->count[a]);
	text_add(out, "]");
}

static void add_row(const struct explain *e, const struct place *p, struct table *table)
{
	struct text box = TEXT_EMPTY;

	add_box(&box, &p->box);
	table->cells.failed |= box.failed;
	table_add(table, p->copy.rank == COPIES_NO_RANK ? "-" : "%u", p->copy.rank);
	table_add(table, "%u", p->copy.block);
	if (e->indexed)
		table_add(table, "%s", p->value);
	else
		table_add(table, "%s", box.ptr);
	table_add(table, "%" PRIu64, p->offset);
	table_add(table, "%s", p->copy.serves ? "*" : "");
	table_add(table, "%s", p->source->path);
	text_free(&box);
}

static void add_head(const struct explain *e, const struct term *term, struct text *out)
{
	const struct tensor *t = e->tensor;
	char size[TERM_TEXT];

	text_add(out, "%s", term_style(term, TERM_BOLD));
	term_name(out, t->name, 0);
	text_add(out, "%s", term_style(term, TERM_PLAIN));
	if (e->indexed)
		describe_numbers(out, e->index, t->axes);
	text_add(out, "  %s ", dtype_name(t->dtype));
	describe_numbers(out, t->shape, t->axes);
	text_add(out, ", %s bytes, cut ", term_number(size, t->bytes));
	describe_cuts(out, &t->grid);
	text_add(out, "\n");
	if (strcmp(t->name, t->source_name) != 0) {
		text_add(out, "in the files it is ");
		term_name(out, t->source_name, 0);
		text_add(out, "\n");
	}
}

static int write_text(const struct explain *e, struct text *out, struct error *err)
{
	static const struct table_column blocks[] = { { "RANK", true, 0 }, { "BLOCK", true, 0 }, { "BOX", false, 26 }, { "BYTE", true, 0 },
						      { "", false, 0 }, { "FILE", false, 0 } };
	static const struct table_column values[] = { { "RANK", true, 0 }, { "BLOCK", true, 0 }, { "VALUE", false, 24 }, { "BYTE", true, 0 },
						      { "", false, 0 }, { "FILE", false, 0 } };
	struct table table = table_new(e->indexed ? values : blocks, 6);
	struct copies walk = copies_of(e->tensor);
	struct term term = term_of(stdout);
	struct copies_one copy;
	struct place p;
	bool wanted;
	int code = 0;

	while (code == 0 && copies_next(&walk, &copy)) {
		code = place(e, &copy, &p, &wanted, err);
		if (code == 0 && wanted)
			add_row(e, &p, &table);
	}
	add_head(e, &term, out);
	table_write(&table, &term, true, out);
	table_free(&table);
	text_add(out, "%s(* is what a view shows)%s\n", term_style(&term, TERM_DIM), term_style(&term, TERM_PLAIN));
	return code;
}

static void add_json(const struct explain *e, const struct place *p, struct text *out)
{
	if (p->copy.rank != COPIES_NO_RANK)
		text_add(out, "{\"rank\": %u, \"stage\": %u, ", p->copy.rank, p->copy.stage);
	else
		text_add(out, "{\"rank\": null, \"stage\": null, ");
	text_add(out, "\"block\": %u, \"start\": ", p->copy.block);
	describe_numbers(out, p->box.start, p->box.axes);
	text_add(out, ", \"count\": ");
	describe_numbers(out, p->box.count, p->box.axes);
	text_add(out, ", \"file\": ");
	text_json_ascii(out, p->source->path);
	text_add(out, ", \"offset\": %" PRIu64 ", \"served\": %s", p->offset, p->copy.serves ? "true" : "false");
	if (e->indexed)
		text_add(out, ", \"value\": \"%s\"}", p->value);
	else
		text_add(out, ", \"bytes\": %" PRIu64 "}", p->len);
}

static int write_json(const struct explain *e, struct text *out, struct error *err)
{
	struct copies walk = copies_of(e->tensor);
	struct copies_one copy;
	const char *comma = "";
	struct place p;
	bool wanted;
	int code = 0;

	text_add(out, "{");
	describe_json(out, e->tensor);
	if (e->indexed) {
		text_add(out, ", \"index\": ");
		describe_numbers(out, e->index, e->tensor->axes);
	}
	text_add(out, ",\n  \"copies\": [");
	while (code == 0 && copies_next(&walk, &copy)) {
		code = place(e, &copy, &p, &wanted, err);
		if (code == 0 && wanted) {
			text_add(out, "%s\n    ", comma);
			add_json(e, &p, out);
			comma = ",";
		}
	}
	text_add(out, "\n  ]}\n");
	return code;
}

static int explain(struct subject *s, struct error *err)
{
	struct explain e = { .indexed = false };
	struct text out = TEXT_EMPTY;
	int code = subject_load(s, false, err);

	e.model = s->model;
	if (code == 0)
		code = find(&e, s->args[0], err);
	if (code == 0 && e.tensor->woven)
		code = error_set(err, -EINVAL, "tensor \"%s\" is made of parts of others, such as \"%s\"; ask for those", e.tensor->name,
				 e.tensor->woven->of[0]->name);
	if (code == 0 && s->arg_count > 1)
		code = parse_index(&e, s->args[1], err);
	if (code == 0)
		code = s->options.json ? write_json(&e, &out, err) : write_text(&e, &out, err);
	if (code == 0)
		return term_output(&out, err);
	text_free(&out);
	return code;
}

int explain_main(int argc, char **argv)
{
	struct subject s;
	struct error err = { "" };
	int code = subject_begin(&s, argc, argv, 1, 2);

	return subject_end(&s, code == SUBJECT_GO ? explain(&s, &err) : code, &err);
}
