/* SPDX-License-Identifier: Apache-2.0 */
/* The recipes of layout/recipes/, compiled in: recipes.c is made of them by the Makefile. */
#ifndef LAYOUT_RECIPES_H
#define LAYOUT_RECIPES_H

struct recipes_text {
	const char *path, *text;
};

extern const struct recipes_text recipes_all[]; /* ends at the first without a path */

#endif
