/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which reads of a mount are those of a reader who goes down, and what he will read next. glibc's memcpy() goes from the end to the
 * beginning where source and destination lie alike in their pages, and so does safe_open() on a mapped file, tensor by tensor. The kernel
 * then asks for what he waits for and half of the read-ahead below it, and reads nothing ahead.
 *
 * A fall is a run of reads each of which lies next below the one before, and which leave little out. From the third on, what lies below is
 * wanted, as far as a window that doubles each time that he comes to its end, and never below the beginning of the extent (the tensor) that
 * he is in. He reads what
 * is next to him himself meanwhile, so what is wanted begins a little below that; where he overtakes, it begins anew below him. Who came
 * down through a tensor goes down through the next as well: there the read that ends with it is enough.
 *
 * It is all decisions: it reads nothing, knows no clock and takes no lock. Places are bytes of a file, files are known by the kernel's
 * numbers.
 */
#ifndef FS_FALLS_H
#define FS_FALLS_H

#include <stdbool.h>
#include <stdint.h>

#define FALLS_MOST 8                      /* readers that are told apart */
#define FALLS_FIRST (UINT64_C(4) << 20)   /* bytes: the first window ... */
#define FALLS_WINDOW (UINT64_C(32) << 20) /* ... and the largest */
#define FALLS_STEP (UINT64_C(512) << 10)  /* bytes that are taken at once */

/* A read of [offset, offset + len), and the extent [start, end) that its first byte lies in. */
struct falls_read {
	uint64_t file, offset, len, start, end;
};

/* Wanted is [from, to), from its end on. */
struct fall {
	uint64_t file;     /* 0: unused */
	uint64_t low, end; /* of what has been read */
	uint32_t count;    /* reads that lay below all before */
	uint64_t read;     /* bytes, by those and the first one */
	uint64_t window;   /* 0: not a fall yet */
	uint64_t from, to;
	uint64_t used;     /* turn of the last read */
};

struct falls {
	uint64_t page; /* bytes: what is wanted are whole ones */
	uint64_t turn; /* grows with each read */
	struct fall list[FALLS_MOST];
};

void falls_init(struct falls *f, uint64_t page);

/* Notes a read. True when something is wanted of its file. */
bool falls_note(struct falls *f, const struct falls_read *read);

/* Takes a step of what is wanted, of the reader who has read last; false when nothing is. */
bool falls_take(struct falls *f, uint64_t *file, uint64_t *offset, uint64_t *len);

/* Nothing is wanted of a file any more, until another read of it shows a fall. */
void falls_drop(struct falls *f, uint64_t file);

#endif
