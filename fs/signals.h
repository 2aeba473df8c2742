/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The signals of a process that serves a mount. Those that ask for its end (HUP, INT, TERM, QUIT, XCPU) end it in order, so that no
 * dead mount is left; those that mean nothing to it (USR1, USR2, ALRM ...) are no reason to die.
 */
#ifndef FS_SIGNALS_H
#define FS_SIGNALS_H

struct fuse_session;

/* Holds back the signals of the first kind, from before a process mounts until it handles them, or leaves the mount to another. */
void signals_hold(void);
void signals_release(void);

/* Has the session ended by the first kind, those held back included, and the second ignored. 0 or -1. */
int signals_take(struct fuse_session *session);

#endif
