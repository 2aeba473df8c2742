/* SPDX-License-Identifier: Apache-2.0 */
/* Reading a small file whole: strategies, indexes, rules. */
#ifndef FS_SLURP_H
#define FS_SLURP_H

#include <time.h>

#include "layout/arena.h"
#include "layout/bytes.h"
#include "layout/error.h"

/*
 * The bytes of a regular file of at most `max` bytes, in `arena`; its mtime in *mtime unless that is NULL. -EFBIG for a larger
 * one, or the errno of opening or reading; the message begins with the path.
 */
int slurp_file(const char *path, uint64_t max, struct arena *arena, struct bytes *out, struct timespec *mtime, struct error *err);

#endif
