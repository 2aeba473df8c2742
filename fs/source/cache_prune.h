/* SPDX-License-Identifier: Apache-2.0 */
/* Keeping a folder of indexes within its bounds. */
#ifndef FS_CACHE_PRUNE_H
#define FS_CACHE_PRUNE_H

#include <stdint.h>

#define CACHE_PRUNE_NAME ".index"    /* how the name of an index ends */
#define CACHE_PRUNE_TEMP "gatherfs-" /* how that of a file in the making begins, behind a dot */

/*
 * Removes indexes, those first that were used least lately, until the others have at most `bytes`; and what was left in the making
 * an hour ago or earlier. Nothing else in the folder is touched. What cannot be removed stays.
 */
void cache_prune(int folder, uint64_t bytes);

#endif
