/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How many source files may be open at once. Most mounts have far fewer sources than a process may have descriptors, and then each is
 * simply kept open. Beyond that, sources share what is left: each is opened when it is read, and closed again when it was not
 * used for longest.
 *
 * Invariants: a descriptor that somebody holds stays open. At most `kept` sources are kept open, and of the others at most `shared` are
 * open that nobody holds. From any thread.
 */
#ifndef FS_FDS_H
#define FS_FDS_H

#include <stdbool.h>
#include <stdint.h>

struct fds;

/* A source whose descriptor comes and goes. All of it is protected by the lock of its `fds`. */
struct fds_slot {
	int fd;         /* -1 while it is closed */
	uint32_t users; /* who hold it */
	struct fds_slot *older, *newer; /* among those that are open and nobody holds */
};

/* For a process that may have `limit` descriptors; NULL without memory. */
struct fds *fds_new(uint64_t limit);
struct fds *fds_share(struct fds *fds); /* the same, for one more owner */
void fds_free(struct fds *fds);

/* What this process may have just now. */
uint64_t fds_limit(void);

/* Takes room for one descriptor that is kept; false when there is none. */
bool fds_keep(struct fds *fds);
void fds_unkeep(struct fds *fds);

/* The descriptor of a slot, held; -1 when it is closed. */
int fds_hold(struct fds *fds, struct fds_slot *slot);

/* Gives a closed slot the descriptor `fd` and holds it. Returns what the slot has then: where another thread was faster, `fd` is closed. */
int fds_offer(struct fds *fds, struct fds_slot *slot, int fd);
void fds_release(struct fds *fds, struct fds_slot *slot);

/* Closes one that nobody holds, of any slot; false when there is none. */
bool fds_spare(struct fds *fds);

/* Closes the slot for good. Nobody holds it. */
void fds_close(struct fds *fds, struct fds_slot *slot);

#endif
