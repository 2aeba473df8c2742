/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading the elements of tensors by many threads: the tensors are divided into chunks of a fixed number of elements, and a chunk is
 * a task of a pool (pool.h). How they are divided depends on the tensors alone, so what is computed chunk by chunk and put together
 * in order is the same with any number of threads.
 */
#ifndef FS_ELEMENTS_H
#define FS_ELEMENTS_H

#include "fs/model/gather.h"

#define ELEMENTS_CHUNK (UINT64_C(1) << 19)            /* elements; a multiple of 8, so that a chunk is whole bytes */
#define ELEMENTS_BYTES_MAX (ELEMENTS_CHUNK * 8)       /* of a chunk */

struct elements {
	const struct tensor **tensor; /* [count], each whole in the image, one behind the other */
	uint64_t *offset;             /* [count] in the image */
	uint64_t *first_chunk;        /* [count + 1] number of a tensor's first chunk; the last is the number of all chunks */
	uint64_t count;
	uint64_t parameters;          /* elements_add_matching(): how many of them are parameters; those outside the strategy follow */
	struct image *image;
	const struct grid *uncut;
	const struct model *model;
};

/* An empty list with room for `room` tensors of `model`, in `arena`. 0 or -ENOMEM. */
int elements_begin(struct elements *e, const struct model *model, uint64_t room, struct arena *arena, struct error *err);

/* Adds a tensor. */
void elements_add(struct elements *e, const struct tensor *tensor);

/* Adds those whose names match (pattern.h), parameters first, each kind in natural order. `room` must be enough. */
void elements_add_matching(struct elements *e, const char *pattern);

/* How many chunks there are. */
uint64_t elements_chunks(const struct elements *e);

/* A chunk: which tensor, and which of its elements. */
struct elements_chunk {
	uint64_t index;         /* of the tensor in the list */
	uint64_t first, count;  /* elements of the tensor */
	uint64_t offset, bytes; /* in the image */
};

struct elements_chunk elements_chunk(const struct elements *e, uint64_t number);

/* What a thread needs to read: gather_new() and room for a chunk. NULL without memory; elements_reader_free(NULL) is allowed. */
struct elements_reader {
	struct gather *gather;
	uint8_t *data; /* [ELEMENTS_BYTES_MAX] */
};

struct elements_reader *elements_reader_new(void);
void elements_reader_free(struct elements_reader *r);

/* Reads a chunk into r->data. What gather_bytes() says. */
int elements_read(const struct elements *e, const struct elements_chunk *chunk, struct elements_reader *r, struct error *err);

#endif
