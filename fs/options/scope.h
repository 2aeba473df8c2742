/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which verbs an option applies to: a set of bits, one for each verb that takes options.
 */
#ifndef FS_SCOPE_H
#define FS_SCOPE_H

#include <stdint.h>

#include "layout/base/error.h"

enum scope {
	SCOPE_MOUNT = 1 << 0,
	SCOPE_EXPORT = 1 << 1,
	SCOPE_INFO = 1 << 2,
	SCOPE_LS = 1 << 3,
	SCOPE_EXPLAIN = 1 << 4,
	SCOPE_STATS = 1 << 5,
	SCOPE_CHECK = 1 << 6,
	SCOPE_DIFF = 1 << 7,
	SCOPE_DIGEST = 1 << 8,
	SCOPE_STATUS = 1 << 9,
	SCOPE_BENCH = 1 << 10,
	SCOPE_MERGE = 1 << 11,
	SCOPE_INDEX = 1 << 12,

	SCOPE_MAKES = SCOPE_MOUNT | SCOPE_EXPORT, /* files that somebody else will read */
	SCOPE_VIEWS = SCOPE_MAKES | SCOPE_INFO,   /* lay out a view; info does with dry_run */
	SCOPE_VALUES = SCOPE_STATS | SCOPE_CHECK | SCOPE_DIFF | SCOPE_DIGEST, /* read all tensors */
	SCOPE_LOOKS = SCOPE_INFO | SCOPE_LS | SCOPE_EXPLAIN | SCOPE_VALUES,   /* at a SOURCE, and print what they see */
	SCOPE_SOURCES = SCOPE_MAKES | SCOPE_LOOKS,                            /* load a SOURCE */
	SCOPE_READS = SCOPE_MAKES | SCOPE_VALUES,                             /* with threads of their own */
	SCOPE_QUIETS = SCOPE_READS | SCOPE_LS | SCOPE_INDEX,                                /* say more than they are asked for */
	SCOPE_PRINTS = SCOPE_EXPORT | SCOPE_LOOKS | SCOPE_STATUS | SCOPE_BENCH | SCOPE_INDEX, /* what a program may want to read */
	SCOPE_ALL = SCOPE_SOURCES | SCOPE_STATUS | SCOPE_BENCH | SCOPE_MERGE | SCOPE_INDEX,
};

/* The bit of a verb; 0 for one that has no options. */
uint32_t scope_of(const char *verb);

/* -EINVAL with a message that says that `option` is not for `verb`, and which verbs it is for. */
int scope_refuse(const char *option, uint32_t scope, const char *verb, struct error *err);

#endif
