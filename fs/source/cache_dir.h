/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The files that indexes of headers are kept in: a folder that is its user's alone, or one file that somebody wrote for many.
 *
 * A folder is taken only when it belongs to who runs the program and nobody else may write to it; so is a file in it, and none is
 * followed that is a link. One that was named by itself may also belong to root or to the owner of SOURCE, who decide what is read in
 * any case.
 *
 * Invariants: an index appears under its name only when it is whole; the folder's indexes have at most CACHE_DIR_BYTES, those that
 * were used least lately are removed. Failing to write is never more than that.
 */
#ifndef FS_CACHE_DIR_H
#define FS_CACHE_DIR_H

#include "fs/options/options.h"
#include "layout/base/bytes.h"

#define CACHE_DIR_BYTES (UINT64_C(1) << 30)     /* of all indexes in a folder */
#define CACHE_DIR_LARGEST (UINT64_C(256) << 20) /* of one of them */
#define CACHE_DIR_SHARED (UINT64_C(4) << 30)    /* of one that was named by itself */

enum cache_dir_kind {
	CACHE_DIR_NONE,   /* header_cache=off, or nobody knows where */
	CACHE_DIR_FOLDER,
	CACHE_DIR_FILE,   /* which is read and never written */
};

struct cache_dir {
	enum cache_dir_kind kind;
	const char *path;  /* absolute */
	const char *above; /* the folder that it is in, and that may be made as well; NULL: it may not */
};

/*
 * Where indexes are: as header_cache= says; else $XDG_CACHE_HOME/gatherfs, for root without that variable /var/cache/gatherfs, for
 * others ~/.cache/gatherfs. Strings in `arena`; 0 or -ENOMEM.
 */
int cache_dir_find(const struct options *o, struct arena *arena, struct cache_dir *out);

/* The whole file, malloc'ed; `name` is its name in a folder. -ENOENT where there is none; the message has the path. */
int cache_dir_read(const struct cache_dir *dir, const char *name, const char *source, struct bytes *out, struct error *err);

/* Writes a file of a folder, which is made where it is not there. */
int cache_dir_write(const struct cache_dir *dir, const char *name, struct bytes file, struct error *err);

/* Writes an index for everybody to `path`. */
int cache_dir_save(const char *path, struct bytes file, struct error *err);

#endif
