/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The iterations of a SOURCE as steps: step N of epoch 0 is iteration_N, and its files are all of its folder that are not temporary.
 */
#ifndef FS_FOUND_ITERATIONS_H
#define FS_FOUND_ITERATIONS_H

#include "fs/options/options.h"
#include "fs/source/found.h"

/*
 * Lists them: *out stays empty where SOURCE holds none. `folders` gets their folders, so that they can be watched; a step has as many
 * paths as files (found_step.count). All in `arena`.
 */
int found_iterations(const struct options *o, struct arena *arena, struct ranks *folders, struct found *out, struct error *err);

#endif
