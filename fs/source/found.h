/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All steps that a look at the rank folders has found, with the files of each, at the cost of one sort: a training that keeps every step
 * has many, and they are looked at again and again.
 *
 * Invariants: steps are sorted, newest first; each has a file at least.
 */
#ifndef FS_FOUND_H
#define FS_FOUND_H

#include "fs/source/ranks.h"

struct found_step {
	struct step step;
	const char *name;
	const char **paths;  /* [ranks] the file of each rank folder, NULL where it has none */
	uint64_t count;      /* of the paths that are not NULL */
	const char *problem; /* why it cannot be told which files are the step's; NULL when it can */
};

struct found {
	struct found_step *steps; /* [count] */
	uint64_t count;
};

/* All of *out lives in `arena`. -ENOMEM. */
int found_steps(const struct ranks *ranks, struct arena *arena, struct found *out, struct error *err);

#endif
