/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Buffers that files are read into. They begin on a page, as what is read mostly does: some processors (AMD's Zen 3) copy at a tenth of
 * their speed where the destination lies 1 to 31 bytes behind the source, seen from the beginnings of their pages, and malloc()
 * gives large blocks that begin 16 bytes behind one.
 */
#ifndef FS_BUFFER_H
#define FS_BUFFER_H

#include <stdint.h>
#include <stdlib.h>

#define BUFFER_PAGE UINT64_C(4096)

/* At least `len` bytes, to be freed with free(); NULL without memory. */
static inline void *buffer_new(uint64_t len)
{
	uint64_t whole = len / BUFFER_PAGE * BUFFER_PAGE + BUFFER_PAGE;

	return whole > len ? aligned_alloc(BUFFER_PAGE, whole) : NULL;
}

#endif
