/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which bytes of the sources a range of an image is made of, in the order in which it needs them: what to read ahead. The next
 * megabyte of an image may lie in many files.
 *
 * It may tell too much or too little, for whoever reads gets his bytes in any case: rows that lie close are one range with what is
 * between them, and what does not fit into the list is left out. So ask for a megabyte or so at a time.
 *
 * Invariants: no range is empty; of one source, two ranges that were found next to each other are NEEDS_GAP or more apart.
 */
#ifndef LAYOUT_NEEDS_H
#define LAYOUT_NEEDS_H

#include "layout/view/image.h"

#define NEEDS_MAX 128
#define NEEDS_GAP UINT64_C(32768) /* bytes: to read less than that is no faster than to read along */

struct need {
	uint64_t lo, hi; /* bytes of the source */
	uint32_t source;
};

struct needs {
	struct need list[NEEDS_MAX]; /* [count] */
	uint32_t count;
};

/* What [offset, offset + len) of the image needs; the range must lie inside it. */
void needs_find(const struct image *image, uint64_t offset, uint64_t len, struct needs *out);

#endif
