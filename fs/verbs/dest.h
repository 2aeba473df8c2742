/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The folder that an export is written to. Whatever is in it already is not trusted: nothing is followed that is a link, and paths
 * stay below it.
 */
#ifndef FS_DEST_H
#define FS_DEST_H

#include <sys/stat.h>

#include "fs/options/options.h"

#define DEST_JOURNAL ".gatherfs-export"

enum dest_state {
	DEST_ABSENT,
	DEST_EMPTY,
	DEST_BEGUN, /* it has a journal */
	DEST_OTHER, /* it has something else */
};

struct dest {
	const char *path; /* absolute, for messages */
	int fd;           /* of the folder, -1 while it is absent; dest_close() */
	mode_t dir_mode;  /* of folders that are made */
	enum dest_state state;
};

/* Looks at `path` and changes nothing. -EINVAL when it is one of `sources` or below, -EBUSY when another export is at it, or an errno. */
int dest_open(const char *path, const struct options_list *sources, struct dest *out, struct error *err);
void dest_close(struct dest *dest);

/* Makes the folder when it is absent. */
int dest_make(struct dest *dest, struct error *err);

/* 0 when `bytes` more fit on the disk, -ENOSPC when not. */
int dest_has_room(const struct dest *dest, uint64_t bytes, struct error *err);

/* Opens the folder of the file `path` below DEST, and makes it first with `make`. The descriptor is the caller's; a negative errno. */
int dest_folder(const struct dest *dest, const char *path, bool make, struct error *err);

/* The last name of a path. */
const char *dest_name(const char *path);

#endif
