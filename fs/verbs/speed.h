/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How fast a file is read, in the ways in which programs read: for who wants to know what his own mount gives on his own machine.
 *
 * A way reads the beginning of the file once, at most as long as it is allowed to, and says how much it read in what time. The bytes
 * are thrown away.
 */
#ifndef FS_SPEED_H
#define FS_SPEED_H

#include <stdint.h>

#include "layout/base/error.h"

enum speed_way {
	SPEED_DIRECT,   /* O_DIRECT, 1 MiB a read */
	SPEED_DIRECT_2, /* likewise, two threads, half of it each */
	SPEED_COLD,     /* through the page cache, which holds nothing of the file before */
	SPEED_WARM,     /* through the page cache, which holds all that is read */
	SPEED_MAPPED,   /* mapped, in order, an empty page cache */
	SPEED_RANDOM,   /* O_DIRECT, 4 KiB at a place that nothing foretells */
	SPEED_WAYS,
};

struct speed {
	uint64_t bytes, reads;
	double seconds;
	double p50, p99; /* seconds that one read takes; of SPEED_RANDOM */
};

/* What a way is called. A static string. */
const char *speed_name(enum speed_way way);

/* Reads for at most `seconds`. -EINVAL for an empty file, or the errno of opening, mapping or reading; the message names `path`. */
int speed_measure(const char *path, enum speed_way way, double seconds, struct speed *out, struct error *err);

#endif
