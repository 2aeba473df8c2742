/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Protocol buffers, decoded from and encoded to memory. The only user of nanopb. Schemas: the .proto files beside this one.
 * It knows the wire form and nothing of what the values mean: strategy.c checks them.
 */
#ifndef LAYOUT_PB_H
#define LAYOUT_PB_H

#include "layout/base/arena.h"
#include "layout/base/bytes.h"
#include "layout/base/error.h"

#define PB_NUMBERS 64                         /* in a list, and lists in a field: more is no strategy */
#define PB_LAYOUTS_MAX (UINT64_C(1) << 20)    /* parameters of a file */

/* A repeated Dims message: lists of numbers. */
struct pb_dims {
	int32_t *dim;
	uint64_t count; /* at most PB_NUMBERS */
};

/* One ParallelLayoutItem of a ParallelStrategyMap. */
struct pb_layout_item {
	const char *name;                        /* valid UTF-8, not empty */
	struct pb_dims *dev_matrix, *tensor_map; /* [..._count] lists, at most PB_NUMBERS */
	uint64_t dev_matrix_count, tensor_map_count;
	int32_t opt_step, opt_size;
};

struct pb_strategy {
	struct pb_layout_item *layouts; /* [layout_count] */
	uint64_t layout_count;
	uint64_t item_count; /* ParallelStrategyItems */
	int64_t stage;       /* of the first ParallelStrategyItem; 0 without one */
	int64_t current_stage;
};

/*
 * Decodes a ParallelStrategyMap. All of *out lives in `arena`. -EINVAL with parameter and field named when the bytes are cut off or
 * are no such message, when a name or the stage of an item is missing, or a list is longer than PB_NUMBERS; -ENOMEM.
 */
int pb_decode_strategy(struct bytes file, struct arena *arena, struct pb_strategy *out, struct error *err);

/* A strategy to be written: many parameters, and the few layouts that they have. */
struct pb_merged {
	const struct pb_layout_item *layouts; /* [layout_count], whose names are not looked at */
	const struct pb_parameter {
		const char *name;
		uint32_t layout;              /* its number */
	} *parameters;                        /* [parameter_count] */
	uint64_t layout_count, parameter_count;
	uint64_t stages;
};

/*
 * Encodes one as merge_pipeline_strategys writes it: current_stage 1, and ParallelStrategyItems of stages 0, 1, ... What it needs for
 * that time alone it takes from `scratch`.
 */
int pb_encode_strategy(const struct pb_merged *merged, struct arena *scratch, struct arena *arena, struct bytes *out, struct error *err);

#endif
