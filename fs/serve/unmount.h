/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Taking gatherfs mounts away. Nothing here asks a mount, which may answer nothing any more; who is not root goes through
 * fusermount3, which knows whose a mount is.
 */
#ifndef FS_UNMOUNT_H
#define FS_UNMOUNT_H

#include "fs/options/point.h"

struct unmount {
	const char *point; /* without links */
	struct point_mounts mounts;
	bool lazy;         /* takes it out of the tree even where it is in use */
};

/* Unmounts the topmost mount of a point and waits until the kernel has dropped it. -EBUSY says who holds it. */
int unmount_run(const struct unmount *u, struct error *err);

/*
 * Clears what a killed daemon has left on `point`: gatherfs mounts that answer ENOTCONN, in use or not, for their files are lost in any
 * case. *count is how many. -EBUSY when the topmost is a gatherfs mount that lives, or does not answer at all.
 */
int unmount_dead(const char *point, uint32_t *count, struct error *err);

#endif
