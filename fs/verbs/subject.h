/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every verb that looks at a SOURCE begins and ends with: its options, SOURCE, further arguments, the model.
 *
 * SOURCE is the first argument, unless source= gives it. It may be a mount point of ours as well: what is there is what a mount
 * shows, so it is read as any SOURCE is, and whoever looks at a mount sees what its readers get.
 */
#ifndef FS_SUBJECT_H
#define FS_SUBJECT_H

#include "fs/model/load.h"
#include "fs/options/options.h"

#define SUBJECT_GO (-1)

struct subject {
	const char *verb;
	struct options options;
	const char *const *args; /* [arg_count] those behind SOURCE */
	uint32_t arg_count;
	struct model *model;     /* NULL until subject_load() */
};

/*
 * Reads the arguments of a verb, which argv[0] names and which takes at least `least` and at most `most` of them behind SOURCE.
 * SUBJECT_GO, or the exit code when there is nothing more to do: help was asked for and is printed, or it was wrong usage and is
 * said. subject_end() in any case.
 */
int subject_begin(struct subject *s, int argc, char **argv, uint32_t least, uint32_t most);

/* Loads SOURCE, with or without a view. A negative errno with one message for the user. */
int subject_load(struct subject *s, bool view, struct error *err);

/* Ends it. A negative `code` is said, as `err` has it. Returns the exit code. */
int subject_end(struct subject *s, int code, const struct error *err);

#endif
