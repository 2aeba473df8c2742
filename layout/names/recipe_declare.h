/* SPDX-License-Identifier: Apache-2.0 */
/* What the two halves of the parser of recipes share: private to recipe.c and recipe_declare.c. */
#ifndef LAYOUT_RECIPE_DECLARE_H
#define LAYOUT_RECIPE_DECLARE_H

#include "layout/names/recipe.h"

/* What parsing carries from line to line. */
struct recipe_parsing {
	struct recipe *r;
	struct arena *arena;
	struct recipe_when when;  /* of the section */
	uint64_t number;          /* of the line */
	char *rest;               /* of the line, behind the words that were taken */
	uint32_t part_room;       /* of the woven line at hand */
	struct error *err;
};

/* The next word of the line, or NULL. Cuts the line. */
char *recipe_declare_word(struct recipe_parsing *p);

/* -EINVAL: what was expected, and what was found; NULL: the end of the line. */
int recipe_declare_expected(const struct recipe_parsing *p, const char *what, const char *found);

/* 0 when there are no more words in the line. */
int recipe_declare_end(struct recipe_parsing *p);

/* The flag called `name`, or flag_count. */
uint32_t recipe_declare_flag(const struct recipe *r, const char *name);

/* The statements that declare: family, model_type, number, flag, option, expect, index, optimizer. False when `word` is none of them. */
bool recipe_declare(struct recipe_parsing *p, const char *word, int *code);

#endif
