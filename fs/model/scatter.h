/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads whose bytes go straight to where they belong, put together: parts that follow one another in a source but not in the
 * destination (long rows of a shard, the shards of one rank of tensor after tensor) become one read of that source.
 *
 * A plain value; it knows numbers of sources, not sources: who collects reads the list, and sets `count` to 0 then.
 */
#ifndef FS_SCATTER_H
#define FS_SCATTER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#define SCATTER_READS 24
#define SCATTER_PARTS 64

struct scatter_read {
	uint32_t source;
	int count;
	uint64_t src, len;               /* bytes in the source; the lengths of `to` together */
	struct iovec to[SCATTER_PARTS];  /* [count], in the order of the source */
};

struct scatter {
	struct scatter_read reads[SCATTER_READS]; /* [count] */
	uint32_t count;
};

/* Adds the bytes of a source from src on that `to` takes. False, with nothing done, when there is no room. */
bool scatter_add(struct scatter *s, uint32_t source, uint64_t src, struct iovec to);

/* Adds them only to a read that is there already and ends where they begin, so that they cost no call. */
bool scatter_join(struct scatter *s, uint32_t source, uint64_t src, struct iovec to);

#endif
