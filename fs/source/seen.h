/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files as they were when they were last looked at, and whether they still are. A file is what its path names: one that was put in
 * its place is another.
 */
#ifndef FS_SEEN_H
#define FS_SEEN_H

#include "fs/source/found.h"
#include "fs/source/source.h"

struct seen {
	struct seen_file {
		const char *path;
		struct source_stamp stamp;
	} *files;       /* [count] in the order of the rank folders */
	uint64_t count;
};

/* Notes the files of a step, before they are read: so one that changes meanwhile is found to have changed. In `arena`; -ENOMEM. */
int seen_note(const struct found_step *found, uint64_t ranks, struct arena *arena, struct seen *out, struct error *err);

/* True when every file that the step has now was seen, and has not changed. */
bool seen_has(const struct seen *seen, const struct found_step *found, uint64_t ranks);

/* True while every source is where it was opened. */
bool seen_sources(const struct sources *sources);

#endif
