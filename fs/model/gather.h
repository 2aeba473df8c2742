/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Gathering: the bytes of a range of an image, from the sources that hold them, into memory. It knows nothing of FUSE, so that
 * whatever needs bytes of a view uses it.
 *
 * Promise: the bytes are those of the files that the model was built from, or an error; a file that has changed, been cut off
 * or overwritten since then is found by its stamp, checked after the last byte of it was read.
 *
 * A struct gather holds the memory that gathering needs, so that a request allocates nothing. It belongs to one thread at a time.
 */
#ifndef FS_GATHER_H
#define FS_GATHER_H

#include "fs/model/model.h"

struct gather;

struct gather_range {
	const struct model *model; /* whose sources the image's pieces number */
	const struct image *image;
	uint64_t offset, len;      /* bytes; inside the image */
	uint8_t *dst;              /* [len] */
};

/* NULL without memory. gather_free(NULL) is allowed. */
struct gather *gather_new(void);
void gather_free(struct gather *g);

/* Fills range->dst, all of it or an error: -EIO, or the errno of a read, and the number of the file in *source. */
int gather_bytes(struct gather *g, const struct gather_range *range, uint32_t *source, struct error *err);

#endif
