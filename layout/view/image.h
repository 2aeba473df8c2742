/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An image is one virtual file: an ordered list of extents, each one of literal bytes (a header, a JSON file), a block of a
 * tensor, or a range of a source file.
 *
 * The ranks of a stage have the same tensors in slices of the same shapes: their files differ only in which blocks they are. So their
 * images share one list, with extents that say how to find the block of a rank, and image_extent() does so when it is asked.
 *
 * Invariants, kept by the append functions: extents are contiguous from offset 0 and never empty; the size is the end of
 * the last. After the last append an image is read-only.
 */
#ifndef LAYOUT_IMAGE_H
#define LAYOUT_IMAGE_H

#include "layout/checkpoint/checkpoint.h"

enum extent_kind {
	EXTENT_LITERAL, /* bytes of ours */
	EXTENT_BLOCK,   /* a block of a tensor, row-major */
	EXTENT_RANGE,   /* bytes of a source file, as they are */
	EXTENT_SLICE,   /* the block that the image's rank has: in the list only, image_extent() makes it an EXTENT_BLOCK */
	EXTENT_COPY,    /* the whole of the copy that the image's rank has, likewise */
};

struct extent {
	uint64_t offset; /* bytes from the start of the image */
	enum extent_kind kind;
	uint32_t block; /* EXTENT_BLOCK: number in *grid */
	union {
		const uint8_t *literal; /* owned by the image's arena */
		struct {
			const struct tensor *tensor;
			const struct grid *grid; /* how the image cuts the tensor: need not be how the sources do */
		};
		struct {
			const struct tensor *of; /* EXTENT_SLICE */
			const struct layout *layout;
		};
		struct {
			const struct tensor *each; /* EXTENT_COPY: [copies->count] */
			const struct checkpoint_copies *copies;
		};
		struct piece range;
	};
};

struct image {
	struct extent *extents; /* [count], by offset; of those that images share only image_extent() tells the block */
	uint64_t count, capacity;
	uint64_t size;   /* bytes */
	uint32_t local;  /* the rank's number in its stage */
	uint32_t copied; /* the source rank whose copies it has */
};

/* A new image with room for `capacity` extents, in `arena`. NULL without memory. */
struct image *image_new(struct arena *arena, uint64_t capacity);

/* Append one extent; an empty one is skipped. Appending over the capacity is a bug of ours. */
void image_add_literal(struct image *image, struct bytes literal);
void image_add_block(struct image *image, const struct tensor *tensor, const struct grid *grid, uint32_t block);
void image_add_range(struct image *image, struct piece range, uint64_t len);

/* Likewise the block that `layout` gives the image's rank, and the copy that its rank has of each [copies->count], or the first. */
void image_add_slice(struct image *image, const struct tensor *tensor, const struct layout *layout);
void image_add_copy(struct image *image, const struct tensor *each, const struct checkpoint_copies *copies);

/* An image with the extents of `form`, for another rank. NULL without memory. */
struct image *image_share(const struct image *form, uint32_t local, uint32_t copied, struct arena *arena);

/* Extent `i` as this image has it: literal, block or range. */
struct extent image_extent(const struct image *image, uint64_t i);

/* The number of the extent that holds byte `offset` (< size). */
uint64_t image_find(const struct image *image, uint64_t offset);

/* Bytes of extent `i` of the image. */
uint64_t image_extent_len(const struct image *image, uint64_t i);

#endif
