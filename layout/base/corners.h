/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The elements of a tensor that numpy shows of it: all when they are few, else those within three places of both ends of every
 * axis. Where a tensor has so many axes that these are too many again, it is two places, or one.
 */
#ifndef LAYOUT_CORNERS_H
#define LAYOUT_CORNERS_H

#include "layout/base/arena.h"
#include "layout/base/box.h"
#include "layout/base/bytes.h"
#include "layout/base/dtype.h"
#include "layout/base/error.h"

#define CORNERS_WHOLE 1000 /* elements that are shown without leaving any out; numpy's threshold */
#define CORNERS_EDGE 3     /* numpy's edgeitems */
#define CORNERS_MAX 4096   /* elements */

/* What an array is, in the words of numpy. */
struct corners_array {
	enum dtype dtype;
	uint32_t axes;
	const uint64_t *shape; /* [axes], elements */
};

struct corners {
	struct corners_array array;
	uint32_t edge;             /* places at each end; 0 when nothing is left out */
	uint64_t shape[BOX_AXES];  /* [axes] of what is shown: at most 2 * edge on each axis, unless edge is 0 */
	uint64_t count;            /* elements that are shown; 0 for an empty array, and for one that has too many corners even with one place */
	uint64_t whole;            /* elements of the array */
	uint32_t width;            /* bytes from one element to the next in `elements` */
	const uint8_t *elements;   /* [count] in row-major order, each at its own byte: those under 8 bits in its low bits */
};

/* Where the bytes come from: [offset, offset + len) of the array's bytes, into dst. 0 or a negative errno and a message. */
struct corners_reader {
	int (*read)(void *arg, uint64_t offset, uint64_t len, uint8_t *dst, struct error *err);
	void *arg;
};

/* Chooses the elements, without reading any. */
void corners_choose(const struct corners_array *array, struct corners *out);

/* Chooses and reads them, in a few ranges, into `arena`. -ENOMEM, or what the reader says. */
int corners_read(const struct corners_array *array, const struct corners_reader *reader, struct arena *arena, struct corners *out, struct error *err);

#endif
