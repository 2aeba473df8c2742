/* SPDX-License-Identifier: Apache-2.0 */
/*
 * There and back: random models of every recipe, as Hugging Face has them, cut at random; under each of MindSpore's namings, cut another
 * way, as files of their own; and back. Names, shapes and bytes must be what they were. That the way there is right too is for the
 * tests that compare with numpy and with the programs themselves.
 */
#include <criterion/criterion.h>
#include <errno.h>

#include "layout/base/natural.h"
#include "layout/names/convert.h"
#include "layout/names/naming.h"
#include "layout/names/recipes.h"
#include "layout/names/twins.h"
#include "tests/prop_gather.h"

#define MOST 4000        /* tensors of a model */
#define ROOM (1 << 22)   /* bytes of a model */

/* What the models had. */
struct seen {
	uint64_t models, woven, alike, twins, gaps;
};

struct world {
	uint64_t seed;
	struct arena *arena;
	struct recipe *recipe;
	struct pair own[64];
	char values[64][16];
	uint64_t own_count;
	struct figures figures;
	enum recipe_naming naming;
	struct tensor tensors[MOST];
	uint64_t count, twins;
	struct file file[2];     /* Hugging Face's bytes, MindSpore's */
};

/* Numbers are small, and heads are a multiple of groups. */
static uint64_t number_for(struct world *w, const char *key)
{
	static const char *const own[] = { "num_attention_heads", "num_key_value_heads", "first_k_dense_replace", "num_hidden_layers",
					   "num_nextn_predict_layers" };
	const uint64_t want[] = { 6, 1 + draw(&w->seed, 3), draw(&w->seed, 4), 1 + draw(&w->seed, 3), draw(&w->seed, 2) };

	for (size_t i = 0; i < sizeof(own) / sizeof(*own); i++)
		if (strcmp(key, own[i]) == 0)
			return want[i];
	return strcmp(key, "hidden_size") == 0 ? 12 : 1 + draw(&w->seed, 5);
}

static void add_own(struct world *w, const char *key, const char *value)
{
	snprintf(w->values[w->own_count], sizeof(w->values[0]), "%s", value);
	w->own[w->own_count] = (struct pair){ key, w->values[w->own_count] };
	w->own_count++;
}

/* The layers that the recipe may leave out of an index. */
static void draw_list(struct world *w, const char *key)
{
	static const char *const lists[] = { "[]", "[0]", "[1, 9]", "[2,0]" };

	add_own(w, key, lists[draw(&w->seed, sizeof(lists) / sizeof(*lists))]);
}

static void draw_config(struct world *w)
{
	struct recipe *r = w->recipe;
	struct figures_config config = { .own = w->own };
	struct error err;
	char text[16];

	for (uint32_t i = 0; i < r->words.count; i++)
		if (r->word[i].kind == RECIPE_NUMBER && r->word[i].key) {
			snprintf(text, sizeof(text), "%llu", (unsigned long long)number_for(w, r->word[i].key));
			add_own(w, r->word[i].key, text);
		} else if (r->word[i].kind == RECIPE_INDEX && r->word[i].without) {
			draw_list(w, r->word[i].without);
		}
	for (uint32_t i = 0; i < r->flag_count; i++)
		add_own(w, r->flags[i].key, draw(&w->seed, 2) ? "true" : "false");
	config.own_count = w->own_count;
	cr_assert_eq(figures_read(r, &config, w->arena, &w->figures, &err), 0, "%s", err.msg);
}

/* A grid that cuts `shape` evenly. */
static struct grid draw_grid(struct world *w, const uint64_t *shape, uint32_t axes)
{
	uint32_t *cuts = arena_alloc(w->arena, axes, sizeof(*cuts));
	struct grid grid = { .axes = axes, .blocks = 1, .cuts = cuts };

	for (uint32_t a = 0; a < axes; a++) {
		do
			cuts[a] = 1 + (uint32_t)(draw(&w->seed, 2) * draw(&w->seed, 4));
		while (shape[a] % cuts[a]);
		grid.blocks *= cuts[a];
	}
	return grid;
}

static uint8_t *room(struct world *w, int file, uint64_t len)
{
	uint8_t *at = (uint8_t *)w->file[file].bytes.ptr + w->file[file].bytes.len;

	w->file[file].bytes.len += len;
	cr_assert_leq(w->file[file].bytes.len, ROOM);
	return at;
}

/* A tensor of this name and shape, whose blocks lie in file `file`. */
static struct tensor place(struct world *w, int file, const char *name, const uint64_t *shape, uint32_t axes)
{
	struct tensor t = { .name = name, .source_name = name, .shape = shape, .axes = axes, .dtype = DTYPE_BF16, .bytes = 2 };
	struct piece *pieces;

	for (uint32_t a = 0; a < axes; a++)
		t.bytes *= shape[a];
	t.grid = draw_grid(w, shape, axes);
	t.pieces = pieces = arena_alloc(w->arena, t.grid.blocks, sizeof(*pieces));
	for (uint32_t b = 0; b < t.grid.blocks; b++)
		pieces[b] = (struct piece){ .source = (uint32_t)file,
					    .offset = (uint64_t)(room(w, file, t.bytes / t.grid.blocks) - w->file[file].bytes.ptr) };
	return t;
}

/* Sizes of the words of a line that are its own: the same for all tensors of one instance. */
static void draw_sizes(const struct world *w, const struct recipe_line *line, const uint64_t *values, struct factors_sizes *sizes)
{
	uint64_t state = line->number * 31;

	for (uint32_t i = 0; i < line->ms.count; i++)
		state = state * 37 + values[line->ms.index[i]];
	*sizes = w->figures.sizes;
	for (uint32_t i = 0; i < w->recipe->words.count; i++)
		if (w->recipe->word[i].kind == RECIPE_FREE && i != FACTORS_ONE)
			sizes->value[i] = 1 + draw(&state, 6);
}

static void add_hf(struct world *w, const struct recipe_line *line, uint32_t part, const uint64_t *values)
{
	const struct factors *f = &line->parts[part].shape;
	uint64_t *shape = arena_alloc(w->arena, 3, sizeof(*shape));
	uint32_t axes = line->woven ? f->axes : (uint32_t)draw(&w->seed, 3);
	struct factors_sizes sizes;

	draw_sizes(w, line, values, &sizes);
	for (uint32_t a = 0; a < axes; a++)
		shape[a] = line->woven ? 1 : 1 + draw(&w->seed, 6);
	for (uint32_t i = 0; i < f->count; i++)
		shape[f->axis[i]] *= factors_size(f, i, &sizes);
	cr_assert_lt(w->count, MOST);
	w->tensors[w->count++] = place(w, 0, pattern_format(&line->parts[part].hf, "", values, w->arena), shape, axes);
}

/* All tensors that a part of a line stands for. */
static void add_part(struct world *w, const struct recipe_line *line, uint32_t part)
{
	const struct pattern *hf = &line->parts[part].hf;
	uint64_t values[FACTORS_WORDS];

	for (uint32_t i = 0; i < hf->count; i++)
		if (w->figures.sizes.value[hf->index[i]] == 0)
			return;
	memcpy(values, w->figures.first, sizeof(values));
	do
		add_hf(w, line, part, values);
	while (naming_advance(&w->figures, hf, values));
}

/* What Hugging Face's files have twice. */
static void add_twins(struct world *w)
{
	struct naming_form form = { .naming = w->naming, .flags = w->figures.flags, .hf = true };
	uint64_t count = w->count;
	struct pairs twins;
	struct error err;

	cr_assert_eq(twins_list(&w->figures, &form, w->arena, &twins, &err), 0, "%s", err.msg);
	w->twins = twins.names.count;
	for (uint64_t i = 0; i < w->twins; i++)
		for (uint64_t k = 0; k < count; k++)
			if (strcmp(w->tensors[k].name, twins.pair[i].value) == 0) {
				w->tensors[w->count] = w->tensors[k];
				w->tensors[w->count++].name = twins.pair[i].key;
			}
	cr_assert_eq(w->count, count + w->twins);
}

static int by_name(const void *a, const void *b)
{
	return natural_compare(((const struct tensor *)a)->name, ((const struct tensor *)b)->name);
}

static struct checkpoint checkpoint_of(struct world *w, const struct tensor *tensors, uint64_t count)
{
	struct tensor *copy = arena_alloc(w->arena, count, sizeof(*copy));

	memcpy(copy, tensors, count * sizeof(*copy));
	qsort(copy, count, sizeof(*copy), by_name);
	return (struct checkpoint){ .tensors = copy, .count = count };
}

/* Block `block` of `grid` of the tensor, into dst. */
static void read_block(struct world *w, const struct tensor *t, const struct grid *grid, uint32_t block, uint8_t *dst)
{
	struct image *image = image_new(w->arena, 1);
	struct files files = { w->file, 2 };

	image_add_block(image, t, grid, block);
	cr_assert_eq(gather(image, &files, 0, image->size, dst), image->size, "%s", t->name);
}

/* What a program would have saved of a view of the checkpoint: its tensors as MindSpore's own files, cut another way. */
static struct checkpoint save(struct world *w, const struct checkpoint *view)
{
	struct tensor *saved = arena_alloc(w->arena, view->count, sizeof(*saved));

	for (uint64_t i = 0; i < view->count; i++) {
		const struct tensor *t = &view->tensors[i];

		saved[i] = place(w, 1, t->name, t->shape, t->axes);
		for (uint32_t b = 0; b < saved[i].grid.blocks; b++)
			read_block(w, t, &saved[i].grid, b, (uint8_t *)w->file[1].bytes.ptr + saved[i].pieces[b].offset);
	}
	return checkpoint_of(w, saved, view->count);
}

/* Names are recognised as a search of each finds them, in order or not. */
static void recognise(struct world *w, const struct checkpoint *ckpt, enum recipe_naming to)
{
	struct naming_match *matches = arena_alloc(w->arena, ckpt->count, sizeof(*matches));
	struct tensor *t = arena_alloc(w->arena, ckpt->count, sizeof(*t));
	struct naming_form form;
	struct naming_found found;
	struct error err;

	memcpy(t, ckpt->tensors, ckpt->count * sizeof(*t));
	for (int turn = 0; turn < 2; turn++) {
		cr_assert_eq(naming_recognise(&w->figures, t, ckpt->count, to, matches, &form, &err), 0, "%s", err.msg);
		for (uint64_t i = 0; i < ckpt->count; i++) {
			cr_assert(naming_find(&w->figures, &form, t[i].name, &found), "%s", t[i].name);
			cr_assert(matches[i].line == (found.prefix[0] ? NULL : found.line), "%s", t[i].name);
			cr_assert(!matches[i].line || matches[i].part == found.part, "%s", t[i].name);
		}
		for (uint64_t i = ckpt->count; i > 1; i--) {
			uint64_t other = draw(&w->seed, i);
			struct tensor one = t[other];

			t[other] = t[i - 1];
			t[i - 1] = one;
		}
	}
}

static void convert(struct world *w, struct checkpoint *ckpt, enum recipe_naming to, uint64_t left_out)
{
	struct convert_options options = { .figures = &w->figures, .to = to };
	struct convert_done done;
	struct error err;

	recognise(w, ckpt, to);
	cr_assert_eq(convert_checkpoint(ckpt, &options, w->arena, &done, &err), 0, "%s to %s: %s", w->recipe->family,
		     recipe_naming_name(to), err.msg);
	cr_assert_eq(done.left_out.names.count, left_out);
}

static void compare(struct world *w, const struct checkpoint *before, const struct checkpoint *after)
{
	cr_assert_eq(before->count, after->count, "%s: %llu tensors, then %llu", w->recipe->family, (unsigned long long)before->count,
		     (unsigned long long)after->count);
	for (uint64_t i = 0; i < before->count; i++) {
		const struct tensor *a = &before->tensors[i], *b = &after->tensors[i];
		struct grid whole = box_uncut(a->axes);
		uint8_t *x = malloc(a->bytes), *y = malloc(a->bytes);

		cr_assert_str_eq(a->name, b->name);
		cr_assert(a->axes == b->axes && memcmp(a->shape, b->shape, a->axes * sizeof(*a->shape)) == 0, "shape of %s", a->name);
		read_block(w, a, &whole, 0, x);
		read_block(w, b, &whole, 0, y);
		cr_assert_eq(memcmp(x, y, a->bytes), 0, "bytes of %s", a->name);
		free(x);
		free(y);
	}
}

static void there_and_back(struct world *w, struct seen *seen)
{
	struct checkpoint hf, view, saved;

	for (uint32_t i = 0; i < w->recipe->line_count; i++)
		for (uint32_t p = 0; p < w->recipe->lines[i].count; p++)
			if (figures_hold(&w->recipe->lines[i].when, w->naming, w->figures.flags))
				add_part(w, &w->recipe->lines[i], p);
	add_twins(w);
	seen->twins += w->twins;
	for (uint64_t i = 0; i < w->file[0].bytes.len; i++)
		((uint8_t *)w->file[0].bytes.ptr)[i] = (uint8_t)draw(&w->seed, 256);
	hf = checkpoint_of(w, w->tensors, w->count);
	view = checkpoint_of(w, hf.tensors, hf.count);
	convert(w, &view, w->naming, w->twins);
	for (uint64_t i = 0; i < view.count; i++)
		seen->woven += view.tensors[i].woven != NULL;
	for (uint64_t i = 0; i + 1 < view.count; i++)
		for (uint64_t k = i + 1; view.tensors[i].woven && k < view.count; k++)
			seen->alike += view.tensors[k].woven && view.tensors[k].woven->weave == view.tensors[i].woven->weave;
	saved = save(w, &view);
	view = checkpoint_of(w, saved.tensors, saved.count);
	convert(w, &view, RECIPE_HF, 0);
	compare(w, &hf, &view);
	view = checkpoint_of(w, saved.tensors, saved.count);
	convert(w, &view, w->naming, 0);
	compare(w, &saved, &view);
}

/* Indexes that have some numbers of their range, and not all. */
static uint64_t count_gaps(const struct world *w)
{
	const struct figures *f = &w->figures;
	uint64_t n = 0;

	for (uint32_t i = 0; i < w->recipe->words.count; i++)
		n += f->has[i] && f->sizes.value[i] > 0 && f->sizes.value[i] < f->end[i];
	return n;
}

static void try(const char *text, enum recipe_naming naming, uint64_t seed, struct seen *seen)
{
	struct world *w = calloc(1, sizeof(*w));
	struct error err;
	bool has = false;

	w->seed = seed * UINT64_C(0x9E3779B97F4A7C15) + naming;
	w->arena = arena_new();
	w->naming = naming;
	for (int f = 0; f < 2; f++)
		w->file[f].bytes.ptr = malloc(ROOM);
	cr_assert_eq(recipe_parse((struct bytes){ (const uint8_t *)text, strlen(text) }, w->arena, &w->recipe, &err), 0, "%s", err.msg);
	for (uint32_t i = 0; i < w->recipe->line_count; i++)
		has |= w->recipe->lines[i].when.namings >> naming & 1;
	if (has) {
		draw_config(w);
		seen->gaps += count_gaps(w);
		there_and_back(w, seen);
	}
	free((void *)w->file[0].bytes.ptr);
	free((void *)w->file[1].bytes.ptr);
	arena_free(w->arena);
	free(w);
	seen->models += has;
}

Test(convert, there_and_back, .timeout = 120)
{
	struct seen seen = { 0 };

	for (uint32_t r = 0; recipes_all[r].path; r++)
		for (uint32_t n = 1; n < RECIPE_NAMINGS; n++)
			for (uint64_t seed = 1; seed <= 200; seed++)
				try(recipes_all[r].text, (enum recipe_naming)n, seed, &seen);
	cr_assert_eq(seen.models, 8 * 200); /* the namings of all families together */
	cr_assert_gt(seen.woven, 1000);
	cr_assert_gt(seen.alike, 100);
	cr_assert_gt(seen.twins, 100);
	cr_assert_gt(seen.gaps, 100);
}
