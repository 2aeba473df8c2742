/* SPDX-License-Identifier: Apache-2.0 */
/* What `gatherfs info` knows, and its other forms: JSON and the files of a view. Private to info*.c. */
#ifndef FS_INFO_H
#define FS_INFO_H

#include "fs/base/term.h"
#include "fs/source/ranks.h"
#include "fs/verbs/subject.h"
#include "layout/checkpoint/describe.h"
#include "layout/checkpoint/summary.h"

struct info {
	const struct options *options;
	const struct model *model;
	struct summary sum;
	struct ranks ranks;   /* the folders; none for a unified SOURCE */
	const uint32_t *rank; /* [rank_count] their numbers, ascending */
	uint64_t rank_count;
	struct step *steps;   /* [step_count] that any rank has, newest first */
	uint64_t step_count;
	struct term term;
};

void info_json(const struct info *in, struct text *out);

/* A table of what the view has, but for .gatherfs/. */
void info_files(const struct info *in, struct text *out);

/* With names=: which tensor of the view is which of SOURCE, or made of which. */
void info_names(const struct info *in, struct text *out);
void info_names_json(const struct info *in, struct text *out);

#endif
