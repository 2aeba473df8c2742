/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The beginning and the end of building a checkpoint; adding files is checkpoint_add.c. checkpoint_finish() turns the held tensors that
 * are whole into the model.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "layout/base/natural.h"
#include "layout/checkpoint/builder.h"
#include "layout/checkpoint/sharding.h"

int checkpoint_leave_out(struct checkpoint_builder *builder, const char *name, const char *why, struct error *err)
{
	return builder_note(builder, name, why) < 0 ? error_nomem(err) : 0;
}

struct checkpoint_builder *checkpoint_begin(struct arena *arena, const struct checkpoint_options *options)
{
	struct checkpoint_builder *b = calloc(1, sizeof(*b));
	uint64_t entries = options->strategy ? options->strategy->count : 0;

	if (!b)
		return NULL;
	b->arena = arena;
	b->scratch = arena_new();
	b->options = *options;
	b->whole = held_table_new(arena);
	b->meta = b->notes = pairs_new(arena);
	b->sharded = arena_alloc(arena, entries, sizeof(*b->sharded));
	b->here = arena_alloc(arena, options->strategy ? options->strategy->stages : 0, sizeof(*b->here));
	for (uint64_t i = 0; b->sharded && i < entries; i++)
		b->sharded[i] = held_new(options->strategy->entries[i].name, options->strategy->entries[i].layout->grid.blocks);
	if (b->sharded && b->here && b->scratch && known_new(options->strategy, b->scratch, &b->known) == 0)
		return b;
	checkpoint_abandon(b);
	return NULL;
}

void checkpoint_abandon(struct checkpoint_builder *builder)
{
	if (builder)
		arena_free(builder->scratch);
	free(builder);
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
	const char *why = builder_dropped(b, e->name);
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
		return builder_note(b, e->name, why) < 0 ? error_nomem(err) : 0;
	return error_set(err, -ENODATA, "tensor \"%s\": no file that is here has it, but only %u of %u ranks of its stage %u "
			 "(rank_%u to rank_%u) are here",
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
			code = builder_note(b, h->name, "outside the strategy, and not on the first rank") < 0 ? error_nomem(err) : 0;
			continue;
		}
		t = h->outside ? &f->outside[ckpt->outside_count++] : &f->tensors[ckpt->count++];
		code = held_tensor(h, NULL, b->arena, t, err);
		if (code == 0 && b->options.keep_copies && held_tell(h, NULL, 1, b->arena, t) < 0)
			code = error_nomem(err);
	}
	return code;
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
	if (code == 0)
		code = checkpoint_sort(f.tensors, ckpt->count, err);
	if (code == 0)
		code = checkpoint_sort(f.outside, ckpt->outside_count, err);
	if (code < 0)
		return code;
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

uint32_t checkpoint_block(const struct checkpoint_holding *holding, uint32_t rank)
{
	return holding->layout ? sharding_block(holding->layout, rank % holding->layout->devices) : 0;
}

static int by_name(const void *a, const void *b)
{
	return natural_compare(((const struct tensor *)a)->name, ((const struct tensor *)b)->name);
}

const struct tensor *checkpoint_find(const struct tensor *tensors, uint64_t count, const char *name)
{
	struct tensor key = { .name = name };

	return count ? bsearch(&key, tensors, count, sizeof(*tensors), by_name) : NULL;
}
