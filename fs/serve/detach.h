/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Becoming a daemon, in such a way that the program that was started ends only when the daemon says that all is well, or with the
 * reason why it is not.
 */
#ifndef FS_DETACH_H
#define FS_DETACH_H

#include <sys/types.h>

#include "layout/base/error.h"

/*
 * Forks. Returns 0 in the child, which has a session of its own, / as its working directory and no streams; its number in the
 * parent. *channel is the child's way to report, and the parent's to wait. A negative errno when there is no child.
 */
pid_t detach_fork(int *channel, struct error *err);

/* The child's one report: NULL for all well, else what is wrong. Closes the channel; a channel of -1 is nobody's. */
void detach_report(int channel, const char *problem);

/* The parent's wait for it: 0, or a negative errno with the child's message, or with how it ended when it said nothing. */
int detach_wait(pid_t child, int channel, struct error *err);

#endif
