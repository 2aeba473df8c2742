/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Metadata keys that are tensors' names: they mark those tensors, and change with them: MindSpore marks those of 4-bit integers so.
 */
#ifndef LAYOUT_MARKS_H
#define LAYOUT_MARKS_H

#include "layout/checkpoint/checkpoint.h"

/*
 * Which tensors are marked, by the names that they have: for each key of the metadata [meta_count] the pieces of the tensor, NULL where it
 * is none's. NULL without memory.
 */
const struct piece **marks_find(const struct checkpoint *ckpt, struct arena *arena);

/*
 * The metadata with the names that the marked tensors have in `tensors` [count]. -EINVAL for one that has become several, or a part of
 * another.
 */
int marks_rename(const struct checkpoint *ckpt, const struct piece *const *marks, const struct tensor *tensors, uint64_t count,
		 struct arena *arena, struct pair **out, struct error *err);

#endif
