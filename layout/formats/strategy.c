/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file is decoded into a scratch arena, and what is kept of it is small: names, and one object for all equal layouts. Uniting
 * is done in unite.c; here are parsing, finding and writing.
 */
#include <errno.h>
#include <string.h>
#include <xxhash.h>

#include "layout/formats/devices.h"
#include "layout/formats/json_strategy.h"
#include "layout/formats/layouts.h"
#include "layout/formats/strategy.h"
#include "layout/formats/unite.h"

static int check_file(const struct pb_strategy *raw, struct error *err)
{
	if (raw->item_count == 0)
		return error_set(err, -EINVAL, "the strategy file is empty: no parallel_strategy_item in it");
	if (raw->layout_count == 0)
		return error_set(err, -EINVAL, "the strategy file is empty: no parallel_layout_item in it");
	if (raw->stage < 0 || raw->stage >= (int64_t)DEVICES_MAX)
		return error_set(err, -EINVAL, "stage is %lld, but must be from 0 to %llu", (long long)raw->stage,
				 (unsigned long long)DEVICES_MAX - 1);
	return 0;
}

static int take_entries(const struct pb_strategy *raw, struct arena *arena, struct strategy_file *out, struct error *err)
{
	struct layouts layouts = layouts_new(arena);
	struct devices room;

	out->entries = arena_alloc(arena, raw->layout_count, sizeof(*out->entries));
	if (!out->entries)
		return error_nomem(err);
	for (; out->count < raw->layout_count; out->count++) {
		const struct pb_layout_item *item = &raw->layouts[out->count];
		struct strategy_entry *e = &out->entries[out->count];

		if (devices_layout(item, &room, err) < 0)
			return error_prefix(err, -EINVAL, "parameter \"%s\"", item->name);
		e->name = arena_strndup(arena, item->name, strlen(item->name));
		e->layout = layouts_intern(&layouts, &room.layout);
		e->stage = (uint32_t)raw->stage;
		if (!e->name || !e->layout)
			return error_nomem(err);
	}
	return 0;
}

/* What follows "N-" in a merged file's name, and N (at most DEVICES_MAX); NULL when the name has no such form. */
static const char *behind_stage(const char *name, uint64_t *stage)
{
	const char *p = name;

	for (*stage = 0; *p >= '0' && *p <= '9'; p++)
		if (*stage < DEVICES_MAX)
			*stage = *stage * 10 + (uint64_t)(*p - '0');
	if (*stage > DEVICES_MAX)
		*stage = DEVICES_MAX;
	return p > name && *p == '-' && p[1] ? p + 1 : NULL;
}

/*
 * Whether all names begin with a stage; *max gets the highest of them, *hole the lowest number that none has. `seen` [count] is
 * zeroed room: a stage beyond it leaves a hole in it.
 */
static bool have_stages(const struct strategy_file *file, uint8_t *seen, uint64_t *max, uint64_t *hole)
{
	uint64_t stage;

	*max = *hole = 0;
	for (uint64_t i = 0; i < file->count; i++) {
		if (!behind_stage(file->entries[i].name, &stage))
			return false;
		if (stage < file->count)
			seen[stage] = 1;
		*max = stage > *max ? stage : *max;
	}
	while (*hole < file->count && seen[*hole])
		++*hole;
	return true;
}

/* Decides whether the file is a merged one (rule: strategy.h), and if so takes the stages from the names. */
static int split_names(struct strategy_file *file, int64_t current_stage, struct arena *scratch, struct error *err)
{
	uint8_t *seen = arena_alloc(scratch, file->count, 1);
	uint64_t max, hole, stage;

	if (!seen)
		return error_nomem(err);
	if (!have_stages(file, seen, &max, &hole))
		return 0;
	if (hole <= max && current_stage != 1)
		return 0;
	if (hole <= max)
		return error_set(err, -EINVAL, "stage %llu of 0..%llu is missing: no parameter's name in this merged file begins with it",
				 (unsigned long long)hole, (unsigned long long)max);
	for (uint64_t i = 0; i < file->count; i++) {
		file->entries[i].name = behind_stage(file->entries[i].name, &stage);
		file->entries[i].stage = (uint32_t)stage;
	}
	file->merged = true;
	return 0;
}

static int parse(struct bytes text, bool json, struct arena *arena, struct strategy_file *out, struct error *err)
{
	struct arena *scratch = arena_new();
	struct pb_strategy raw;
	int code;

	*out = (struct strategy_file){ 0 };
	if (!scratch)
		return error_nomem(err);
	if (text.len == 0)
		code = error_set(err, -EINVAL, "the strategy file is empty");
	else
		code = json ? json_strategy_decode(text, scratch, &raw, err) : pb_decode_strategy(text, scratch, &raw, err);
	if (code == 0)
		code = check_file(&raw, err);
	if (code == 0)
		code = take_entries(&raw, arena, out, err);
	if (code == 0)
		code = split_names(out, raw.current_stage, scratch, err);
	arena_free(scratch);
	return code;
}

int strategy_parse_pb(struct bytes file, struct arena *arena, struct strategy_file *out, struct error *err)
{
	return parse(file, false, arena, out, err);
}

int strategy_parse_json(struct bytes file, struct arena *arena, struct strategy_file *out, struct error *err)
{
	return parse(file, true, arena, out, err);
}

/* Where `name` is in the index, or the empty slot where it belongs. A slot is the number of the name's first entry plus 1. */
static uint64_t probe(const struct strategy *s, const uint32_t *index, const char *name)
{
	uint64_t mask = s->index_size - 1, at = XXH3_64bits(name, strlen(name)) & mask;

	while (index[at] && strcmp(s->entries[index[at] - 1].name, name) != 0)
		at = (at + 1) & mask;
	return at;
}

static int build_index(struct strategy *s, struct arena *arena)
{
	uint32_t *index;

	for (s->index_size = 2; s->index_size < 2 * s->count;)
		s->index_size *= 2;
	index = arena_alloc(arena, s->index_size, sizeof(*index));
	if (!index)
		return -ENOMEM;
	for (uint64_t i = 0; i < s->count; i++) {
		uint64_t at = probe(s, index, s->entries[i].name);

		if (index[at] == 0)
			index[at] = (uint32_t)i + 1;
	}
	s->index = index;
	return 0;
}

int strategy_unite(const struct strategy_file *files, uint64_t count, struct arena *arena, struct strategy **out, struct error *err)
{
	struct strategy *s = arena_alloc(arena, 1, sizeof(*s));
	struct arena *scratch = arena_new();
	int code = s && scratch ? unite_files(files, count, scratch, arena, s, err) : error_nomem(err);

	arena_free(scratch);
	if (code == 0 && build_index(s, arena) < 0)
		code = error_nomem(err);
	*out = code == 0 ? s : NULL;
	return code;
}

const struct strategy_entry *strategy_find(const struct strategy *strategy, const char *name, uint64_t *count)
{
	uint32_t slot = strategy->index[probe(strategy, strategy->index, name)];
	const struct strategy_entry *first, *end = strategy->entries + strategy->count;

	if (slot == 0) {
		*count = 0;
		return NULL;
	}
	first = &strategy->entries[slot - 1];
	for (*count = 1; first + *count < end && strcmp(first[*count].name, name) == 0;)
		++*count;
	return first;
}

static int write_all(const struct strategy *s, struct arena *scratch, struct arena *arena, struct bytes *out, struct error *err)
{
	struct pb_parameter *parameters = arena_alloc(scratch, s->count, sizeof(*parameters));
	struct pb_layout_item *layouts = arena_alloc(scratch, s->layout_count, sizeof(*layouts));
	struct pb_merged merged = { .layouts = layouts, .layout_count = s->layout_count, .parameters = parameters,
				    .parameter_count = s->count, .stages = s->stages };

	if (!parameters || !layouts)
		return error_nomem(err);
	for (uint64_t i = 0; i < s->count; i++) {
		const struct strategy_entry *e = &s->entries[i];
		struct pb_layout_item *item = &layouts[e->layout->number];

		parameters[i] = (struct pb_parameter){ arena_printf(scratch, "%u-%s", e->stage, e->name), e->layout->number };
		if (!parameters[i].name || (!item->dev_matrix && devices_item(e->layout, scratch, item) < 0))
			return error_nomem(err);
	}
	return pb_encode_strategy(&merged, scratch, arena, out, err);
}

int strategy_write(const struct strategy *strategy, struct arena *arena, struct bytes *out, struct error *err)
{
	struct arena *scratch = arena_new();
	int code = scratch ? write_all(strategy, scratch, arena, out, err) : error_nomem(err);

	arena_free(scratch);
	return code;
}
