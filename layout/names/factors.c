/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "layout/base/text.h"
#include "layout/names/factors.h"

#define WORD_MAX 32

/* The word at *at, as its number; FACTORS_NONE without memory or when there is none. */
static uint32_t take_word(const char **at, struct names *words)
{
	size_t len = strspn(*at, "abcdefghijklmnopqrstuvwxyz_0123456789");
	char *word = len && len < WORD_MAX ? arena_strndup(words->arena, *at, len) : NULL;
	uint32_t n;

	if (!word || ((*word < 'a' || *word > 'z') && strcmp(word, "1") != 0))
		return FACTORS_NONE;
	*at += len;
	n = names_add(words, word);
	return n < FACTORS_WORDS ? n : FACTORS_NONE;
}

static bool is_used(const struct factors *f, uint32_t word)
{
	for (uint32_t i = 0; i < f->count; i++)
		for (uint32_t s = 0; s < f->summands[i]; s++)
			if (f->word[i][s] == word)
				return true;
	return false;
}

/* "word" or "word+word+word" as the next factor of `axis`. */
static int take_factor(const char **at, struct names *words, uint32_t axis, struct factors *f, struct error *err)
{
	uint32_t n = f->count, sum = factors_sum(f), word;

	if (n == WEAVE_FACTORS)
		return error_set(err, -EINVAL, "shape: more than %d factors", WEAVE_FACTORS);
	f->axis[n] = axis;
	f->count++;
	do {
		*at += f->summands[n] > 0;
		word = take_word(at, words);
		if (word == FACTORS_NONE || f->summands[n] == FACTORS_SUM)
			return error_set(err, -EINVAL, "shape: expected a word for a size, or 1, before \"%s\"", *at);
		if (word != FACTORS_ONE && is_used(f, word))
			return error_set(err, -EINVAL, "shape: \"%s\" comes twice", words->name[word]);
		f->word[n][f->summands[n]++] = word;
	} while (**at == '+');
	return f->summands[n] > 1 && sum != FACTORS_NONE ? error_set(err, -EINVAL, "shape: more than one sum") : 0;
}

/* What is between brackets: factors of one axis. */
static int take_group(const char **at, struct names *words, struct factors *f, struct error *err)
{
	uint32_t first = f->count;
	int code = 0;

	for (++*at; code == 0 && **at && **at != ')';) {
		code = take_factor(at, words, f->axes, f, err);
		*at += strspn(*at, " \t");
	}
	if (code == 0 && (**at != ')' || f->count == first))
		return error_set(err, -EINVAL, "shape: brackets that are empty or do not end");
	++*at;
	return code;
}

int factors_parse(const char *text, struct names *words, struct factors *out, struct error *err)
{
	int code = 0;

	*out = (struct factors){ 0 };
	for (text += strspn(text, " \t"); code == 0 && *text; text += code == 0 ? strspn(text, " \t") : 0) {
		code = *text == '(' ? take_group(&text, words, out, err) : take_factor(&text, words, out->axes, out, err);
		out->axes++;
	}
	return code == 0 && out->axes == 0 ? error_set(err, -EINVAL, "shape: it has no axis") : code;
}

uint32_t factors_find(const struct factors *factors, uint32_t word)
{
	for (uint32_t f = 0; f < factors->count; f++)
		if (factors->summands[f] == 1 && factors->word[f][0] == word)
			return f;
	return FACTORS_NONE;
}

uint32_t factors_sum(const struct factors *factors)
{
	for (uint32_t f = 0; f < factors->count; f++)
		if (factors->summands[f] > 1)
			return f;
	return FACTORS_NONE;
}

uint64_t factors_size(const struct factors *factors, uint32_t f, const struct factors_sizes *sizes)
{
	uint64_t size = 0, one;

	for (uint32_t s = 0; s < factors->summands[f]; s++) {
		one = sizes->value[factors->word[f][s]];
		if (one == 0 || !bytes_add(size, one, &size))
			return 0;
	}
	return size;
}

uint64_t factors_stride(const struct factors *factors, uint32_t f, const struct factors_sizes *sizes)
{
	uint64_t stride = 1;

	for (uint32_t k = f + 1; k < factors->count && factors->axis[k] == factors->axis[f]; k++)
		stride *= factors_size(factors, k, sizes);
	return stride;
}

/* The product of the known factors of an axis; *unknown is the only other one, if there is one and it is a word alone. False otherwise. */
static bool product(const struct factors *factors, uint32_t axis, const struct factors_sizes *sizes, uint64_t *known, uint32_t *unknown)
{
	*known = 1;
	*unknown = FACTORS_NONE;
	for (uint32_t f = 0; f < factors->count; f++) {
		uint64_t size = factors->axis[f] == axis ? factors_size(factors, f, sizes) : 1;

		if (size == 0 && (*unknown != FACTORS_NONE || factors->summands[f] > 1))
			return false;
		if (size == 0)
			*unknown = f;
		else if (!bytes_mul(*known, size, known))
			return false;
	}
	return true;
}

void factors_learn(const struct factors *factors, const struct tensor *tensor, struct factors_sizes *sizes)
{
	uint64_t known;
	uint32_t unknown;

	for (uint32_t a = 0; a < factors->axes && a < tensor->axes; a++)
		if (product(factors, a, sizes, &known, &unknown) && unknown != FACTORS_NONE && tensor->shape[a] % known == 0)
			sizes->value[factors->word[unknown][0]] = tensor->shape[a] / known;
}

static void write_sizes(const struct factors *factors, const struct factors_sizes *sizes, const struct names *words, struct text *text)
{
	for (uint32_t f = 0; f < factors->count; f++)
		for (uint32_t s = 0; s < factors->summands[f]; s++) {
			uint32_t w = factors->word[f][s];

			if (w != FACTORS_ONE && sizes->value[w])
				text_add(text, "%s%s %llu", text->len ? ", " : "", words->name[w], (unsigned long long)sizes->value[w]);
			else if (w != FACTORS_ONE)
				text_add(text, "%s%s unknown", text->len ? ", " : "", words->name[w]);
		}
}

int factors_check(const struct factors *factors, const struct tensor *tensor, const struct factors_sizes *sizes, const struct names *words,
		  struct error *err)
{
	struct text text = TEXT_EMPTY;
	bool fits = factors->axes == tensor->axes;
	uint64_t known = 0, found = 0;
	uint32_t unknown, a = 0;

	for (; fits && a < factors->axes; a++) {
		fits = product(factors, a, sizes, &known, &unknown) && unknown == FACTORS_NONE && known == tensor->shape[a];
		found = tensor->shape[a];
	}
	if (fits)
		return 0;
	if (factors->axes != tensor->axes)
		return error_set(err, -EINVAL, "tensor \"%s\" has %u axes, expected %u", tensor->name, tensor->axes, factors->axes);
	write_sizes(factors, sizes, words, &text);
	error_set(err, -EINVAL, "tensor \"%s\": axis %u has %llu elements, which does not fit %s", tensor->name, a - 1,
		  (unsigned long long)found, text.ptr ? text.ptr : "1");
	text_free(&text);
	return -EINVAL;
}
