/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A folder that has both rank_N and iteration_N folders, as a training leaves it that went over to the checkpoints of 2.x: nothing in
 * it says which of the two is meant, so the user must.
 */
#ifndef FS_KINDS_H
#define FS_KINDS_H

#include "fs/options/options.h"
#include "fs/source/scan.h"

enum kinds { KINDS_ANY, KINDS_RANKS, KINDS_ITERATIONS };

/* Which of them `o` means in the SOURCE with these entries: KINDS_ANY when it has not both. -EINVAL when it has, and `o` does not say. */
int kinds_choose(const struct options *o, const struct scan_list *entries, enum kinds *out, struct error *err);

#endif
