/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "layout/names/fuse.h"

#define KEPT 65536 /* slots of a line whose last tensors are kept, at most */

/* The word of factor f of the whole as part `part` has it. */
static uint32_t word_of(const struct factors *whole, uint32_t f, uint32_t part)
{
	return whole->word[f][whole->summands[f] > 1 ? part : 0];
}

/* True for an index that counts along factor f. */
static bool is_place(const struct figures *figures, const struct factors *whole, uint32_t f)
{
	return whole->summands[f] == 1 && figures->recipe->word[whole->word[f][0]].kind == RECIPE_INDEX;
}

static uint64_t places(const struct figures *figures, const struct recipe_line *line)
{
	uint64_t n = 1;

	for (uint32_t f = 0; f < line->shape.count; f++)
		if (is_place(figures, &line->shape, f) && !bytes_mul(n, figures->sizes.value[line->shape.word[f][0]], &n))
			return UINT64_MAX / FACTORS_SUM;
	return n;
}

uint64_t fuse_slots(const struct figures *figures, const struct recipe_line *line)
{
	return line->count * places(figures, line);
}

uint64_t fuse_slot(const struct figures *figures, const struct recipe_line *line, uint32_t part, const uint64_t *values)
{
	uint64_t slot = part;

	for (uint32_t f = 0; f < line->shape.count; f++)
		if (is_place(figures, &line->shape, f)) {
			uint32_t w = line->shape.word[f][0];

			slot = slot * figures->sizes.value[w] + values[w] - figures->first[w];
		}
	return slot;
}

uint32_t fuse_part(const struct figures *figures, const struct recipe_line *line, uint64_t slot, uint64_t *values)
{
	for (uint32_t f = line->shape.count; f-- > 0;)
		if (is_place(figures, &line->shape, f)) {
			uint32_t w = line->shape.word[f][0];

			values[w] = figures->first[w] + slot % figures->sizes.value[w];
			slot /= figures->sizes.value[w];
		}
	return (uint32_t)slot;
}

/* A number of the recipe that no shape tells must be in config.json. */
static int need_numbers(const struct figures *figures, const struct factors *shape, const struct factors_sizes *sizes, struct error *err)
{
	for (uint32_t f = 0; f < shape->count; f++)
		for (uint32_t s = 0; s < shape->summands[f]; s++) {
			uint32_t w = shape->word[f][s];
			int code = sizes->value[w] == 0 && figures->recipe->word[w].kind == RECIPE_NUMBER ? figures_need(figures, w, err)
													  : 0;

			if (code < 0)
				return code;
		}
	return 0;
}

/* Sizes as the parts' tensors tell them: what one teaches may help with the next. Every tensor must then fit. */
static int sizes_of_parts(const struct figures *figures, const struct recipe_line *line, const struct tensor *const *sources,
			  struct factors_sizes *sizes, struct error *err)
{
	uint64_t slots = fuse_slots(figures, line), each = slots / line->count;
	int code;

	*sizes = figures->sizes;
	for (uint32_t round = 0; round < WEAVE_FACTORS; round++)
		for (uint32_t p = 0; p < line->count; p++)
			factors_learn(&line->parts[p].shape, sources[p * each], sizes);
	code = need_numbers(figures, &line->shape, sizes, err);
	for (uint64_t i = 0; code == 0 && i < slots; i++)
		code = factors_check(&line->parts[i / each].shape, sources[i], sizes, &figures->recipe->words, err);
	return code;
}

/* Where the part of slot i stands in a weave: those that meet in a row are side by side, for weave_find() looks beside the last one first. */
static uint64_t part_of(const struct recipe_line *line, uint64_t slots, uint64_t i)
{
	uint64_t each = slots / line->count;

	return i % each * line->count + i / each;
}

int fuse_begin(struct fuse *fuse, const struct figures *figures, struct arena *arena)
{
	uint32_t lines = figures->recipe->line_count;

	*fuse = (struct fuse){ .figures = figures, .arena = arena,
			       .made = arena_alloc(arena, lines, sizeof(*fuse->made)),
			       .split = arena_alloc(arena, lines, sizeof(*fuse->split)) };
	return fuse->made && fuse->split ? 0 : -ENOMEM;
}

/* The last tensor of a line that was made for this one of `count` slots; NULL where none is kept. */
static struct tensor *last_of(const struct fuse *fuse, struct tensor **lists, const struct recipe_line *line, uint64_t count, uint64_t slot)
{
	struct tensor **list = &lists[line - fuse->figures->recipe->lines];

	if (!*list && count <= KEPT)
		*list = arena_alloc(fuse->arena, count, sizeof(**list));
	return *list ? *list + slot : NULL;
}

/* What was made of the one is right for the other: nothing but its name and place could tell it apart. */
static bool are_alike(const struct tensor *a, const struct tensor *b)
{
	return !a->woven && !b->woven && a->dtype == b->dtype && a->axes == b->axes && memcmp(a->shape, b->shape, a->axes * sizeof(*a->shape)) == 0;
}

/* Makes a tensor with the weave of the last one; false when it is of tensors of other shapes. */
static bool make_like(const struct tensor *last, const char *name, struct woven *woven, struct tensor *out)
{
	bool alike = last && last->name;

	for (uint32_t i = 0; alike && i < last->woven->weave->count; i++)
		alike = are_alike(last->woven->of[i], woven->of[i]);
	if (alike) {
		woven->weave = last->woven->weave;
		*out = *last;
		out->name = out->source_name = name;
		out->woven = woven;
	}
	return alike;
}

/* What making a part needs to know of its line. */
struct making {
	const struct figures *figures;
	const struct recipe_line *line;
	struct factors_sizes sizes;
	uint64_t values[FACTORS_WORDS];
	uint32_t part;
};

/* Where the part lies on the sum, in elements of that factor. */
static uint64_t start_on_sum(const struct making *m, uint32_t f)
{
	uint64_t start = 0;

	for (uint32_t s = 0; s < m->part; s++)
		start += m->sizes.value[m->line->shape.word[f][s]];
	return start;
}

/* Where the part begins on factor f of the whole, and how far it goes. */
static void place_part(const struct making *m, uint32_t f, uint64_t *start, uint64_t *count)
{
	const struct factors *whole = &m->line->shape;
	uint32_t word = word_of(whole, f, m->part);
	bool place = is_place(m->figures, whole, f);

	*start = place ? m->values[word] - m->figures->first[word] : whole->summands[f] > 1 ? start_on_sum(m, f) : 0;
	*count = place ? 1 : m->sizes.value[word];
}

static void fill_part(const struct making *m, struct weave_part *out)
{
	const struct factors *whole = &m->line->shape, *own = &m->line->parts[m->part].shape;

	for (uint32_t f = 0; f < whole->count; f++) {
		uint32_t k = factors_find(own, word_of(whole, f, m->part));

		place_part(m, f, &out->start[f], &out->count[f]);
		if (out->count[f] > 1 && k != FACTORS_NONE) {
			out->axis[f] = own->axis[k];
			out->step[f] = factors_stride(own, k, &m->sizes);
		}
	}
}

static int make(struct fuse *fuse, const struct recipe_line *line, const char *name, const struct tensor *const *sources, struct woven *woven,
		struct tensor *out, struct error *err)
{
	struct making m = { .figures = fuse->figures, .line = line };
	uint64_t slots = fuse_slots(m.figures, line);
	struct weave *weave = arena_alloc(fuse->arena, 1, sizeof(*weave));
	struct weave_part *parts = arena_alloc(fuse->arena, slots, sizeof(*parts));
	int code = weave && parts && slots <= UINT32_MAX ? sizes_of_parts(m.figures, line, sources, &m.sizes, err) : error_nomem(err);

	if (code < 0)
		return error_prefix(err, code, "making \"%s\"", name);
	*weave = (struct weave){ .factors = line->shape.count, .parts = parts, .count = (uint32_t)slots };
	for (uint32_t f = 0; f < weave->factors; f++) {
		weave->shape[f] = factors_size(&line->shape, f, &m.sizes);
		weave->of[f] = line->shape.axis[f];
	}
	for (uint64_t i = 0; i < slots; i++) {
		m.part = fuse_part(m.figures, line, i, m.values);
		fill_part(&m, &parts[part_of(line, slots, i)]);
	}
	woven->weave = weave;
	return weave_make(name, woven, fuse->arena, out, err);
}

int fuse_make(struct fuse *fuse, const struct recipe_line *line, const char *name, const struct tensor *const *sources, struct tensor *out,
	      struct error *err)
{
	uint64_t slots = fuse_slots(fuse->figures, line);
	struct tensor *last = last_of(fuse, fuse->made, line, 1, 0);
	const struct tensor **of = arena_alloc(fuse->arena, slots, sizeof(*of));
	struct woven *woven = arena_alloc(fuse->arena, 1, sizeof(*woven));
	int code;

	if (!of || !woven)
		return error_nomem(err);
	woven->of = of;
	for (uint64_t i = 0; i < slots; i++)
		of[part_of(line, slots, i)] = sources[i];
	if (make_like(last, name, woven, out))
		return 0;
	code = make(fuse, line, name, sources, woven, out, err);
	if (code == 0 && last)
		*last = *out;
	return code;
}

/* The one part of a split tensor: the box of the whole that it is, walked in the order of its own factors. */
static void fill_split(const struct making *m, const struct weave *weave, struct weave_part *out)
{
	const struct factors *whole = &m->line->shape, *own = &m->line->parts[m->part].shape;

	for (uint32_t f = 0; f < weave->factors; f++)
		out->count[f] = weave->shape[f];
	for (uint32_t k = 0; k < whole->count; k++) {
		uint32_t f = factors_find(own, word_of(whole, k, m->part));
		uint64_t start, count, stride = factors_stride(whole, k, &m->sizes);

		place_part(m, k, &start, &count);
		out->base[whole->axis[k]] += start * stride;
		if (count > 1 && f != FACTORS_NONE) {
			out->axis[f] = whole->axis[k];
			out->step[f] = stride;
		}
	}
}

static int split(struct fuse *fuse, const struct recipe_line *line, const char *name, uint64_t slot, struct woven *woven,
		 struct tensor *out, struct error *err)
{
	const struct figures *figures = fuse->figures;
	struct making m = { .figures = figures, .line = line, .sizes = figures->sizes };
	struct weave *weave = arena_alloc(fuse->arena, 1, sizeof(*weave));
	struct weave_part *part = arena_alloc(fuse->arena, 1, sizeof(*part));
	const struct factors *own;
	int code = weave && part ? 0 : error_nomem(err);

	if (code < 0)
		return code;
	m.part = fuse_part(figures, line, slot, m.values);
	own = &line->parts[m.part].shape;
	factors_learn(&line->shape, *woven->of, &m.sizes);
	code = need_numbers(figures, &line->shape, &m.sizes, err);
	if (code == 0)
		code = factors_check(&line->shape, *woven->of, &m.sizes, &figures->recipe->words, err);
	if (code < 0)
		return error_prefix(err, code, "making \"%s\"", name);
	*weave = (struct weave){ .factors = own->count, .parts = part, .count = 1 };
	for (uint32_t f = 0; f < weave->factors; f++) {
		weave->shape[f] = factors_size(own, f, &m.sizes);
		weave->of[f] = own->axis[f];
	}
	fill_split(&m, weave, part);
	woven->weave = weave;
	return weave_make(name, woven, fuse->arena, out, err);
}

int fuse_split(struct fuse *fuse, const struct recipe_line *line, const char *name, uint64_t slot, const struct tensor *source,
	       struct tensor *out, struct error *err)
{
	struct tensor *last = last_of(fuse, fuse->split, line, fuse_slots(fuse->figures, line), slot);
	const struct tensor **of = arena_alloc(fuse->arena, 1, sizeof(*of));
	struct woven *woven = arena_alloc(fuse->arena, 1, sizeof(*woven));
	int code;

	if (!of || !woven)
		return error_nomem(err);
	*of = source;
	woven->of = of;
	if (make_like(last, name, woven, out))
		return 0;
	code = split(fuse, line, name, slot, woven, out, err);
	if (code == 0 && last)
		*last = *out;
	return code;
}
