/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The strategy files of a SOURCE: where they are looked for, and reading them. They are read once; nothing of them is kept
 * open.
 *
 * Look-up: -o strategy= names files and folders; without it, for each SOURCE the folder `strategy` beside it (where MindSpore
 * Transformers writes it), else the one inside; both there is an error. A SOURCE that is a mount of rank folders says itself how they
 * are cut.
 */
#ifndef FS_STRATEGIES_H
#define FS_STRATEGIES_H

#include <time.h>

#include "fs/options/options.h"
#include "layout/formats/strategy.h"

#define STRATEGIES_FILE_MAX (UINT64_C(256) << 20) /* bytes of one strategy file; real ones are a few megabytes */
#define STRATEGIES_SHOWN "shown.ckpt" /* in .gatherfs/ of a rank view: how its ranks are cut */

struct strategies {
	const struct strategy *strategy; /* NULL when there is none */
	const char *const *paths;        /* [count] files read, in order; byte-equal ones are read once and listed all */
	uint64_t count;
	struct timespec newest;          /* newest mtime of them */
};

/* Where to look. */
struct strategies_look {
	const struct options_list *sources; /* absolute directories */
	const struct options_list *named;   /* the values of -o strategy= */
	bool optional;                      /* finding none is no error */
	const struct fence *fence;          /* for what is found */
};

/* Finds and unites the strategy. All of *out lives in `arena`. */
int strategies_load(const struct strategies_look *look, struct arena *arena, struct strategies *out, struct error *err);

#endif
