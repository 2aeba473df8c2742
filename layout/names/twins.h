/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tensors that are in Hugging Face's files twice, and in MindSpore's once (`copy` of a recipe): embedding and head of a layer that
 * predicts one more token are the model's own. Their bytes are not compared, for they are many; shapes and types are.
 */
#ifndef LAYOUT_TWINS_H
#define LAYOUT_TWINS_H

#include "layout/names/naming.h"

/*
 * `t`, by whose name `found` is a copy, is not needed: its original, in `ckpt`, is like it. *why is the reason, in `arena`. -EINVAL when
 * there is no original, or when it cannot be one.
 */
int twins_leave_out(const struct figures *figures, const struct naming_found *found, const struct tensor *t,
		    const struct checkpoint *ckpt, struct arena *arena, const char **why, struct error *err);

/* All copies that Hugging Face has in this form: name of the copy -> name of the original, in `arena`. */
int twins_list(const struct figures *figures, const struct naming_form *form, struct arena *arena, struct pairs *out, struct error *err);

#endif
