/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "layout/names/fuse.h"

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

static void fill_part(const struct making *m, const struct tensor *source, struct weave_part *out)
{
	const struct factors *whole = &m->line->shape, *own = &m->line->parts[m->part].shape;

	out->source = source;
	for (uint32_t f = 0; f < whole->count; f++) {
		uint32_t k = factors_find(own, word_of(whole, f, m->part));

		place_part(m, f, &out->start[f], &out->count[f]);
		if (out->count[f] > 1 && k != FACTORS_NONE) {
			out->axis[f] = own->axis[k];
			out->step[f] = factors_stride(own, k, &m->sizes);
		}
	}
}

/* Parts that meet in a row stand side by side, for weave_find() looks beside the last one first. */
int fuse_make(const struct figures *figures, const struct recipe_line *line, const char *name, const struct tensor *const *sources,
	      struct arena *arena, struct tensor *out, struct error *err)
{
	struct making m = { .figures = figures, .line = line };
	uint64_t slots = fuse_slots(figures, line);
	struct weave *weave = arena_alloc(arena, 1, sizeof(*weave));
	struct weave_part *parts = arena_alloc(arena, slots, sizeof(*parts));
	int code = weave && parts && slots <= UINT32_MAX ? sizes_of_parts(figures, line, sources, &m.sizes, err) : error_nomem(err);

	if (code < 0)
		return error_prefix(err, code, "making \"%s\"", name);
	*weave = (struct weave){ .factors = line->shape.count, .parts = parts, .count = (uint32_t)slots };
	for (uint32_t f = 0; f < weave->factors; f++) {
		weave->shape[f] = factors_size(&line->shape, f, &m.sizes);
		weave->of[f] = line->shape.axis[f];
	}
	for (uint64_t i = 0; i < slots; i++) {
		m.part = fuse_part(figures, line, i, m.values);
		fill_part(&m, sources[i], &parts[i % (slots / line->count) * line->count + m.part]);
	}
	return weave_make(name, weave, arena, out, err);
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

int fuse_split(const struct figures *figures, const struct recipe_line *line, const char *name, uint64_t slot, const struct tensor *source,
	       struct arena *arena, struct tensor *out, struct error *err)
{
	struct making m = { .figures = figures, .line = line, .sizes = figures->sizes };
	struct weave *weave = arena_alloc(arena, 1, sizeof(*weave));
	struct weave_part *part = arena_alloc(arena, 1, sizeof(*part));
	const struct factors *own;
	int code = weave && part ? 0 : error_nomem(err);

	if (code < 0)
		return code;
	m.part = fuse_part(figures, line, slot, m.values);
	own = &line->parts[m.part].shape;
	factors_learn(&line->shape, source, &m.sizes);
	code = need_numbers(figures, &line->shape, &m.sizes, err);
	if (code == 0)
		code = factors_check(&line->shape, source, &m.sizes, &figures->recipe->words, err);
	if (code < 0)
		return error_prefix(err, code, "making \"%s\"", name);
	*weave = (struct weave){ .factors = own->count, .parts = part, .count = 1 };
	for (uint32_t f = 0; f < weave->factors; f++) {
		weave->shape[f] = factors_size(own, f, &m.sizes);
		weave->of[f] = own->axis[f];
	}
	part->source = source;
	fill_split(&m, weave, part);
	return weave_make(name, weave, arena, out, err);
}
