/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fs/source/cached.h"

#ifndef SYS_cachestat
#define SYS_cachestat 451 /* of all architectures but alpha */
#endif

/*
 * Bytes: the kernel takes no more pages of one call than its read-ahead has, which are these. In pieces that begin at multiples of it,
 * parts that follow one another are not read as crumbs.
 */
#define PIECE (UINT64_C(128) << 10)

/* Of <linux/mman.h>, where that is new enough. */
struct asked {
	uint64_t off, len;
};

struct told {
	uint64_t cached, dirty, writeback, evicted, recently_evicted;
};

int cached_has(const struct source *source, uint64_t lo, uint64_t hi)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), pages = (hi - 1) / page - lo / page + 1;
	struct asked asked = { lo, hi - lo };
	struct told told = { 0 };
	struct error err;
	int rc, fd = source_hold(source, &err);

	if (fd < 0)
		return fd;
	rc = (int)syscall(SYS_cachestat, fd, &asked, &told, 0);
	source_release(source);
	return rc < 0 ? -1 : told.cached == pages;
}

void cached_bring(const struct source *source, uint64_t lo, uint64_t hi)
{
	uint64_t size = source->stamp.size, to;
	struct error err;
	int fd = source_hold(source, &err);

	if (fd < 0)
		return;
	if (hi - lo >= PIECE / 2) {
		lo -= lo % PIECE;
		hi = hi > size - size % PIECE ? size : hi + (PIECE - hi % PIECE) % PIECE;
	}
	for (; lo < hi; lo = to) {
		to = lo - lo % PIECE + PIECE;
		to = to < hi ? to : hi;
		posix_fadvise(fd, (off_t)lo, (off_t)(to - lo), POSIX_FADV_WILLNEED);
	}
	source_release(source);
}
