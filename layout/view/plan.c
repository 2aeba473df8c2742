/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Intersecting a block of an image with the grid of its tensor's pieces.
 *
 * An inner axis on which the image's block is exactly one source block makes no difference to addresses: both sides lay its
 * elements next to each other. Such axes are folded into the axis outside them, so that a whole tensor cut by rows becomes
 * one axis, and one cut by columns becomes two: rows, and bytes of a row. What is left is walked by the outermost-but-last
 * axis in groups of whole rows, cut where a source block ends.
 */
#include <assert.h>

#include "layout/names/weave.h"
#include "layout/view/plan.h"

static uint64_t min64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* True when the image's block covers exactly one source block along this axis. */
static bool is_one_block(const struct plan_axis *a)
{
	return a->count == a->width && a->start % a->width == 0;
}

/* Folds `inner`, which is one source block wide, into `outer`. */
static void fold(struct plan_cut *cut, struct plan_axis *outer, const struct plan_axis *inner)
{
	cut->block0 += (uint32_t)(inner->start / inner->width) * inner->block_stride;
	outer->start *= inner->width;
	outer->count *= inner->width;
	outer->width *= inner->width;
}

/* The axes of the image's block over the source grid, as they are. A scalar gets one axis of one element. */
static uint32_t axes_of(const struct extent *e, struct plan_axis *axis)
{
	const struct tensor *t = e->tensor;
	uint32_t stride = 1;
	struct box box;

	box_of_block(e->grid, t->shape, e->block, &box);
	for (uint32_t a = t->axes; a-- > 0; stride *= t->grid.cuts[a])
		axis[a] = (struct plan_axis){ .start = box.start[a], .count = box.count[a],
					      .width = t->shape[a] / t->grid.cuts[a], .block_stride = stride };
	if (t->axes == 0)
		axis[0] = (struct plan_axis){ .count = 1, .width = 1, .block_stride = 1 };
	return t->axes ? t->axes : 1;
}

/* Turns elements of the last axis into bytes: whole ones, as checkpoint_finish() and the view builders have proven. */
static void count_in_bytes(struct plan_axis *last, uint32_t bits)
{
	assert(last->start * bits % 8 == 0 && last->count * bits % 8 == 0 && last->width * bits % 8 == 0);
	last->start = last->start * bits / 8;
	last->count = last->count * bits / 8;
	last->width = last->width * bits / 8;
}

static void cut_make(struct plan_cut *cut, const struct extent *e)
{
	struct plan_axis axis[BOX_AXES];
	uint32_t n = axes_of(e, axis), at = BOX_AXES - 1;

	cut->block0 = 0;
	cut->axis[at] = axis[n - 1];
	for (uint32_t a = n - 1; a-- > 0;) {
		struct plan_axis *inner = &cut->axis[at];

		if (is_one_block(inner)) {
			fold(cut, &axis[a], inner);
			*inner = axis[a];
		} else {
			cut->axis[--at] = axis[a];
		}
	}
	cut->axes = BOX_AXES - at;
	for (uint32_t a = 0; a < cut->axes; a++)
		cut->axis[a] = cut->axis[at + a];
	count_in_bytes(&cut->axis[cut->axes - 1], dtype_bits(e->tensor->dtype));
	for (uint64_t a = cut->axes, dst = 1, src = 1; a-- > 0;) {
		cut->axis[a].dst_stride = dst;
		cut->axis[a].src_stride = src;
		dst *= cut->axis[a].count;
		src *= cut->axis[a].width;
	}
}

/* A woven tensor's block keeps its axes: each element knows its own way to a source. */
static void cut_woven(struct plan_cut *cut, const struct extent *e)
{
	uint64_t stride = dtype_bits(e->tensor->dtype) / 8;
	struct box box;

	box_of_block(e->grid, e->tensor->shape, e->block, &box);
	cut->axes = e->tensor->axes;
	for (uint32_t a = cut->axes; a-- > 0; stride *= box.count[a])
		cut->axis[a] = (struct plan_axis){ .start = box.start[a], .count = box.count[a], .dst_stride = stride };
}

static void enter(struct plan *plan, uint64_t number)
{
	const struct extent *e = &plan->extent;

	plan->extent = image_extent(plan->image, number);
	plan->number = number;
	plan->column = 0;
	plan->part = 0;
	if (e->kind == EXTENT_BLOCK && e->tensor->woven)
		cut_woven(&plan->cut, e);
	else if (e->kind == EXTENT_BLOCK)
		cut_make(&plan->cut, e);
}

void plan_begin(struct plan *plan, const struct image *image, uint64_t offset, uint64_t len)
{
	assert(offset <= image->size && len <= image->size - offset);
	plan->image = image;
	plan->base = plan->at = offset;
	plan->end = offset + len;
	if (len > 0)
		enter(plan, image_find(image, offset));
}

/* Where a byte of the image's block lies in the sources, and how far the rows and bytes around it go on. */
struct place {
	uint32_t block;  /* number of the source block, without the last axis */
	uint64_t offset; /* bytes into the block, without the last axis */
	uint64_t byte;   /* position on the last axis, from the image block's start */
	uint64_t rows;   /* rows from here to the end of the source or image block on the axis before the last */
};

static struct place locate(const struct plan_cut *cut, uint64_t pos)
{
	struct place p = { .block = cut->block0, .rows = 1 };

	for (uint32_t a = 0; a + 1 < cut->axes; a++) {
		const struct plan_axis *x = &cut->axis[a];
		uint64_t i = pos / x->dst_stride, in = (x->start + i) % x->width;

		p.block += (uint32_t)((x->start + i) / x->width) * x->block_stride;
		p.offset += in * x->src_stride;
		p.rows = min64(x->count - i, x->width - in);
		pos -= i * x->dst_stride;
	}
	p.byte = pos;
	return p;
}

/* The next run of a tensor's block, `left` bytes of which are planned from plan->at on. */
static void next_of_block(struct plan *plan, uint64_t left, struct run *run)
{
	const struct plan_cut *cut = &plan->cut;
	const struct plan_axis *last = &cut->axis[cut->axes - 1];
	struct place p = locate(cut, plan->at - plan->extent.offset);
	bool whole_rows = p.byte == 0 && left >= last->count;
	uint64_t column = p.byte + plan->column, y = last->start + column, in = y % last->width;
	const struct piece *piece = &plan->extent.tensor->pieces[p.block + (uint32_t)(y / last->width) * last->block_stride];

	run->source = piece->source;
	run->src = piece->offset + p.offset + in;
	run->dst = plan->at - plan->base + plan->column;
	run->len = min64(last->width - in, last->count - column);
	run->rows = whole_rows ? min64(p.rows, left / last->count) : 1;
	run->src_stride = last->width;
	run->dst_stride = last->count;
	if (!whole_rows) {
		run->len = min64(run->len, left);
		plan->at += run->len;
	} else if ((plan->column += run->len) == last->count) {
		plan->at += run->rows * last->count;
		plan->column = 0;
	}
}

/*
 * The elements of a woven tensor from byte `pos` of the block on, as far as they lie evenly in one source, at most `left` bytes. A
 * range may begin and end inside an element.
 */
static void woven_run(struct plan *plan, uint64_t pos, uint64_t left, struct run *run)
{
	const struct plan_cut *cut = &plan->cut;
	const struct plan_axis *last = &cut->axis[cut->axes - 1];
	uint64_t at[BOX_AXES], width = last->dst_stride, in = pos % width, most;
	struct weave_run found;

	for (uint32_t a = 0; a < cut->axes; a++) {
		at[a] = cut->axis[a].start + pos / cut->axis[a].dst_stride;
		pos %= cut->axis[a].dst_stride;
	}
	/* cppcheck-suppress uninitvar ; a cut has at least one axis (plan.h) */
	most = min64(last->start + last->count - at[cut->axes - 1], left / width);
	weave_find(plan->extent.tensor, at, in || most == 0 ? 1 : most, &plan->part, &found);
	run->source = found.piece.source;
	run->src = found.piece.offset + in;
	run->len = min64(found.stride == width ? found.elements * width - in : width - in, left);
	run->rows = found.stride == width ? 1 : found.elements;
	run->src_stride = found.stride;
	run->dst_stride = width;
	if (found.rows > 1) { /* only where a row is as long in the block as in the tensor, which then has two axes */
		const struct plan_axis *above = last - 1;
		uint64_t rows = min64(found.rows, above->start + above->count - at[cut->axes - 2]);

		run->len *= min64(rows, left / run->len);
	}
}

/* The next run of a woven tensor's block. Contiguous runs that follow one another in a source are one. */
static void next_of_woven(struct plan *plan, uint64_t left, struct run *run)
{
	uint64_t pos = plan->at - plan->extent.offset, taken;
	struct run more;

	woven_run(plan, pos, left, run);
	run->dst = plan->at - plan->base;
	taken = run->len * run->rows;
	while (run->rows == 1 && taken < left) {
		woven_run(plan, pos + taken, left - taken, &more);
		if (more.rows != 1 || more.source != run->source || more.src != run->src + run->len)
			break;
		run->len = taken += more.len;
	}
	plan->at += taken;
}

/* The rest of a literal or a range in one run. */
static void next_of_bytes(struct plan *plan, uint64_t left, struct run *run)
{
	const struct extent *e = &plan->extent;
	uint64_t in = plan->at - e->offset;

	if (e->kind == EXTENT_LITERAL) {
		run->literal = e->literal + in;
	} else {
		run->source = e->range.source;
		run->src = e->range.offset + in;
	}
	run->dst = plan->at - plan->base;
	run->len = left;
	run->rows = 1;
	plan->at += left;
}

bool plan_next(struct plan *plan, struct run *run)
{
	if (plan->at == plan->end)
		return false;

	uint64_t end = plan->extent.offset + image_extent_len(plan->image, plan->number);

	if (plan->at == end) {
		enter(plan, plan->number + 1);
		end = plan->extent.offset + image_extent_len(plan->image, plan->number);
	}
	uint64_t left = min64(end, plan->end) - plan->at;

	*run = (struct run){ 0 };
	if (plan->extent.kind == EXTENT_BLOCK && plan->extent.tensor->woven)
		next_of_woven(plan, left, run);
	else if (plan->extent.kind == EXTENT_BLOCK)
		next_of_block(plan, left, run);
	else
		next_of_bytes(plan, left, run);
	return true;
}
