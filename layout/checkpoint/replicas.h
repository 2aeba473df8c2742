/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All copies of a checkpoint's blocks, in groups that must hold the same bytes, and cut into chunks that can be read in any order.
 *
 * Invariants: the copies of a group are adjacent, by stage and rank; copies of two stages are in one group where both cut the tensor
 * alike. A copy's chunks are adjacent, by place, and together it; all but a block's last are REPLICAS_CHUNK bytes, so every chunk
 * begins with an element, and on a whole byte, whatever the type. `order` lists chunks as they lie in the files, and tasks are
 * consecutive parts of it.
 */
#ifndef LAYOUT_REPLICAS_H
#define LAYOUT_REPLICAS_H

#include "layout/checkpoint/copies.h"

#define REPLICAS_CHUNK (UINT64_C(6) << 20)  /* bytes: a multiple of 6, for types of 6 bits */
#define REPLICAS_TASK (UINT64_C(24) << 20)  /* bytes: a task has at least so many, unless it is the last of a file */

struct replica {
	const struct tensor *tensor;
	struct copies_one copy;
	uint64_t bytes;
	uint64_t group;       /* place of the first copy of its group */
	uint64_t first_chunk; /* its chunks are those from here to the next copy's first */
	bool outside;         /* of a parameter outside the strategy: copies may differ */
};

struct replica_chunk {
	uint64_t replica;
	uint64_t address; /* in the source */
	uint64_t at;      /* bytes from the start of the copy */
	uint32_t len, source;
};

struct replicas {
	struct replica *list;         /* [count], and one more, whose first_chunk is the end of all */
	uint64_t count;
	struct replica_chunk *chunks; /* [chunk_count] */
	uint64_t chunk_count;
	uint64_t *order;              /* [chunk_count] numbers of chunks, by source and address */
	uint64_t *tasks;              /* [task_count + 1] where each begins in `order`; the last is chunk_count */
	uint64_t task_count;
	uint64_t bytes;               /* of all copies */
};

/* 0 or -ENOMEM. */
int replicas_make(const struct checkpoint *ckpt, struct arena *arena, struct replicas *out);

/* The end of the group that begins at copy `first`. */
uint64_t replicas_group_end(const struct replicas *r, uint64_t first);

/* True when there is anything to compare the copy with. */
bool replicas_is_compared(const struct replicas *r, uint64_t replica);

/* The element of the tensor that element `element` of the copy is: index [tensor->axes]. */
void replicas_index(const struct replica *replica, uint64_t element, uint64_t *index);

/* The first element in which a and b, `len` bytes that begin with an element, differ; UINT64_MAX when they are equal. */
uint64_t replicas_difference(enum dtype dtype, const uint8_t *a, const uint8_t *b, uint64_t len);

#endif
