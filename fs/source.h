/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Source files: opened once, when a model is built, and kept open, so that a file that is renamed or unlinked later still
 * gives its old bytes. A stamp (device, inode, size, mtime of the open descriptor) tells whether a file is still the one that
 * the model was built from; ctime is no part of it, because a finishing save (chmod, rename) and a rotation (unlink) change it.
 *
 * A source may have addresses beyond its end, each of which stands for another place in the file: a tensor that a .ckpt file holds in
 * several slices is one range of them.
 *
 * Invariants: a source is a regular file; its number never changes; the list is read-only once the model is built. Opening is
 * for one thread, everything else for any.
 */
#ifndef FS_SOURCE_H
#define FS_SOURCE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#include "layout/arena.h"
#include "layout/ckpt.h"
#include "layout/error.h"

struct source_stamp {
	dev_t dev;
	ino_t ino;
	uint64_t size; /* bytes */
	struct timespec mtime;
};

struct source {
	int fd;           /* owned by the list */
	const char *path; /* as it was opened; owned by the list */
	struct source_stamp stamp;
	const struct ckpt_splice *splices; /* [splice_count] what addresses from stamp.size on stand for, by logical; owned by the list */
	uint64_t splice_count;
	_Atomic(void *) *map; /* where the whole file is mapped, NULL until mapped_rows() needs it; the list's, like the mapping */
	mode_t mode;      /* permission bits */
	uid_t uid;
	gid_t gid;
};

struct sources {
	struct source *list; /* [count]; may move while sources are added, so keep numbers, not pointers */
	uint32_t count, capacity;
	struct arena *arena; /* of the paths */
};

/* An empty list, or NULL without memory. source_list_free() closes every file; NULL is allowed. */
struct sources *source_list_new(void);
void source_list_free(struct sources *sources);

/*
 * Opens `path` and puts it at the end of the list, *index is its number. Links are followed. -EINVAL for anything but a
 * regular file, -ENOMEM, or the errno of open; the message names the path.
 */
int source_open(struct sources *sources, const char *path, uint32_t *index, struct error *err);

/* Gives source `index` addresses beyond its end (ckpt.h says what they must be); copies them. 0 or -ENOMEM. */
int source_splice(struct sources *sources, uint32_t index, const struct ckpt_splice *splices, uint64_t count, struct error *err);

/* The byte of the file that an address stands for: itself inside the file; UINT64_MAX for one that stands for nothing. */
uint64_t source_byte(const struct source *source, uint64_t address);

/* Reads exactly [offset, offset + len) into buf. -EIO when the file ends before or an address stands for nothing, or the errno of pread. */
int source_read(const struct source *source, uint64_t offset, void *buf, uint64_t len, struct error *err);

/* What `path` names now, without opening it. 0, or a negative errno. */
int source_look(const char *path, struct source_stamp *out);
bool source_same(const struct source_stamp *a, const struct source_stamp *b);

/* 0 while the open file is as stamped; else -EIO (or the errno of fstat) and a message with the field, expected and found. */
int source_unchanged(const struct source *source, struct error *err);

#endif
