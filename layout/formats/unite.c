/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each file's entries are sorted by stage and name and cut into shares, one for each stage. Shares of one stage are compared side by
 * side; the first of each stage stays.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "layout/formats/devices.h"
#include "layout/formats/layouts.h"
#include "layout/formats/unite.h"

/* What one file says of one stage. */
struct share {
	const struct strategy_file *file;
	const struct strategy_entry *entries; /* [count], by name */
	uint64_t count;
	uint32_t stage;
};

struct shares {
	struct share *share; /* [count] */
	uint64_t count, room;
	struct arena *arena;
};

static int by_name(const void *a, const void *b)
{
	const struct strategy_entry *x = a, *y = b;
	int order = strcmp(x->name, y->name);

	return order ? order : (x->stage > y->stage) - (x->stage < y->stage);
}

static int by_stage(const void *a, const void *b)
{
	const struct strategy_entry *x = a, *y = b;

	return x->stage == y->stage ? strcmp(x->name, y->name) : (x->stage > y->stage) - (x->stage < y->stage);
}

/* By stage; within one, in the order of the files. */
static int by_stage_and_file(const void *a, const void *b)
{
	const struct share *x = a, *y = b;

	return x->stage == y->stage ? (x->file > y->file) - (x->file < y->file) : (x->stage > y->stage) - (x->stage < y->stage);
}

/* A file's entries, sorted by stage and name, with layouts of the table; NULL without memory. */
static struct strategy_entry *sorted_entries(const struct strategy_file *file, struct layouts *layouts, struct arena *scratch)
{
	struct strategy_entry *e = arena_alloc(scratch, file->count, sizeof(*e));

	for (uint64_t i = 0; e && i < file->count; i++) {
		e[i] = file->entries[i];
		e[i].layout = layouts_intern(layouts, e[i].layout);
		if (!e[i].layout)
			return NULL;
	}
	if (e)
		qsort(e, file->count, sizeof(*e), by_stage);
	return e;
}

static struct share *next_share(struct shares *s)
{
	if (s->count == s->room) {
		uint64_t room = s->room ? s->room * 2 : 16;
		struct share *bigger = arena_alloc(s->arena, room, sizeof(*bigger));

		if (!bigger)
			return NULL;
		if (s->count)
			memcpy(bigger, s->share, s->count * sizeof(*bigger));
		s->share = bigger;
		s->room = room;
	}
	return &s->share[s->count++];
}

static int add_file(struct shares *shares, const struct strategy_file *file, struct layouts *layouts, struct error *err)
{
	struct strategy_entry *e = sorted_entries(file, layouts, shares->arena);
	struct share *share = NULL;

	if (!e)
		return error_nomem(err);
	for (uint64_t i = 0; i < file->count; i++) {
		if (i > 0 && by_stage(&e[i - 1], &e[i]) == 0)
			return error_set(err, -EINVAL, "strategy %s: parameter \"%s\" is in it twice for stage %u", file->path, e[i].name,
					 e[i].stage);
		if (!share || share->stage != e[i].stage) {
			share = next_share(shares);
			if (!share)
				return error_nomem(err);
			*share = (struct share){ .file = file, .entries = &e[i], .stage = e[i].stage };
		}
		share->count++;
	}
	return 0;
}

static int absent(const struct share *from, const struct share *has, const char *name, struct error *err)
{
	return error_set(err, -EINVAL, "strategy: parameter \"%s\" of stage %u is in %s, but not in %s, which has that stage too", name,
			 has->stage, has->file->path, from->file->path);
}

static int compare(const struct share *a, const struct share *b, struct error *err)
{
	char one[LAYOUTS_TEXT], other[LAYOUTS_TEXT];

	for (uint64_t i = 0; i < a->count || i < b->count; i++) {
		const struct strategy_entry *x = i < a->count ? &a->entries[i] : NULL, *y = i < b->count ? &b->entries[i] : NULL;
		int order = !x ? 1 : !y ? -1 : strcmp(x->name, y->name);

		if (order)
			return order < 0 ? absent(b, a, x->name, err) : absent(a, b, y->name, err);
		if (x->layout != y->layout)
			return error_set(err, -EINVAL, "strategy: %s and %s disagree on the %s of parameter \"%s\" in stage %u: %s, but %s",
					 a->file->path, b->file->path, layouts_difference(x->layout, y->layout), x->name, a->stage,
					 layouts_text(x->layout, one), layouts_text(y->layout, other));
	}
	return 0;
}

/* Leaves the first share of each stage, having compared the others with it. */
static int settle(struct shares *s, struct error *err)
{
	uint64_t kept = 0;

	qsort(s->share, s->count, sizeof(*s->share), by_stage_and_file);
	for (uint64_t i = 0; i < s->count; i++) {
		if (kept == 0 || s->share[kept - 1].stage != s->share[i].stage)
			s->share[kept++] = s->share[i];
		else if (compare(&s->share[kept - 1], &s->share[i], err) < 0)
			return -EINVAL;
	}
	s->count = kept;
	return 0;
}

static int check_stages(const struct shares *s, struct error *err)
{
	if (s->count == 0)
		return error_set(err, -EINVAL, "strategy: is empty, no file has a parameter");
	for (uint64_t i = 0; i < s->count; i++)
		if (s->share[i].stage != i)
			return error_set(err, -EINVAL, "strategy: stage %llu of 0..%u is missing: no file has it", (unsigned long long)i,
					 s->share[s->count - 1].stage);
	return 0;
}

/* All parameters are spread over the same number of devices. */
static int check_devices(const struct strategy *s, struct error *err)
{
	for (uint64_t i = 0; i < s->count; i++)
		if (s->entries[i].layout->devices != s->per_stage)
			return error_set(err, -EINVAL, "strategy: parameter \"%s\" of stage %u: its dev_matrix has %u devices, but "
					 "that of \"%s\" has %u",
					 s->entries[i].name, s->entries[i].stage, s->entries[i].layout->devices, s->entries[0].name,
					 s->per_stage);
	if ((uint64_t)s->stages * s->per_stage > DEVICES_MAX)
		return error_set(err, -EINVAL, "strategy: %u stages of %u devices are over %llu devices", s->stages, s->per_stage,
				 (unsigned long long)DEVICES_MAX);
	return 0;
}

static int collect(const struct shares *shares, struct arena *arena, struct strategy *out, struct error *err)
{
	struct strategy_entry *all;
	uint64_t total = 0;

	for (uint64_t i = 0; i < shares->count; i++)
		total += shares->share[i].count;
	if (total > UINT32_MAX / 4)
		return error_set(err, -EINVAL, "strategy: %llu parameters are too many", (unsigned long long)total);
	all = arena_alloc(arena, total, sizeof(*all));
	if (!all)
		return error_nomem(err);
	for (uint64_t i = 0; i < shares->count; i++) {
		memcpy(all + out->count, shares->share[i].entries, shares->share[i].count * sizeof(*all));
		out->count += shares->share[i].count;
	}
	qsort(all, total, sizeof(*all), by_name);
	out->entries = all;
	out->stages = (uint32_t)shares->count;
	out->per_stage = all[0].layout->devices;
	return check_devices(out, err);
}

int unite_files(const struct strategy_file *files, uint64_t count, struct arena *scratch, struct arena *arena, struct strategy *out,
		struct error *err)
{
	struct shares shares = { .arena = scratch };
	struct layouts layouts = layouts_new(arena);
	int code = 0;

	for (uint64_t i = 0; code == 0 && i < count; i++)
		code = add_file(&shares, &files[i], &layouts, err);
	if (code == 0 && shares.count)
		code = settle(&shares, err);
	if (code == 0)
		code = check_stages(&shares, err);
	out->layout_count = layouts.count; /* none is in a share alone that is not kept, for that is equal to one that is */
	return code == 0 ? collect(&shares, arena, out, err) : code;
}
