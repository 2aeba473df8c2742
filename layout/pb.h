/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Protocol buffers, decoded from and encoded to memory. The only user of nanopb. Schemas: the .proto files beside this one.
 * It knows the wire form and nothing of what the values mean: strategy.c checks them.
 */
#ifndef LAYOUT_PB_H
#define LAYOUT_PB_H

#include "layout/arena.h"
#include "layout/bytes.h"
#include "layout/error.h"

/* A repeated Dims message: lists of numbers. */
struct pb_dims {
	int32_t *dim;
	uint64_t count;
};

/* One ParallelLayoutItem of a ParallelStrategyMap. */
struct pb_layout_item {
	const char *name;
	struct pb_dims *dev_matrix, *tensor_map; /* [..._count] lists */
	uint64_t dev_matrix_count, tensor_map_count;
	int32_t opt_step, opt_size;
};

struct pb_strategy {
	struct pb_layout_item *layouts; /* [layout_count] */
	uint64_t layout_count;
	uint64_t item_count; /* ParallelStrategyItems */
	int32_t stage;       /* of the first ParallelStrategyItem */
};

/* Decodes a ParallelStrategyMap. All of *out lives in `arena`. -EINVAL with the field named, -ENOMEM. */
int pb_decode_strategy(struct bytes file, struct arena *arena, struct pb_strategy *out, struct error *err);

/* Encodes one with current_stage 1, as merge_pipeline_strategys writes it. */
int pb_encode_strategy(const struct pb_strategy *strategy, struct arena *arena, struct bytes *out, struct error *err);

#endif
