/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A range of an image as the memory that has it already: pieces of mapped sources and bytes of ours, in the order of the image. So
 * the bytes of a reply are copied once, by the kernel, and never by us.
 *
 * What it costs: nobody can look at the sources' stamps after the copying, for the reader has the bytes by then. So it is for
 * sources that nobody touches. Copying what a truncated file has no more is an error to the kernel, but behind the end of such a
 * file the rest of its last page reads as zeros, and a file that was written over as what is in it now.
 */
#ifndef FS_PIECES_H
#define FS_PIECES_H

#include <sys/uio.h>

#include "fs/model/gather.h"

#define PIECES_MAX 1023 /* the kernel takes 1,024 at once, one of which is the header of the reply */

struct pieces {
	struct iovec list[PIECES_MAX]; /* [count] */
	int count, most;
};

/*
 * Finds the pieces of a range; its dst means nothing. False when there would be so many that gathering is faster, or a source
 * cannot be mapped. Allocates nothing, but for a mapping at the first use of a source.
 */
bool pieces_find(struct pieces *pieces, const struct gather_range *range);

#endif
