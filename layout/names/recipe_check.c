/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "layout/names/recipe_check.h"

static bool is_index(const struct recipe *r, uint32_t word)
{
	return r->word[word].kind == RECIPE_INDEX;
}

/* Every index of MindSpore's name must be in Hugging Face's, or the latter could not be made of it. */
static int check_names(const struct recipe *r, const struct recipe_line *line, const struct pattern *hf, struct error *err)
{
	for (uint32_t i = 0; i < line->ms.count; i++)
		if (!pattern_has(hf, line->ms.index[i]))
			return error_set(err, -EINVAL, "{%s} is in one name only", r->words.name[line->ms.index[i]]);
	return 0;
}

/* A word of MindSpore's shape is either a factor of Hugging Face's, or an index of its name that counts along this factor. */
static int check_word(const struct recipe *r, const struct recipe_line *line, const struct recipe_part *part, uint32_t word,
		      struct error *err)
{
	bool factor = factors_find(&part->shape, word) != FACTORS_NONE;
	bool place = is_index(r, word) && pattern_has(&part->hf, word) && !pattern_has(&line->ms, word);

	if (word != FACTORS_ONE && factor && is_index(r, word))
		return error_set(err, -EINVAL, "index \"%s\" in the shape of a part", r->words.name[word]);
	if (place && recipe_has_gaps(r, word))
		return error_set(err, -EINVAL, "index \"%s\", which has gaps, in a shape", r->words.name[word]);
	if (word != FACTORS_ONE && !factor && !place)
		return error_set(err, -EINVAL, "\"%s\" is in the shape of the whole, but not in that of the part", r->words.name[word]);
	return 0;
}

static int check_part(const struct recipe *r, const struct recipe_line *line, uint32_t n, struct error *err)
{
	const struct recipe_part *part = &line->parts[n];
	uint32_t common = 0;

	if (factors_sum(&part->shape) != FACTORS_NONE)
		return error_set(err, -EINVAL, "a sum in the shape of a part");
	for (uint32_t f = 0; f < line->shape.count; f++) {
		uint32_t word = line->shape.word[f][line->shape.summands[f] > 1 ? n : 0];
		int code = check_word(r, line, part, word, err);

		if (code < 0)
			return code;
		common += word != FACTORS_ONE && !is_index(r, word);
	}
	for (uint32_t f = 0; f < part->shape.count; f++)
		common -= part->shape.word[f][0] != FACTORS_ONE;
	return common ? error_set(err, -EINVAL, "a size is in the shape of the part, but not in that of the whole") : 0;
}

static int check_sum(const struct recipe *r, const struct recipe_line *line, struct error *err)
{
	uint32_t sum = factors_sum(&line->shape), parts = sum == FACTORS_NONE ? 1 : line->shape.summands[sum];

	if (line->count != parts)
		return error_set(err, -EINVAL, "%u `of` lines, expected %u", line->count, parts);
	for (uint32_t s = 0; sum != FACTORS_NONE && s < parts; s++)
		if (is_index(r, line->shape.word[sum][s]))
			return error_set(err, -EINVAL, "index \"%s\" in a sum", r->words.name[line->shape.word[sum][s]]);
	return 0;
}

static int check_line(const struct recipe *r, const struct recipe_line *line, struct error *err)
{
	int code = line->woven ? check_sum(r, line, err) : 0;

	for (uint32_t i = 0; code == 0 && i < line->count; i++) {
		code = check_names(r, line, &line->parts[i].hf, err);
		if (code == 0 && line->woven)
			code = check_part(r, line, i, err);
	}
	return code < 0 ? error_prefix(err, code, "line %llu", (unsigned long long)line->number) : 0;
}

/* The name of the tensor that is copied must follow from that of the copy. */
static int check_copy(const struct recipe *r, const struct recipe_copy *copy, struct error *err)
{
	for (uint32_t i = 0; i < copy->of.count; i++)
		if (!pattern_has(&copy->hf, copy->of.index[i]))
			return error_set(err, -EINVAL, "line %llu: {%s} is in one name only", (unsigned long long)copy->number,
					 r->words.name[copy->of.index[i]]);
	return 0;
}

int recipe_check(const struct recipe *r, struct error *err)
{
	int code = r->family && r->line_count ? 0 : error_set(err, -EINVAL, "no `family` line, or no tensor");

	for (uint32_t i = 0; code == 0 && i < r->line_count; i++)
		code = check_line(r, &r->lines[i], err);
	for (uint32_t i = 0; code == 0 && i < r->copy_count; i++)
		code = check_copy(r, &r->copies[i], err);
	return code;
}
