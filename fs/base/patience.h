/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Says on the standard error stream what is waited for when nothing moves on: a storage that hangs must not look like a program that
 * does. A thread of its own looks, as those that wait cannot.
 */
#ifndef FS_PATIENCE_H
#define FS_PATIENCE_H

#define PATIENCE_SECONDS 5 /* without another answer of `where`, before it is said; then twice as long, and so on */

struct patience;

/* `where` gives the path that is at hand, from another thread; NULL: none. NULL where nothing can be said. */
struct patience *patience_begin(const char *(*where)(void *arg), void *arg);

/* The same for one path, which is at hand all the time. */
struct patience *patience_for(const char *path);

/* Ends looking. NULL is allowed. */
void patience_end(struct patience *patience);

#endif
