/* SPDX-License-Identifier: Apache-2.0 */
/* The part of recipe_parse() that looks at a recipe as a whole: whether each of its lines can be turned around. */
#ifndef LAYOUT_RECIPE_CHECK_H
#define LAYOUT_RECIPE_CHECK_H

#include "layout/names/recipe.h"

/* 0, or -EINVAL with the line. */
int recipe_check(const struct recipe *recipe, struct error *err);

#endif
