/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shapes written as products: "(groups queries+1+1 dim) hidden" has two axes, of which the first is made of three factors, the middle
 * one being a sum: there the parts of a fused tensor lie one after the other. A word stands for a size; "1" is one.
 *
 * Invariants: at most WEAVE_FACTORS factors and one sum; no word comes twice in a shape; every axis has a factor.
 */
#ifndef LAYOUT_FACTORS_H
#define LAYOUT_FACTORS_H

#include "layout/base/names.h"
#include "layout/names/weave.h"

#define FACTORS_SUM 4      /* most summands */
#define FACTORS_WORDS 64   /* most words of a recipe */
#define FACTORS_ONE 0      /* the number of the word "1" */
#define FACTORS_NONE UINT32_MAX

struct factors {
	uint32_t axes, count;
	uint32_t axis[WEAVE_FACTORS];
	uint32_t summands[WEAVE_FACTORS]; /* 1 for a plain factor */
	uint32_t word[WEAVE_FACTORS][FACTORS_SUM];
};

/* What the words stand for, as far as is known. */
struct factors_sizes {
	uint64_t value[FACTORS_WORDS]; /* 0: not known */
};

/* Parses `text`; new words are added to `words`. -EINVAL, -ENOMEM. */
int factors_parse(const char *text, struct names *words, struct factors *out, struct error *err);

/* The factor that is `word` alone, or FACTORS_NONE. */
uint32_t factors_find(const struct factors *factors, uint32_t word);

/* The factor that is a sum, or FACTORS_NONE. */
uint32_t factors_sum(const struct factors *factors);

/* Takes what the shape of a tensor tells of words that are not known yet. */
void factors_learn(const struct factors *factors, const struct tensor *tensor, struct factors_sizes *sizes);

/* -EINVAL, with the tensor named, unless all words are known and give the tensor's shape. */
int factors_check(const struct factors *factors, const struct tensor *tensor, const struct factors_sizes *sizes, const struct names *words,
		  struct error *err);

/* The size of factor f. */
uint64_t factors_size(const struct factors *factors, uint32_t f, const struct factors_sizes *sizes);

/* Elements of its axis from one of factor f to the next. */
uint64_t factors_stride(const struct factors *factors, uint32_t f, const struct factors_sizes *sizes);

#endif
