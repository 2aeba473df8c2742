/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who keeps a mount busy: processes with a file of it open or mapped, or that work in it, and mounts below it. Only /proc is asked,
 * never the mount, which may answer nothing any more.
 */
#ifndef FS_HOLDERS_H
#define FS_HOLDERS_H

#include "fs/options/point.h"
#include "layout/base/text.h"

/*
 * Adds to `text` who holds the topmost of `mounts`: "python3 (pid 71: 2 open, 14 mapped), bash (pid 9: works in it)"; nothing
 * where nobody can be seen, for processes of other users show that only to root.
 */
void holders_find(const struct point_mounts *mounts, struct text *text);

#endif
