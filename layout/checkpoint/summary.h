/* SPDX-License-Identifier: Apache-2.0 */
/* What a checkpoint is, in a few numbers. */
#ifndef LAYOUT_SUMMARY_H
#define LAYOUT_SUMMARY_H

#include "layout/checkpoint/checkpoint.h"

#define SUMMARY_MATRICES 8

struct summary_of_dtype {
	uint64_t tensors, bytes;
};

struct summary {
	uint64_t elements, bytes; /* of all tensors, those outside the strategy included */
	uint64_t held;            /* bytes of all copies in the files */
	struct summary_of_dtype dtype[DTYPE_COUNT];
	struct {
		const struct layout *layout; /* one that has the device matrix */
		uint64_t tensors;
	} matrix[SUMMARY_MATRICES];  /* [matrix_count] the different device matrices, by first tensor that has it */
	uint32_t matrix_count;
	bool more_matrices;          /* there are others */
	bool deduplicated;           /* the files say that redundancy was removed */
};

void summary_of(const struct checkpoint *ckpt, struct summary *out);

#endif
