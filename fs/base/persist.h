/* SPDX-License-Identifier: Apache-2.0 */
/* Writing a small file whole: nobody gives it its name before its bytes are on the disk. */
#ifndef FS_PERSIST_H
#define FS_PERSIST_H

#include "layout/base/bytes.h"

/* Writes all of `b`, and waits until the file is on the disk; 0 or a negative errno. */
int persist_bytes(int fd, struct bytes b);

#endif
