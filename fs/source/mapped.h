/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A whole source file as memory, for as long as a function works on it: indexing a .ckpt file touches a few pages of it, and
 * pread of them one by one would need the index first.
 *
 * Promise: a file that is cut off meanwhile gives an error, where a plain mapping would kill the process by SIGBUS.
 */
#ifndef FS_MAPPED_H
#define FS_MAPPED_H

#include "fs/source/rows.h"
#include "fs/source/source.h"
#include "layout/base/bytes.h"

/*
 * Calls fn with the bytes of `source` and `arg`, and returns what fn returns; -EIO when the file is not, or does not stay, as it is
 * stamped, or cannot be read; or the errno of mmap. fn reports its own errors through `arg`. From any thread.
 *
 * At any access to the bytes fn may be left for good, so it must hold nothing then but memory of an arena: no lock, no
 * descriptor, no memory of its own; and it must not call mapped_call().
 */
int mapped_call(const struct source *source, int (*fn)(struct bytes file, void *arg), void *arg, struct error *err);

/*
 * The whole of a file that is not empty, mapped at the first use and kept with the source. For who never touches the bytes, but has
 * the kernel copy them: a file that was cut off is an error to it, where a touch would be a SIGBUS. 0, or the errno of mmap. From
 * any thread.
 */
int mapped_whole(const struct source *source, struct bytes *out, struct error *err);

/*
 * Copies the rows of `block` from a mapping of its source to dst, as rows_copy_block() does. The mapping is made on first use and kept, for
 * rows that are far apart in the file cost a system call each by any other way. -EIO when the file ends before, or the errno of
 * mmap. Whether the file has changed the caller must check afterwards: what is beyond the end of a truncated file may read as
 * zeros. From any thread; not for addresses beyond the end of the file.
 */
int mapped_rows(const struct source *source, const struct rows_block *block, uint8_t *dst, struct error *err);

#endif
