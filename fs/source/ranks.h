/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rank folders of a distributed SOURCE, and which file of each belongs to a step. Only names decide.
 *
 * Invariants: folders are sorted by rank; one SOURCE has each rank once, so a rank has several folders only when several SOURCEs
 * have it; names are finished weights files, sorted by bytes.
 */
#ifndef FS_RANKS_H
#define FS_RANKS_H

#include "fs/source/scan.h"
#include "layout/formats/step.h"

struct ranks_folder {
	uint32_t rank;
	const char *path;         /* of the folder */
	const char *const *names; /* [count] */
	uint64_t count;
};

struct ranks {
	const struct ranks_folder *folders; /* [count] */
	uint64_t count;
};

/*
 * The rank folders among the entries of `source`; count 0 when there are none. Junk is stepped over. -EINVAL for a rank that has
 * two folders, or a folder with both .ckpt and .safetensors files.
 */
int ranks_scan(const char *source, const struct scan_list *entries, struct arena *arena, struct ranks *out, struct error *err);

/* Unites what was found in several SOURCEs, `parts` [count], which must not be empty together. -ENOMEM. */
int ranks_unite(const struct ranks *parts, uint64_t count, struct arena *arena, struct ranks *out, struct error *err);

/* All steps that any rank has, newest first. */
int ranks_steps(const struct ranks *ranks, struct arena *arena, struct step **steps, uint64_t *count, struct error *err);

/* paths [ranks->count]: each rank's file of `step`, NULL where it has none. -EINVAL when a rank has two. */
int ranks_at_step(const struct ranks *ranks, const struct step *step, struct arena *arena, const char **paths, struct error *err);

/*
 * The same by file_suffix, as MindSpore chooses. -ENOENT when no rank has such a file; -EINVAL when a rank has several that
 * no rule decides between, or the ranks' files are not of one step.
 */
int ranks_at_suffix(const struct ranks *ranks, const char *suffix, struct arena *arena, const char **paths, struct step *step,
		    struct error *err);

/* "1_10", with "_2-" before it for task 2; "(uncounted)" for a step without numbers. In `arena`, NULL without memory. */
const char *ranks_step_name(const struct step *step, struct arena *arena);

#endif
