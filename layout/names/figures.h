/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What config.json, and what the user says beside it, make of the numbers and flags of a recipe for one model.
 *
 * A number that nothing gives is no error until it is needed: figures_need() then says which key is missing.
 */
#ifndef LAYOUT_FIGURES_H
#define LAYOUT_FIGURES_H

#include "layout/base/json.h"
#include "layout/names/recipe.h"

/* Where values come from: the user's own first. */
struct figures_config {
	const struct pair *own; /* [own_count] key and value */
	uint64_t own_count;
	const json *json;       /* the object of config.json; NULL without one */
};

struct figures {
	const struct recipe *recipe;
	struct factors_sizes sizes;          /* by word: numbers; of indexes how many values they have */
	uint64_t first[FACTORS_WORDS];       /* of indexes */
	uint64_t end[FACTORS_WORDS];         /* of indexes: beyond the last */
	const uint8_t *has[FACTORS_WORDS];   /* of indexes with gaps: [end] whether it has the number; else NULL */
	bool known[FACTORS_WORDS];           /* a known number may be 0 */
	uint32_t lacks[FACTORS_WORDS];       /* the word without a value that keeps this one from having one */
	uint32_t flags;                      /* bits */
};

/*
 * -EINVAL with the key when a value is no number, no list of them or no truth, overflows, or is not what the recipe expects; -ENOMEM.
 * What *out points at lives in `arena`.
 */
int figures_read(const struct recipe *recipe, const struct figures_config *config, struct arena *arena, struct figures *out,
		 struct error *err);

/* True when the index `word` has this value. */
bool figures_has(const struct figures *figures, uint32_t word, uint64_t value);

/* The next higher value of the index; false when *value is the last. */
bool figures_next(const struct figures *figures, uint32_t word, uint64_t *value);

/* True when lines under these conditions count, for this naming. */
bool figures_hold(const struct recipe_when *when, enum recipe_naming naming, uint32_t flags);

/* -EINVAL with the missing key unless `word` is known. */
int figures_need(const struct figures *figures, uint32_t word, struct error *err);

/*
 * The text of a key, in `arena`: NULL when there is none or it is null. Numbers, lists of numbers and truths as JSON has them, strings
 * as they are.
 */
const char *figures_value(const struct figures_config *config, const char *key, struct arena *arena);

#endif
