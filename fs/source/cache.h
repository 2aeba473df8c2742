/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the headers of a load's files say, from an index that an earlier load has left (checkpoint/index.h), and the index that this one
 * leaves.
 *
 * An index in a folder is for one list of files, by whose paths it is named, and for one host; files are known by device, inode, size,
 * mtime and ctime of the open descriptor. One that is shared knows them by the path below SOURCE, size and mtime. What is not known
 * as it is now is read, and the index is then written anew. Two kinds of file are never remembered: one whose mtime is so
 * young that it could be written to again without another mtime; and one on a mount of ours, whose stamps say nothing of the
 * options that the mount has.
 *
 * Nothing that goes wrong with an index is an error of the load: the headers are there.
 */
#ifndef FS_CACHE_H
#define FS_CACHE_H

#include "fs/base/log.h"
#include "fs/options/options.h"
#include "fs/source/headers.h"
#include "layout/base/text.h"

#define CACHE_YOUNG 2 /* seconds: of file systems that keep such times, the coarsest mtime */

enum cache_mode {
	CACHE_USE,     /* headers come from the index, and go into it */
	CACHE_COMPARE, /* headers are read, and the index is looked through for what they do not say */
	CACHE_MAKE,    /* headers are read, for a new index for everybody */
};

struct cache;

/* What a cache was good for. Strings live as long as the cache. */
struct cache_told {
	const char *path;    /* of the index, whether or not it is there; NULL where there is none to be */
	const char *trouble; /* why it was not used; NULL when there is no reason to tell */
	bool named;          /* it was named by header_cache= itself, so that whoever did so wants to know */
	uint64_t found, read;  /* files whose header was in the index; that were read */
	uint64_t young, ours;  /* of those, that are not remembered: for their age, as they are on a mount of ours */
};

/*
 * A cache for a load of these files, after looking for their index. NULL without memory, which is as good as none. The options and
 * paths must outlive it. cache_free(NULL) is allowed.
 */
struct cache *cache_begin(const struct options *o, enum cache_mode mode, const char *const *paths, uint64_t count);
void cache_free(struct cache *cache);

/* What headers_read() asks; NULL for NULL. */
const struct headers_cache *cache_hooks(const struct cache *cache);

/* To be called when the headers have been read: gives back what was loaded, unless it is still needed for writing. */
void cache_rest(struct cache *cache);

void cache_tell(const struct cache *cache, struct cache_told *out);

/*
 * Writes the index into its folder, if there is anything new to write. Once, and from any one thread. Why the old one was not used, and
 * the new one not written, goes to `log`, unless that is NULL.
 */
void cache_commit(struct cache *cache, const struct log *log);

/* CACHE_MAKE: writes the index to `path`; *bytes, *files and *headers are what it has. */
struct cache_made {
	uint64_t bytes, files, headers;
};

int cache_save(struct cache *cache, const char *path, struct cache_made *out, struct error *err);

/* CACHE_COMPARE: what the index says and headers do not, one sentence a file; *count of them. */
const char *const *cache_lies(const struct cache *cache, uint64_t *count);

#endif
