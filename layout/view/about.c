/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See about.h. A part is a block of the tensor's grid; in a file it is one range of bytes, or several in a .ckpt file that holds a
 * large tensor in slices. A woven tensor has no parts of its own, so those of the tensors that it is made of are listed.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "layout/checkpoint/describe.h"
#include "layout/formats/step.h"
#include "layout/names/weave.h"
#include "layout/values/printed.h"
#include "layout/values/values.h"
#include "layout/view/about.h"
#include "layout/view/npy.h"

int64_t about_rank(const char *path)
{
	const char *end = strrchr(path, '/'), *begin = end;
	char folder[64];
	uint64_t rank;

	while (begin && begin > path && begin[-1] != '/')
		begin--;
	if (!end || end == begin || (size_t)(end - begin) >= sizeof(folder))
		return ABOUT_NO_RANK;
	memcpy(folder, begin, (size_t)(end - begin));
	folder[end - begin] = '\0';
	return step_rank_of_dir(folder, &rank) && rank <= INT64_MAX ? (int64_t)rank : ABOUT_NO_RANK;
}

struct corners_array about_array(const struct tensor *t)
{
	return (struct corners_array){ .dtype = t->dtype, .axes = t->axes, .shape = t->shape };
}

bool about_next_range(const struct about_source *s, const struct piece *piece, uint64_t bytes, struct about_range *r)
{
	uint64_t at = piece->offset + r->done;

	if (r->done >= bytes)
		return false;
	*r = (struct about_range){ .offset = at, .len = bytes - r->done, .done = r->done };
	for (uint64_t i = 0; i < s->splice_count; i++) {
		const struct ckpt_splice *x = &s->splices[i];

		if (at < x->logical || at - x->logical >= x->len)
			continue;
		r->offset = x->physical + (at - x->logical);
		if (r->len > x->len - (at - x->logical))
			r->len = x->len - (at - x->logical);
	}
	r->done += r->len;
	return true;
}

/* "[0:8, 4:8]", as one would write it behind an array. */
static int box_text(const struct tensor *t, uint32_t block, char *out, size_t room)
{
	struct box box;
	size_t at = 1;

	out[0] = '[';
	box_of_block(&t->grid, t->shape, block, &box);
	for (uint32_t a = 0; a < box.axes && at < room; a++)
		at += (size_t)snprintf(out + at, room - at, "%s%" PRIu64 ":%" PRIu64, a ? ", " : "", box.start[a], box.start[a] + box.count[a]);
	return at < room ? (int)(at + (size_t)snprintf(out + at, room - at, "]")) : (int)room;
}

#define BOX_TEXT (BOX_AXES * 44 + 4)

static void add_part(const struct about *about, const struct tensor *t, uint32_t block, int width, struct text *text)
{
	const struct piece *piece = &t->pieces[block];
	const struct about_source *s = &about->sources[piece->source];
	struct about_range range = { 0 };
	char box[BOX_TEXT], rank[24] = "-";

	box_text(t, block, box, sizeof(box));
	if (s->rank != ABOUT_NO_RANK)
		snprintf(rank, sizeof(rank), "%" PRId64, s->rank);
	while (about_next_range(s, piece, t->bytes / t->grid.blocks, &range)) {
		text_add(text, "%-*s  %5s  %14" PRIu64 "  %14" PRIu64 "  ", width, box, rank, range.offset, range.len);
		text_shown(text, s->path);
		text_add(text, "\n");
	}
}

/* The parts of a tensor that lies in files. */
static void add_parts(const struct about *about, const struct tensor *t, struct text *text)
{
	int width = (int)strlen("PART");
	char box[BOX_TEXT];

	if (t->literal) {
		text_add(text, "\nin no file as a tensor: a counter of the training\n");
		return;
	}
	for (uint32_t b = 0; b < t->grid.blocks; b++) {
		int len = box_text(t, b, box, sizeof(box));

		width = len > width ? len : width;
	}
	text_add(text, "\n%-*s  %5s  %14s  %14s  %s\n", width, "PART", "RANK", "OFFSET", "BYTES", "FILE");
	for (uint32_t b = 0; b < t->grid.blocks; b++)
		add_part(about, t, b, width, text);
}

/* Whether part `i` of a woven tensor is the first that is made of its source. */
static bool is_first_of(const struct tensor *t, uint32_t i)
{
	for (uint32_t j = 0; j < i; j++)
		if (t->woven->of[j] == t->woven->of[i])
			return false;
	return true;
}

static void add_line(struct text *text, const char *what, const char *s)
{
	text_add(text, "%-9s ", what);
	text_shown(text, s);
	text_add(text, "\n");
}

static void add_head(const struct tensor *t, struct text *text)
{
	add_line(text, "name", t->name);
	if (!t->woven && strcmp(t->name, t->source_name) != 0)
		add_line(text, "in files", t->source_name);
	text_add(text, "dtype     %s, %u bits", dtype_name(t->dtype), dtype_bits(t->dtype));
	if (!values_numpy(t->dtype))
		text_add(text, " (numpy has no such type: the .npy file is %s of shape ", npy_type(t->dtype));
	if (!values_numpy(t->dtype))
		npy_shape(t, text);
	text_add(text, values_numpy(t->dtype) ? "\nshape     " : ")\nshape     ");
	describe_numbers(text, t->shape, t->axes);
	text_add(text, "\nelements  %" PRIu64 "\nbytes     %" PRIu64 "\n", describe_elements(t), t->bytes);
}

void about_text(const struct about *about, struct text *text)
{
	const struct tensor *t = about->tensor;
	const struct weave *w = t->woven ? t->woven->weave : NULL;

	add_head(t, text);
	if (!w) {
		text_add(text, "parts     %u (", t->grid.blocks);
		describe_cuts(text, &t->grid);
		text_add(text, ")\n");
		add_parts(about, t, text);
	} else {
		text_add(text, "made of   %u parts of other tensors:\n", w->count);
	}
	for (uint32_t i = 0; w && i < w->count; i++) {
		if (!is_first_of(t, i))
			continue;
		text_add(text, "\n");
		add_head(t->woven->of[i], text);
		add_parts(about, t->woven->of[i], text);
	}
	text_add(text, "\n");
	printed_array(about->corners, text);
	text_add(text, "\n");
}
