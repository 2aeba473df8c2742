/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a mount tells about itself in .gatherfs/status (for people) and .gatherfs/status.json (for programs): what is shown, what
 * it was made of, what was left out and why, and what went wrong since.
 */
#ifndef FS_STATUS_H
#define FS_STATUS_H

#include <stdatomic.h>

#include "fs/serve/ahead.h"
#include "fs/serve/below.h"
#include "fs/serve/follow.h"
#include "fs/serve/reply.h"
#include "layout/base/text.h"

/* Whether files of a view that are open for direct I/O can be mapped with MAP_SHARED. */
enum status_maps { STATUS_MAPS_UNKNOWN, STATUS_MAPS_YES, STATUS_MAPS_NO };

struct status {
	const struct model *model;  /* of a mount of one */
	struct follow *follow;      /* of a mount of many; else NULL */
	const struct options *options;
	const char *mountpoint;
	time_t since;               /* wall clock, when it was mounted */
	_Atomic uint64_t readahead; /* bytes, of the mount; 0 while it is not known */
	_Atomic enum status_maps direct_maps;
	const struct reply *reply;
	const struct ahead *ahead;  /* what reads sources ahead; NULL: off */
	const struct below *below;  /* what reads for readers who go down; NULL: off */
};

/* Finds out what the mount, which answers, can do. Not for a thread that answers requests. */
void status_probe(struct status *status);

/* Write the report; text->failed says whether there was memory for it. */
void status_text(const struct status *status, struct text *text);
void status_json(const struct status *status, struct text *text);

/* The part of them that is about how the mount is read; as members of an object that has begun. */
void status_reading_text(const struct status *status, struct text *text);
void status_reading_json(const struct status *status, struct text *text);

#endif
