/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The arguments of a verb that looks at two SOURCEs: `[OPTIONS] A [OPTIONS of A] B [PATTERN] [OPTIONS of B]`. Options before A are for
 * both sides; those behind a SOURCE are for that one alone. So a step can be compared with another, and shards with a merged model,
 * without names of their own for the options of either side.
 */
#ifndef FS_DIFF_SIDES_H
#define FS_DIFF_SIDES_H

#include "fs/verbs/subject.h"

struct diff_sides {
	struct subject a, b; /* b.args[0] is PATTERN, if it is there */
	bool json, quiet;    /* given on either side */
	uint32_t threads;    /* likewise; 0: not given */
};

/* SUBJECT_GO, or the exit code, as subject_begin(). diff_sides_end() in any case. */
int diff_sides_begin(struct diff_sides *sides, int argc, char **argv);
void diff_sides_end(struct diff_sides *sides);

#endif
