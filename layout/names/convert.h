/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Gives the tensors of a checkpoint the names, and the form, of another naming of a recipe.
 *
 * Everything goes by Hugging Face's side, which is never fused: what the checkpoint has is taken apart into that, and put together to
 * what is asked for. A tensor that is only renamed stays what it is under a new name; the others become woven tensors. No byte of a
 * tensor is read or changed.
 *
 * Invariants after convert_checkpoint(): names are unique over tensors and outside together, and in natural order; the tensors are
 * exactly those that the recipe asks for, their optimizer state, and what it lists beside them.
 */
#ifndef LAYOUT_CONVERT_H
#define LAYOUT_CONVERT_H

#include "layout/names/naming.h"

struct convert_options {
	const struct figures *figures;
	enum recipe_naming to;
};

struct convert_done {
	struct naming_form from; /* what was recognised */
	struct pairs left_out;   /* names and why; kept in the arena */
};

/* -EINVAL, with tensors and lines named, when names or shapes do not fit; the checkpoint is then of no use any more. */
int convert_checkpoint(struct checkpoint *ckpt, const struct convert_options *options, struct arena *arena, struct convert_done *done,
		       struct error *err);

#endif
