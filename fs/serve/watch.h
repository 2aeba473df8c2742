/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The thread that keeps a mount of many steps as SOURCE is: it waits for the kernel to tell that a folder has changed, and looks from
 * time to time in any case, because network filesystems tell nothing of what other hosts do. It is also the one that tells the
 * kernel what to forget, and frees models; no thread that answers requests ever waits for it.
 */
#ifndef FS_WATCH_H
#define FS_WATCH_H

#include "fs/serve/follow.h"

struct watch;

/* Starts watching, and looks at once: things may have happened since the last look. `f` and its hub are the watcher's until it ends. */
int watch_start(struct follow *f, struct watch **out, struct error *err);

/* Asks it to end, and waits so many seconds; false when it has not ended yet. Once it has, everything it had is freed. */
bool watch_stop(struct watch *w, unsigned seconds);

#endif
