/* SPDX-License-Identifier: Apache-2.0 */
/* Reading a small file whole: strategies, indexes, rules. */
#ifndef FS_SLURP_H
#define FS_SLURP_H

#include <time.h>

#include "fs/options/fence.h"
#include "layout/base/arena.h"
#include "layout/base/bytes.h"
#include "layout/base/error.h"
#include "layout/view/fingerprint.h"

#define SLURP_ROOM (256 << 10) /* bytes */

struct slurp {
	struct arena *arena;       /* for the bytes */
	uint64_t max;              /* bytes that make sense */
	const struct fence *fence; /* for a file that was found; NULL: the user has named it */
	struct timespec *mtime;    /* takes the file's; may be NULL */
};

/*
 * The bytes of a regular file. -EFBIG for one that is larger than it may be, -EXDEV for one outside the fence, or the errno of opening
 * or reading; the message begins with the path.
 */
int slurp_file(const char *path, const struct slurp *how, struct bytes *out, struct error *err);

/*
 * The fingerprint of those bytes alone, without how->arena: they pass through `room` [SLURP_ROOM]. For who reads many files and says himself
 * which of them is waited for (patience.h), as slurp_file() does.
 */
int slurp_fingerprint(const char *path, const struct slurp *how, uint8_t *room, struct fingerprint *out, struct error *err);

#endif
