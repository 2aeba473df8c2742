/* SPDX-License-Identifier: Apache-2.0 */
/* The file that a verb writes takes the place of one that such a verb wrote before, of an empty one, or of none: never of a source. */
#ifndef FS_REPLACE_H
#define FS_REPLACE_H

#include <stdbool.h>

#include "layout/base/bytes.h"
#include "layout/base/error.h"

/*
 * 0 when a file may be written at `path`. `is_one` says whether the first bytes of a file, at most `most` of them, are those of `what` ("an
 * index"). -EEXIST for a file that is something else, and for a link, a device or whatever else is no regular file.
 */
int replace_check(const char *path, bool (*is_one)(struct bytes content), uint64_t most, const char *what, struct error *err);

#endif
