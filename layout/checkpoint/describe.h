/* SPDX-License-Identifier: Apache-2.0 */
/* Tensors in words, for people and as JSON: their shapes, how they are cut, which ranks hold them. */
#ifndef LAYOUT_DESCRIBE_H
#define LAYOUT_DESCRIBE_H

#include "layout/base/text.h"
#include "layout/checkpoint/checkpoint.h"

/* "[4096, 4096]"; "[]" for a scalar. Valid JSON too. */
void describe_numbers(struct text *text, const uint64_t *numbers, uint32_t count);

/* How many parts each axis is cut into: "8x1"; "whole" where nothing is cut. */
void describe_cuts(struct text *text, const struct grid *grid);

/* "0-3+8": the ranks that hold anything of the tensor, as option ranks= takes them; "-" where the holdings are not known. */
void describe_ranks(struct text *text, const struct tensor *t);

/* Ranks of a list, ascending, in the same form. */
void describe_rank_list(struct text *text, const uint32_t *ranks, uint64_t count);

/*
 * A layout as members of a JSON object: "device_matrix", "tensor_map" (a list for each axis of the tensor, of the device axes that cut it,
 * counted from the right as MindSpore does) and "opt_shards".
 */
void describe_layout(struct text *text, const struct layout *layout);

/* The members that every list of tensors has: "name", "dtype", "shape", "elements", "bytes", "cuts", "holdings" [stage, layout, ranks]. */
void describe_json(struct text *text, const struct tensor *t);

/* Elements of a tensor. */
uint64_t describe_elements(const struct tensor *t);

/* Bytes of all its copies in the files; its own where the holdings are not known. */
uint64_t describe_held_bytes(const struct tensor *t);

#endif
