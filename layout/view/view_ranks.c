/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rank view: for each rank of a target strategy the slices that it would train on. A slice is a block of the target's grid;
 * which pieces it is gathered from is the plan's business, so splitting a unified model and resharding a distributed one are the
 * same few lines.
 *
 * The ranks of a stage have one image among them, which finds out when it is read which blocks are a rank's: memory does not
 * grow with the ranks.
 *
 * Parameters outside the strategy are in every rank. Where source ranks have copies of their own, target rank l of a stage gets
 * that of source rank l modulo the ranks of a source stage, as transform_checkpoints does.
 */
#include <errno.h>
#include <stdlib.h>

#include "layout/base/text.h"
#include "layout/checkpoint/sharding.h"
#include "layout/view/view.h"

/* An entry of the target strategy whose tensor the checkpoint has. */
struct match {
	const struct tensor *tensor;
	const struct strategy_entry *entry;
};

struct build {
	const struct checkpoint *ckpt;
	const struct view_rank_options *options;
	struct arena *arena;
	struct view *view;
	const struct grid *uncut;
	struct match *matches;     /* [match_count] in the order of the checkpoint's tensors, then stages */
	uint64_t match_count;
	struct tensor *copies;          /* the copies of the outside tensors, one behind the other */
	struct view_item *items;        /* of the stage at hand */
	struct image *form;             /* what its ranks share; NULL at first */
	uint32_t stage;                 /* of the form */
};

/* Proves that an entry's grid fits its tensor. */
static int check_fit(const struct match *m, struct error *err)
{
	const struct layout *layout = m->entry->layout;
	const struct tensor *t = m->tensor;
	uint64_t slice[BOX_AXES];

	if (sharding_slice(layout, t->shape, t->axes, slice, err) < 0)
		return error_prefix(err, -EINVAL, "target strategy: tensor \"%s\"", t->name);
	if (!box_whole_bytes(&layout->grid, t->shape, dtype_bits(t->dtype)))
		return error_set(err, -EINVAL, "target strategy: tensor \"%s\" of %s would be cut inside a byte", t->name, dtype_name(t->dtype));
	return 0;
}

static int by_tensor(const void *a, const void *b)
{
	const struct match *x = a, *y = b;

	if (x->tensor != y->tensor)
		return x->tensor < y->tensor ? -1 : 1;
	return x->entry < y->entry ? -1 : x->entry > y->entry;
}

/* The names by which the target knows the tensors: their new ones, unless the target is the source's own strategy. */
static bool name_tensors(const struct build *b, struct names *names)
{
	bool own = b->options->target == b->options->source;

	for (uint64_t i = 0; i < b->ckpt->count; i++)
		if (names_add(names, own ? b->ckpt->tensors[i].source_name : b->ckpt->tensors[i].name) == NAMES_NONE)
			return false;
	return true;
}

static int match(struct build *b, struct error *err)
{
	const struct strategy *target = b->options->target;
	struct names names = names_new(b->arena);
	int code = 0;

	if (!target)
		return 0;
	b->matches = arena_alloc(b->arena, target->count, sizeof(*b->matches));
	if (!b->matches || !name_tensors(b, &names))
		return error_nomem(err);
	for (uint64_t i = 0; code == 0 && i < target->count; i++) {
		uint32_t t = names_find(&names, target->entries[i].name);
		struct match m = { t == NAMES_NONE ? NULL : &b->ckpt->tensors[t], &target->entries[i] };

		if (m.tensor && (code = check_fit(&m, err)) == 0)
			b->matches[b->match_count++] = m;
	}
	qsort(b->matches, b->match_count, sizeof(*b->matches), by_tensor);
	if (code == 0 && b->match_count == 0)
		return error_set(err, -EINVAL, "the target strategy and the checkpoint have no tensor in common");
	return code;
}

/* A tensor of its own for each copy of each outside tensor: the copies differ in their piece only. */
static int make_copies(struct build *b, struct error *err)
{
	const struct checkpoint *ckpt = b->ckpt;
	uint64_t total = 0, n = 0;

	for (uint64_t i = 0; i < ckpt->outside_count; i++)
		total += ckpt->copies[i].count;
	b->copies = arena_alloc(b->arena, total, sizeof(*b->copies));
	b->items = arena_alloc(b->arena, (b->options->target ? b->match_count : ckpt->count) + ckpt->outside_count,
			       sizeof(*b->items));
	if (!b->copies || !b->items)
		return error_nomem(err);
	for (uint64_t i = 0; i < ckpt->outside_count; i++)
		for (uint32_t c = 0; c < ckpt->copies[i].count; c++) {
			b->copies[n] = ckpt->outside[i];
			b->copies[n++].pieces = &ckpt->copies[i].list[c].piece;
		}
	return 0;
}

/* The source rank whose copies target rank `rank` gets. */
static uint32_t copies_from(const struct view_rank_options *o, uint32_t rank)
{
	uint32_t stage = o->target ? rank / o->target->per_stage : 0, local = o->target ? rank % o->target->per_stage : rank;

	if (!o->source)
		return local;
	return (stage < o->source->stages ? stage : o->source->stages - 1) * o->source->per_stage + local % o->source->per_stage;
}

/* The outside tensors, of which each rank has a copy, behind `n` items; how many there are. */
static uint64_t add_outside(struct build *b, uint64_t n)
{
	const struct tensor *each = b->copies;

	for (uint64_t i = 0; i < b->ckpt->outside_count; i++) {
		const struct checkpoint_copies *copies = &b->ckpt->copies[i];

		b->items[n++] = (struct view_item){ .tensor = each, .grid = &b->uncut[each->axes], .copies = copies };
		each += copies->count;
	}
	return n;
}

/* Without a target strategy every rank has every tensor. */
static uint64_t add_all(struct build *b)
{
	for (uint64_t i = 0; i < b->ckpt->count; i++)
		b->items[i] = (struct view_item){ .tensor = &b->ckpt->tensors[i], .grid = &b->uncut[b->ckpt->tensors[i].axes] };
	return b->ckpt->count;
}

static uint64_t add_slices(struct build *b, uint32_t stage)
{
	uint64_t n = 0;

	for (uint64_t i = 0; i < b->match_count; i++) {
		const struct strategy_entry *e = b->matches[i].entry;

		if (e->stage == stage)
			b->items[n++] = (struct view_item){ .tensor = b->matches[i].tensor, .grid = &e->layout->grid, .layout = e->layout };
	}
	return n;
}

/* What the ranks of a stage share. */
static int make_form(struct build *b, uint32_t stage, struct error *err)
{
	uint64_t n = add_outside(b, b->options->target ? add_slices(b, stage) : add_all(b));
	struct pairs meta = pairs_new(b->arena);

	b->stage = stage;
	if (view_meta(b->ckpt, "ms", b->items, n, &meta) < 0)
		return error_nomem(err);
	return view_safetensors(b->arena, b->items, n, &meta, &b->form, err);
}

static const char *file_name(const struct build *b, uint32_t rank)
{
	const struct view_rank_options *o = b->options;

	if (!o->counted)
		return arena_printf(b->arena, "%s_rank_%u.safetensors", o->prefix, rank);
	return arena_printf(b->arena, "%s_rank_%u-%llu_%llu.safetensors", o->prefix, rank, (unsigned long long)o->epoch,
			    (unsigned long long)o->step);
}

/* What CheckpointMonitor leaves beside the file, and resuming reads. */
static int add_meta_json(struct build *b, uint32_t rank, const char *name, struct error *err)
{
	const struct view_rank_options *o = b->options;
	struct text text = TEXT_EMPTY;
	struct bytes bytes;

	if (!o->counted)
		return 0;
	text_add(&text, "{\"last_epoch\": %llu, \"last_step\": %llu, \"last_ckpt_file\": ", (unsigned long long)o->epoch,
		 (unsigned long long)o->step);
	text_json_ascii(&text, name);
	text_add(&text, "}");
	if (text_finish(&text, b->arena, &bytes) < 0)
		return error_nomem(err);
	return view_add_literal(b->view, b->arena, arena_printf(b->arena, "rank_%u/meta.json", rank), bytes, err);
}

static int add_rank(struct build *b, uint32_t rank, struct error *err)
{
	const struct strategy *target = b->options->target;
	uint32_t stage = target ? rank / target->per_stage : 0, local = target ? rank % target->per_stage : rank;
	const char *name = file_name(b, rank), *path = name ? arena_printf(b->arena, "rank_%u/%s", rank, name) : NULL;
	const struct image *image;
	int code = path ? 0 : error_nomem(err);

	if (code == 0 && (!b->form || stage != b->stage))
		code = make_form(b, stage, err);
	if (code < 0)
		return code;
	image = image_share(b->form, local, copies_from(b->options, rank), b->arena);
	code = image ? view_add(b->view, b->arena, path, image, err) : error_nomem(err);
	return code == 0 ? add_meta_json(b, rank, name, err) : code;
}

int view_ranks(const struct checkpoint *ckpt, const struct view_rank_options *options, struct arena *arena, struct view *out, struct error *err)
{
	struct build b = { .ckpt = ckpt, .options = options, .arena = arena, .view = out, .uncut = view_uncut(arena) };
	int code = b.uncut ? match(&b, err) : error_nomem(err);

	*out = (struct view){ 0 };
	if (code == 0)
		code = make_copies(&b, err);
	for (uint64_t i = 0; code == 0 && i < options->rank_count; i++)
		code = add_rank(&b, options->ranks[i], err);
	return code;
}

static bool overlap(const struct box *a, const struct box *b)
{
	for (uint32_t i = 0; i < a->axes; i++)
		if (a->start[i] >= b->start[i] + b->count[i] || b->start[i] >= a->start[i] + a->count[i])
			return false;
	return true;
}

/* Whether the slices that the ranks of an entry's stage show of its tensor have anything of the box. */
static bool entry_reads(const struct view_rank_options *o, const struct strategy_entry *e, const uint64_t *shape, uint32_t axes,
			const struct box *box)
{
	uint64_t slice[BOX_AXES];
	struct error ignored;
	struct box own;
	bool fits = box && sharding_slice(e->layout, shape, axes, slice, &ignored) == 0;

	for (uint64_t i = 0; i < o->rank_count; i++) {
		if (o->ranks[i] / o->target->per_stage != e->stage)
			continue;
		if (!fits) /* view_ranks() will say so */
			return true;
		box_of_block(&e->layout->grid, shape, sharding_block(e->layout, o->ranks[i] % o->target->per_stage), &own);
		if (overlap(&own, box))
			return true;
	}
	return false;
}

bool view_ranks_reads(const void *view, const char *name, const uint64_t *shape, uint32_t axes, const struct box *box)
{
	const struct view_rank_options *o = view;
	uint64_t count = 0;
	const struct strategy_entry *e = strategy_find(o->target, name, &count);

	for (uint64_t i = 0; i < count; i++)
		if (entry_reads(o, &e[i], shape, axes, box))
			return true;
	return false;
}
