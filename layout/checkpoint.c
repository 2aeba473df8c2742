/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Building a checkpoint. While files are added, every parameter of the strategy has a `held` for each stage that lists it, and
 * every tensor beside the strategy has one too: what the first file says of it, and the pieces found so far. checkpoint_finish()
 * turns the held tensors that are whole into the model.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "layout/checkpoint.h"
#include "layout/held.h"
#include "layout/natural.h"
#include "layout/pairs.h"
#include "layout/sharding.h"

struct checkpoint_builder {
	struct arena *arena;
	struct checkpoint_options options;
	struct held *sharded;          /* [strategy->count], as the strategy's entries */
	struct held_table whole;       /* tensors that the strategy does not know */
	struct pairs meta, notes;
	uint32_t first_rank;
	uint32_t *here;    /* [strategy->stages]: files of each stage */
	bool deduplicated; /* a file says that redundancy was removed */
	bool any;
};

/* The counters that CheckpointMonitor appends (facts: mindformers save side). Where no strategy says what is a parameter, they are none. */
static const char *const counters[] = { "epoch_num", "step_num", "global_step", "loss_scale", "global_batch_size", "learning_rate" };

static bool has_prefix(const char *name, const char *prefix)
{
	return strncmp(name, prefix, strlen(prefix)) == 0;
}

static int note(struct checkpoint_builder *b, const char *name, const char *why)
{
	return pairs_add(&b->notes, name, why);
}

int checkpoint_leave_out(struct checkpoint_builder *builder, const char *name, const char *why, struct error *err)
{
	return note(builder, name, why) < 0 ? error_nomem(err) : 0;
}

struct checkpoint_builder *checkpoint_begin(struct arena *arena, const struct checkpoint_options *options)
{
	struct checkpoint_builder *b = calloc(1, sizeof(*b));
	uint64_t entries = options->strategy ? options->strategy->count : 0;

	if (!b)
		return NULL;
	b->arena = arena;
	b->options = *options;
	b->whole = held_table_new(arena);
	b->meta = b->notes = pairs_new(arena);
	b->sharded = arena_alloc(arena, entries, sizeof(*b->sharded));
	b->here = arena_alloc(arena, options->strategy ? options->strategy->stages : 0, sizeof(*b->here));
	for (uint64_t i = 0; b->sharded && i < entries; i++)
		b->sharded[i] = held_new(options->strategy->entries[i].name, options->strategy->entries[i].layout->grid.blocks);
	if (b->sharded && b->here)
		return b;
	checkpoint_abandon(b);
	return NULL;
}

void checkpoint_abandon(struct checkpoint_builder *builder)
{
	free(builder);
}

/* Why a name is dropped before anything else is asked of it; NULL when it is not. */
static const char *dropped(const struct checkpoint_builder *b, const char *name)
{
	for (uint64_t i = 0; i < b->options.filter_count; i++)
		if (has_prefix(name, b->options.filter[i]))
			return "dropped by -o filter";
	return has_prefix(name, "accu_grads") ? "a gradient accumulator belongs to no model" : NULL;
}

static int add_shard(struct checkpoint_builder *b, const struct strategy_entry *entry, const struct safetensors_entry *e,
		     const struct checkpoint_file *file, struct error *err)
{
	const struct strategy *s = b->options.strategy;
	const struct layout *layout = entry->layout;
	struct held *h = &b->sharded[entry - s->entries];
	int code;

	if (e->axes != layout->axes) {
		char shape[HELD_SHAPE_TEXT];

		return error_set(err, -EINVAL, "tensor \"%s\": shape %s has %u axes, but its tensor map in the strategy has %u", e->name,
				 held_shape_text(shape, e->shape, e->axes), e->axes, layout->axes);
	}
	code = held_add(h, e, file, sharding_block(layout, file->rank % s->per_stage), b->arena, err);
	return code == 0 && b->options.keep_copies ? held_add_copy(h, e, file, b->arena, err) : code;
}

static bool is_counter(const char *name)
{
	for (size_t i = 0; i < sizeof(counters) / sizeof(*counters); i++)
		if (strcmp(name, counters[i]) == 0)
			return true;
	return false;
}

static int check_outside(const struct checkpoint_builder *b, const struct held *h, const struct safetensors_entry *e, struct error *err)
{
	const char *hint = "it may be a slice; -o outside=rank0 takes rank 0's as the whole";

	if (b->options.outside_rank0)
		return 0;
	if (e->end - e->begin > CHECKPOINT_OUTSIDE_MAX)
		return error_set(err, -EINVAL, "tensor \"%s\": %llu bytes, but a tensor that is not in the strategy may have at most %llu (%s)",
				 e->name, (unsigned long long)(e->end - e->begin), (unsigned long long)CHECKPOINT_OUTSIDE_MAX, hint);
	return h->shape ? held_agrees(h, e, err) : 0;
}

/* The rules of each kind for a tensor that no strategy cuts. */
static int check_whole(const struct checkpoint_builder *b, const struct held *h, const struct safetensors_entry *e, struct error *err)
{
	if (b->options.kind == CHECKPOINT_SHARDED)
		return check_outside(b, h, e, err);
	if (b->options.kind == CHECKPOINT_UNIFIED && h->shape)
		return error_set(err, -EINVAL, "tensor \"%s\" is in %s too", e->name, h->path);
	return h->shape ? held_agrees(h, e, err) : 0;
}

static bool is_outside(const struct checkpoint_builder *b, const char *name, const struct checkpoint_file *file)
{
	return b->options.kind == CHECKPOINT_SHARDED || file->outside || (b->options.kind == CHECKPOINT_REPLICATED && is_counter(name));
}

static int add_whole(struct checkpoint_builder *b, const struct safetensors_entry *e, const struct checkpoint_file *file, struct error *err)
{
	struct held *h = held_named(&b->whole, e->name);
	struct error differs;
	int code = h ? check_whole(b, h, e, err) : error_nomem(err);

	if (code == 0 && !h->shape) {
		code = held_add(h, e, file, 0, b->arena, err);
		h->outside = is_outside(b, e->name, file);
	}
	if (code == 0 && (h->outside || b->options.keep_copies) && held_agrees(h, e, &differs) == 0) /* with outside=rank0 it may differ */
		code = held_add_copy(h, e, file, b->arena, err);
	return code;
}

static int add_entry(struct checkpoint_builder *b, const struct safetensors_entry *e, const struct checkpoint_file *file, struct error *err)
{
	const struct strategy *s = b->options.strategy;
	const char *why = dropped(b, e->name);
	uint64_t stages = 0;
	const struct strategy_entry *entry = s && !why ? strategy_find(s, e->name, &stages) : NULL;

	for (uint64_t i = 0; i < stages; i++)
		if (entry[i].stage == file->rank / s->per_stage)
			return add_shard(b, &entry[i], e, file, err);
	if (entry) {
		struct held *h = &b->sharded[entry - s->entries];

		h->path = h->path ? h->path : file->path; /* for finish_absent() */
		why = "held by ranks of a stage that the strategy does not give it to; another stage's is shown";
	}
	if (why)
		return note(b, e->name, why) < 0 ? error_nomem(err) : 0;
	return add_whole(b, e, file, err);
}

int checkpoint_add(struct checkpoint_builder *builder, const struct checkpoint_file *file, const struct safetensors *st, struct error *err)
{
	struct checkpoint_builder *b = builder;
	const struct strategy *s = b->options.strategy;

	if (s && file->rank >= s->stages * s->per_stage)
		return error_set(err, -EINVAL, "%s: rank %u, but the strategy is for ranks 0 to %u", file->path, file->rank,
				 s->stages * s->per_stage - 1);
	if (!b->any)
		b->first_rank = file->rank;
	b->any = true;
	if (s)
		b->here[file->rank / s->per_stage]++;
	for (uint64_t i = 0; i < st->meta_count; i++) {
		if (pairs_add(&b->meta, st->meta[i].key, st->meta[i].value) < 0)
			return error_nomem(err);
		b->deduplicated |= strcmp(st->meta[i].key, "remove_redundancy") == 0 && strcmp(st->meta[i].value, "True") == 0;
	}
	for (uint64_t i = 0; i < st->count; i++) {
		struct safetensors_entry e = st->entries[i];
		int code;

		e.begin += st->data_start;
		e.end += st->data_start;
		code = add_entry(b, &e, file, err);
		if (code < 0)
			return error_prefix(err, code, "%s", file->path);
	}
	return 0;
}

/*
 * A parameter that no rank of its stages has. If another stage's rank has it, the strategy is not of this checkpoint. Otherwise it was
 * never saved, as moments often are not, if one of its stages can tell: each rank of a stage has all of the stage's parameters,
 * unless redundancy was removed.
 */
static int finish_absent(struct checkpoint_builder *b, uint64_t first, uint64_t end, struct error *err)
{
	const struct strategy *s = b->options.strategy;
	const struct strategy_entry *e = &s->entries[first];
	const char *why = dropped(b, e->name);
	uint32_t rank = e->stage * s->per_stage;

	if (b->sharded[first].path)
		return error_set(err, -ENODATA, "tensor \"%s\": %s has it, but the strategy gives it to stage %u, whose files lack it",
				 e->name, b->sharded[first].path, e->stage);
	for (uint64_t i = first; i < end && !why; i++)
		if (b->here[s->entries[i].stage] >= (b->deduplicated ? s->per_stage : 1))
			why = "in the strategy, but in no file";
	if (!why && b->options.needs && !b->options.needs->reads(b->options.needs->view, e->name, NULL, 0, NULL))
		why = "in no file that is here, and not shown";
	if (why)
		return note(b, e->name, why) < 0 ? error_nomem(err) : 0;
	return error_set(err, -ENODATA, "tensor \"%s\": no file that is here has it, but only %u of %u ranks of its stage %u (rank_%u to rank_%u) are here",
			 e->name, b->here[e->stage], s->per_stage, e->stage, rank, rank + s->per_stage - 1);
}

/*
 * The tensor that entries [first, end) of the strategy, all of one name, describe: of the lowest stage that has the whole of it, else
 * of the lowest that has all that is read.
 */
static int finish_name(struct checkpoint_builder *b, uint64_t first, uint64_t end, struct checkpoint *ckpt, struct tensor *tensors,
		       struct error *err)
{
	const struct strategy *s = b->options.strategy;
	uint64_t begun = end, whole = end;
	int code = 0;

	for (uint64_t i = end; i-- > first;) {
		begun = b->sharded[i].shape ? i : begun;
		whole = held_is_whole(&b->sharded[i]) ? i : whole;
	}
	if (begun == end)
		return finish_absent(b, first, end, err);
	for (uint64_t i = first; i < end && whole == end && b->options.needs; i++)
		if (held_is_enough(&b->sharded[i], &s->entries[i], b->options.needs))
			whole = i;
	if (whole == end)
		return held_missing(&b->sharded[begun], s, &s->entries[begun], b->options.needs, err);

	struct tensor *t = &tensors[ckpt->count++];

	code = held_tensor(&b->sharded[whole], s->entries[whole].layout, b->arena, t, err);
	t->holes = b->sharded[whole].blocks - b->sharded[whole].found;
	for (uint64_t i = first; code == 0 && i < end; i++)
		if (b->sharded[i].shape && i != whole)
			code = held_is_of(&b->sharded[i], &s->entries[i], t, err);
	if (code == 0 && b->options.keep_copies && held_tell(&b->sharded[first], &s->entries[first], end - first, b->arena, t) < 0)
		code = error_nomem(err);
	return code;
}

static int finish_sharded(struct checkpoint_builder *b, struct checkpoint *ckpt, struct tensor *tensors, struct error *err)
{
	const struct strategy *s = b->options.strategy;
	int code = 0;

	for (uint64_t i = 0, end; code == 0 && s && i < s->count; i = end) {
		for (end = i + 1; end < s->count && strcmp(s->entries[end].name, s->entries[i].name) == 0;)
			end++;
		code = finish_name(b, i, end, ckpt, tensors, err);
	}
	return code;
}

/* Where finished tensors go. */
struct finished {
	struct tensor *tensors, *outside;
	struct checkpoint_copies *copies;
};

static int finish_whole(struct checkpoint_builder *b, struct checkpoint *ckpt, struct finished *f, struct error *err)
{
	int code = 0;

	for (uint32_t i = 0; code == 0 && i < b->whole.names.count; i++) {
		const struct held *h = &b->whole.list[i];
		struct tensor *t;

		if (h->outside && h->rank != b->first_rank) {
			code = note(b, h->name, "outside the strategy, and not on the first rank") < 0 ? error_nomem(err) : 0;
			continue;
		}
		t = h->outside ? &f->outside[ckpt->outside_count++] : &f->tensors[ckpt->count++];
		code = held_tensor(h, NULL, b->arena, t, err);
		if (code == 0 && b->options.keep_copies && held_tell(h, NULL, 1, b->arena, t) < 0)
			code = error_nomem(err);
	}
	return code;
}

static int by_name(const void *a, const void *b)
{
	return natural_compare(((const struct tensor *)a)->name, ((const struct tensor *)b)->name);
}

/* Sizes of images, and of tensors in bits, need no checks after this one. */
static int check_total(const struct checkpoint *ckpt, struct error *err)
{
	uint64_t total = 0;

	for (uint64_t i = 0; i < ckpt->count + ckpt->outside_count; i++) {
		const struct tensor *t = i < ckpt->count ? &ckpt->tensors[i] : &ckpt->outside[i - ckpt->count];

		if (!bytes_add(total, t->bytes, &total) || total > CHECKPOINT_BYTES_MAX)
			return error_set(err, -EINVAL, "tensor \"%s\": with it, the checkpoint has more than %llu bytes", t->name,
					 (unsigned long long)CHECKPOINT_BYTES_MAX);
	}
	return 0;
}

static int collect(struct checkpoint_builder *b, struct checkpoint *ckpt, struct error *err)
{
	uint64_t sharded = b->options.strategy ? b->options.strategy->count : 0, whole = b->whole.names.count;
	struct finished f = {
		.tensors = arena_alloc(b->arena, sharded + whole, sizeof(*f.tensors)),
		.outside = arena_alloc(b->arena, whole, sizeof(*f.outside)),
		.copies = arena_alloc(b->arena, whole, sizeof(*f.copies)),
	};
	int code = f.tensors && f.outside && f.copies ? finish_sharded(b, ckpt, f.tensors, err) : error_nomem(err);

	if (code == 0)
		code = finish_whole(b, ckpt, &f, err);
	if (code < 0)
		return code;
	qsort(f.tensors, ckpt->count, sizeof(*f.tensors), by_name);
	qsort(f.outside, ckpt->outside_count, sizeof(*f.outside), by_name);
	for (uint64_t i = 0; i < ckpt->outside_count; i++) {
		const struct held *h = held_named(&b->whole, f.outside[i].name);

		f.copies[i] = (struct checkpoint_copies){ h->copies, h->copy_count };
	}
	ckpt->tensors = f.tensors;
	ckpt->outside = f.outside;
	ckpt->copies = f.copies;
	return check_total(ckpt, err);
}

static int finish(struct checkpoint_builder *b, struct checkpoint **out, struct error *err)
{
	struct checkpoint *ckpt = arena_alloc(b->arena, 1, sizeof(*ckpt));
	int code = ckpt ? collect(b, ckpt, err) : error_nomem(err);

	if (code < 0)
		return code;
	if (ckpt->count == 0)
		return error_set(err, -EINVAL, "nothing to show: %s", b->options.strategy ?
				 "the strategy and the files have no tensor in common" : "the files hold no tensor that is not dropped");
	ckpt->meta = b->meta.pair;
	ckpt->meta_count = b->meta.names.count;
	ckpt->notes = b->notes.pair;
	ckpt->note_count = b->notes.names.count;
	*out = ckpt;
	return 0;
}

int checkpoint_finish(struct checkpoint_builder *builder, struct checkpoint **out, struct error *err)
{
	int code = finish(builder, out, err);

	checkpoint_abandon(builder);
	return code;
}

bool checkpoint_whole_bytes(const struct grid *grid, const uint64_t *shape, enum dtype dtype)
{
	uint64_t bits = dtype_bits(dtype); /* of one part on axis a: only the innermost cut axis matters */

	for (uint32_t a = grid->axes; a-- > 0;) {
		if (grid->cuts[a] > 1)
			return shape[a] / grid->cuts[a] % 8 * (bits % 8) % 8 == 0;
		bits = bits % 8 * (shape[a] % 8);
	}
	return true;
}

uint32_t checkpoint_block(const struct checkpoint_holding *holding, uint32_t rank)
{
	return holding->layout ? sharding_block(holding->layout, rank % holding->layout->devices) : 0;
}

const struct tensor *checkpoint_find(const struct tensor *tensors, uint64_t count, const char *name)
{
	struct tensor key = { .name = name };

	return count ? bsearch(&key, tensors, count, sizeof(*tensors), by_name) : NULL;
}
