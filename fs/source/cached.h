/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sources and the page cache: whether bytes of one are in it, and having the kernel bring them there. The memory is the kernel's,
 * which gives it up when it is short of it. Works for whatever has a page cache: disks, NFS, and FUSE filesystems of networks.
 */
#ifndef FS_CACHED_H
#define FS_CACHED_H

#include "fs/source/source.h"

/*
 * 1 when all pages of [lo, hi) are in the page cache, or on their way into it; 0 when not; negative where the kernel (before
 * Linux 6.5) cannot tell.
 */
int cached_has(const struct source *source, uint64_t lo, uint64_t hi);

/* Asks for [lo, hi), and does not wait for it. Nothing comes of what is past the end or cannot be read: whoever reads will see. */
void cached_bring(const struct source *source, uint64_t lo, uint64_t hi);

#endif
