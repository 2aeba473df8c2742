/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The files and folders that are open in a mount. The kernel tells of every one that is closed, but not any more when the mount
 * ends first: those that are left are closed then, so that nothing of them remains.
 *
 * Thread-safe: links and list are protected by the lock.
 */
#ifndef FS_OPENED_H
#define FS_OPENED_H

#include <pthread.h>

/* The first member of whatever is open. */
struct opened {
	struct opened *next, **link;
	void (*close)(void *ops, struct opened *self); /* frees it; it is no longer in the list */
};

struct opened_list {
	pthread_mutex_t lock;
	struct opened *first;
};

void opened_init(struct opened_list *list);
void opened_add(struct opened_list *list, struct opened *opened);

/* Takes it out of the list and closes it. */
void opened_close(struct opened_list *list, struct opened *opened, void *ops);

/* For the end, when nobody answers requests any more. */
void opened_close_all(struct opened_list *list, void *ops);

#endif
