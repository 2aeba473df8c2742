/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Source files: opened once, when a model is built, and kept open, so that a file that is renamed or unlinked later still
 * gives its old bytes. A stamp (device, inode, size, mtime of the open descriptor) tells whether a file is still the one that
 * the model was built from; ctime is no part of it, because a finishing save (chmod, rename) and a rotation (unlink) change it.
 *
 * Where there are more sources than a process may have open (fds.h), those beyond are opened when they are read. Such a file must be
 * at its path then, with the same stamp: anything else is an error, never other bytes.
 *
 * A source may have addresses beyond its end, each of which stands for another place in the file: a tensor that a .ckpt file holds in
 * several slices is one range of them.
 *
 * Invariants: a source is a regular file; its number never changes; the list is read-only once the model is built. Opening and adopting
 * are for one thread, everything else for any.
 */
#ifndef FS_SOURCE_H
#define FS_SOURCE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>

#include "fs/options/fence.h"
#include "fs/source/fds.h"
#include "layout/base/arena.h"
#include "layout/base/error.h"
#include "layout/formats/ckpt.h"

struct source_stamp {
	dev_t dev;
	ino_t ino;
	uint64_t size; /* bytes */
	struct timespec mtime;
	struct timespec ctime; /* not compared: only for who keeps what a file says beyond the time that it is open */
};

struct source {
	int fd;           /* owned by the list; -1: source_hold() opens the file, and nobody else may use this */
	struct fds *fds;  /* where fd is counted, or `slot` lives; NULL: it is not */
	struct fds_slot *slot; /* the list's; NULL for a file that is kept open */
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
	struct fds *fds;     /* what bounds the open files; NULL: nothing does */
	const struct fence *fence; /* what the files must lie in; NULL: anywhere */
};

/*
 * An empty list, or NULL without memory; bounded by `fds`, of which it becomes one more owner, unless that is NULL.
 * source_list_free() closes every file; NULL is allowed.
 */
struct sources *source_list_new(void);
struct sources *source_list_bounded(struct fds *fds);
void source_list_free(struct sources *sources);

/*
 * Opens `path` and puts it at the end of the list, *index is its number. Links are followed, as far as the fence of the list lets
 * them lead (-EXDEV). -EINVAL for anything but a regular file, -ENOMEM, or the errno of open; the message names the path.
 */
int source_open(struct sources *sources, const char *path, uint32_t *index, struct error *err);

/*
 * The two halves of source_open(), for who opens files in several threads: an open file that is in no list yet (source_close() ends
 * it), and its place at the end of a list, which owns it from then on, also when that fails. `path` must live until then.
 */
int source_open_file(const char *path, const struct fence *fence, struct source *out, struct error *err);
void source_close(struct source *source);
int source_adopt(struct sources *sources, struct source *source, uint32_t *index, struct error *err);

/*
 * The file's descriptor, open until source_release(). Usually that is nothing but a look. A file that has to be opened again must be as
 * it is stamped: else -EIO, or the errno of open, and a message that says so. Hold it around system calls only.
 */
int source_hold(const struct source *source, struct error *err);
void source_release(const struct source *source);

/* Gives source `index` addresses beyond its end (ckpt.h says what they must be); copies them. 0 or -ENOMEM. */
int source_splice(struct sources *sources, uint32_t index, const struct ckpt_splice *splices, uint64_t count, struct error *err);

/* The byte of the file that an address stands for: itself inside the file; UINT64_MAX for one that stands for nothing. */
uint64_t source_byte(const struct source *source, uint64_t address);

/* Reads exactly [offset, offset + len) into buf. -EIO when the file ends before or an address stands for nothing, or the errno of pread. */
int source_read(const struct source *source, uint64_t offset, void *buf, uint64_t len, struct error *err);

/* The same for bytes that follow one another there, to count (at most 1,024) places. */
int source_scatter(const struct source *source, uint64_t offset, const struct iovec *to, int count, struct error *err);

/* What `path` names now, without opening it. 0, or a negative errno. */
int source_look(const char *path, struct source_stamp *out);
struct source_stamp source_stamp_of(const struct stat *st);
bool source_same(const struct source_stamp *a, const struct source_stamp *b);

/* 0 while the open file is as stamped; else -EIO (or the errno of fstat) and a message with the field, expected and found. */
int source_unchanged(const struct source *source, struct error *err);

/* The same of the open file `fd`, which is to be this source. */
int source_check(const struct source *source, int fd, struct error *err);

#endif
