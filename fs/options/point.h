/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mount points: whether one may be used, and what is mounted on it, as /proc/self/mountinfo tells.
 */
#ifndef FS_POINT_H
#define FS_POINT_H

#include <stdbool.h>
#include <stdint.h>

#include "fs/options/options.h"

/*
 * Checks that `point` may take a mount of `sources`: an empty directory, neither one of them nor below one. *real is its path
 * without links, in `arena`. -EINVAL, -ENOTEMPTY, -ENOTCONN or -ECONNABORTED for a dead mount, or the errno of looking at it.
 */
int point_check(const char *point, const struct options_list *sources, struct arena *arena, const char **real, struct error *err);

/* Whether this errno, of looking at a mount, says that its daemon is gone: it was before, or went without an answer. */
bool point_is_dead(int number);

struct point_mounts {
	uint32_t count; /* mounts on this very path, one over the other */
	bool ours;      /* the topmost is a gatherfs mount */
	uint64_t id;    /* of the topmost: its number in /proc */
	dev_t device;   /* likewise */
};

/* Looks a path without links up among the mounts. The errno of reading them, or -ENOMEM. */
int point_mounts(const char *real, struct point_mounts *out, struct error *err);

/* The devices of all gatherfs mounts, in `arena`. The errno of reading the mounts, or -ENOMEM. */
int point_devices(struct arena *arena, dev_t **list, uint64_t *count);

/* Whether another mount lies in the one with this number. */
bool point_has_mounts(uint64_t id);

#endif
