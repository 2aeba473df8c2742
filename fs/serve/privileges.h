/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a daemon can do that answers requests, where root started it: it reads what root may read, and ends its mount. It keeps
 *
 * - CAP_DAC_READ_SEARCH, for files that are opened later (steps to come, more sources than may be open at once) and that belong to
 *   the user who trains, who saves them for himself alone;
 * - CAP_SYS_ADMIN, for umount(2), but out of effect until serving has ended.
 *
 * Raising the read-ahead and breaking the connection need to be root, no capability, and telling the kernel what has changed needs
 * neither. All else is dropped for good, from the bounding set too, and no program that it starts can gain any of it (no_new_privs).
 *
 * A user's daemon has nothing to drop, and must not have no_new_privs: it ends its mount through fusermount3, which is setuid root.
 */
#ifndef FS_PRIVILEGES_H
#define FS_PRIVILEGES_H

#include "layout/base/error.h"

/*
 * Closes what was inherited beyond the standard streams, and makes files for the user alone: before anything is opened. The
 * environment stays, as it says where caches and the time zone are, and so do the groups, by which a user may read sources.
 */
void privileges_inherit_nothing(void);

/* Drops what is not needed once the mount is there. Call it before there are other threads, which inherit what is left. */
int privileges_drop(struct error *err);

/* Puts what unmounting needs into effect, for the calling thread: that of privileges_drop(). */
void privileges_for_unmount(void);

#endif
