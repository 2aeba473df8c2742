/* SPDX-License-Identifier: Apache-2.0 */
/* PATTERN arguments: with any of * ? [ in it a shell pattern for the whole name, in which * takes dots too; else a part of the name. */
#ifndef FS_PATTERN_H
#define FS_PATTERN_H

#include <stdbool.h>

/* True when `name` matches; a NULL pattern matches everything. */
bool pattern_matches(const char *pattern, const char *name);

#endif
