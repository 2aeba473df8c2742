/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One file more for a checkpoint in the making. The first file with its entries looks every name up; those that come with the same
 * entries only say which blocks their ranks hold.
 */
#include <errno.h>
#include <string.h>

#include "layout/checkpoint/builder.h"

#define FETCH_AHEAD 16 /* entries */

/* The counters that CheckpointMonitor appends (facts: mindformers save side). Where no strategy says what is a parameter, they are none. */
static const char *const counters[] = { "epoch_num", "step_num", "global_step", "loss_scale", "global_batch_size", "learning_rate" };

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
	code = held_add(h, e, file, b->known.block[layout->number], b->arena, err);
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

/* Looks an entry up and adds it; *known is what known.h says of it. */
static int add_entry(struct checkpoint_builder *b, const struct safetensors_entry *e, const struct checkpoint_file *file,
		     struct known_entry *known, struct error *err)
{
	const struct strategy *s = b->options.strategy;
	const char *why = builder_dropped(b, e->name);
	uint64_t stages = 0;
	const struct strategy_entry *entry = s && !why ? strategy_find(s, e->name, &stages) : NULL;

	for (uint64_t i = 0; i < stages; i++)
		if (entry[i].stage == file->rank / s->per_stage) {
			*known = (struct known_entry){ (uint32_t)(&entry[i] - s->entries), entry[i].layout->number };
			return add_shard(b, &entry[i], e, file, err);
		}
	known->number = entry || why ? KNOWN_LEFT_OUT : KNOWN_WHOLE;
	if (entry) {
		struct held *h = &b->sharded[entry - s->entries];

		h->path = h->path ? h->path : file->path; /* for finish_absent() */
		why = "held by ranks of a stage that the strategy does not give it to; another stage's is shown";
	}
	if (why)
		return builder_note(b, e->name, why) < 0 ? error_nomem(err) : 0;
	return add_whole(b, e, file, err);
}

static int add_meta(struct checkpoint_builder *b, const struct safetensors *st, struct error *err)
{
	for (uint64_t i = 0; i < st->meta_count; i++) {
		if (pairs_add(&b->meta, st->meta[i].key, st->meta[i].value) < 0)
			return error_nomem(err);
		b->deduplicated |= strcmp(st->meta[i].key, "remove_redundancy") == 0 && strcmp(st->meta[i].value, "True") == 0;
	}
	return 0;
}

/* An entry whose offsets are those in the file. */
static struct safetensors_entry placed(const struct safetensors *st, uint64_t i)
{
	struct safetensors_entry e = st->entries[i];

	e.begin += st->data_start;
	e.end += st->data_start;
	return e;
}

/* The first file with its entries. */
static int add_new(struct checkpoint_builder *b, const struct checkpoint_file *file, uint32_t stage, const struct safetensors *st, struct error *err)
{
	struct known_header *made = known_make(&b->known, file->entries, stage, st->count);
	int code = made ? 0 : error_nomem(err);

	for (uint64_t i = 0; code == 0 && i < st->count; i++) {
		struct safetensors_entry e = placed(st, i);

		code = add_entry(b, &e, file, &made->entry[i], err);
	}
	if (code == 0)
		known_add(&b->known, made);
	return code;
}

/*
 * Each file touches one piece of every tensor, and all pieces are more than the processor's caches hold: so what the entries behind
 * entry i will touch is asked for while others are worked on; waiting for it took half of the time of adding a file. (gcc takes a function
 * that only prefetches for one without an effect, and leaves its calls out unless they are inlined.)
 */
static inline __attribute__((always_inline)) void fetch(const struct checkpoint_builder *b, const struct known_header *known, uint64_t i)
{
	uint64_t next = i + FETCH_AHEAD, after = next + FETCH_AHEAD;

	if (after < known->count && known->entry[after].number < KNOWN_WHOLE)
		__builtin_prefetch(&b->sharded[known->entry[after].number]);
	if (next < known->count && known->entry[next].number < KNOWN_WHOLE)
		__builtin_prefetch(&b->sharded[known->entry[next].number].pieces[b->known.block[known->entry[next].layout]], 1);
}

/* A file whose entries came before, for another rank of the stage. */
static int add_known(struct checkpoint_builder *b, const struct checkpoint_file *file, const struct known_header *known,
		     const struct safetensors *st, struct error *err)
{
	int code = 0;

	for (uint64_t i = 0; code == 0 && i < st->count; i++) {
		uint32_t n = known->entry[i].number;
		struct safetensors_entry e = placed(st, i);

		fetch(b, known, i);
		if (n == KNOWN_LEFT_OUT)
			continue;
		if (n == KNOWN_WHOLE) {
			code = add_whole(b, &e, file, err);
			continue;
		}
		held_put(&b->sharded[n], &e, file, b->known.block[known->entry[i].layout]);
		if (b->options.keep_copies)
			code = held_add_copy(&b->sharded[n], &e, file, b->arena, err);
	}
	return code;
}

int checkpoint_add(struct checkpoint_builder *builder, const struct checkpoint_file *file, const struct safetensors *st, struct error *err)
{
	struct checkpoint_builder *b = builder;
	const struct strategy *s = b->options.strategy;
	uint32_t stage = s ? file->rank / s->per_stage : 0;
	const struct known_header *known;
	int code;

	if (s && file->rank >= s->stages * s->per_stage)
		return error_set(err, -EINVAL, "%s: rank %u, but the strategy is for ranks 0 to %u", file->path, file->rank,
				 s->stages * s->per_stage - 1);
	if (!b->any)
		b->first_rank = file->rank;
	b->any = true;
	if (s) {
		b->here[stage]++;
		known_set_rank(&b->known, file->rank % s->per_stage);
	}
	known = known_find(&b->known, file->entries, stage, st->count);
	code = add_meta(b, st, err);
	if (code == 0)
		code = known ? add_known(b, file, known, st, err) : add_new(b, file, stage, st, err);
	return code < 0 ? error_prefix(err, code, "%s", file->path) : 0;
}
