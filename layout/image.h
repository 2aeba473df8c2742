/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An image is one virtual file: an ordered list of extents, each one of literal bytes (a header, a JSON file), a block of a
 * tensor, or a range of a source file.
 *
 * Invariants, kept by the append functions: extents are contiguous from offset 0 and never empty; the size is the end of
 * the last. After the last append an image is read-only.
 */
#ifndef LAYOUT_IMAGE_H
#define LAYOUT_IMAGE_H

#include "layout/checkpoint.h"

enum extent_kind {
	EXTENT_LITERAL, /* bytes of ours */
	EXTENT_BLOCK,   /* a block of a tensor, row-major */
	EXTENT_RANGE,   /* bytes of a source file, as they are */
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
		struct piece range;
	};
};

struct image {
	struct extent *extents; /* [count], by offset */
	uint64_t count, capacity;
	uint64_t size; /* bytes */
};

/* A new image with room for `capacity` extents, in `arena`. NULL without memory. */
struct image *image_new(struct arena *arena, uint64_t capacity);

/* Append one extent; an empty one is skipped. Appending over the capacity is a bug of ours. */
void image_add_literal(struct image *image, struct bytes literal);
void image_add_block(struct image *image, const struct tensor *tensor, const struct grid *grid, uint32_t block);
void image_add_range(struct image *image, struct piece range, uint64_t len);

/* The extent that holds byte `offset` (< size). */
const struct extent *image_find(const struct image *image, uint64_t offset);

/* Bytes of extent e of the image. */
uint64_t image_extent_len(const struct image *image, const struct extent *e);

#endif
