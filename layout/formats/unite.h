/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Uniting the files of a strategy. Every rank writes a file, all ranks of a stage the same one, and a merged file says it all
 * once more; so each stage is taken from the first file that has it, and every other file must say exactly the same of it. Half
 * a file, or one of another training, is noticed that way.
 */
#ifndef LAYOUT_UNITE_H
#define LAYOUT_UNITE_H

#include "layout/formats/strategy.h"

/*
 * Fills everything of *out but its index, proving the invariants of strategy.h. Names are not copied: they must live as long as
 * `arena`. `scratch` is needed only during the call. -EINVAL, -ENOMEM.
 */
int unite_files(const struct strategy_file *files, uint64_t count, struct arena *scratch, struct arena *arena, struct strategy *out,
		struct error *err);

#endif
