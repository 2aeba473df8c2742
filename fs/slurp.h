/* SPDX-License-Identifier: Apache-2.0 */
/* Reading a small file whole: strategies, indexes, rules. */
#ifndef FS_SLURP_H
#define FS_SLURP_H

#include <stdbool.h>
#include <time.h>

#include "fs/fence.h"
#include "layout/arena.h"
#include "layout/bytes.h"
#include "layout/error.h"

struct slurp {
	struct arena *arena;       /* for the bytes */
	uint64_t max;              /* bytes that make sense */
	const struct fence *fence; /* for a file that was found; NULL: the user has named it */
	struct timespec *mtime;    /* takes the file's; may be NULL */
	bool watched;              /* the caller says what is waited for (patience.h) */
};

/*
 * The bytes of a regular file. -EFBIG for one that is larger than it may be, -EXDEV for one outside the fence, or the errno of opening
 * or reading; the message begins with the path.
 */
int slurp_file(const char *path, const struct slurp *how, struct bytes *out, struct error *err);

#endif
