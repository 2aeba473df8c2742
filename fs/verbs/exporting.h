/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the parts of an export share: private to export*.c.
 *
 * The bytes of all files are one row of chunks, which threads gather and write in any order, each to a temporary file beside the place
 * of the file that it becomes. A chunk that is written, and a file that is whole and on disk, each add a line to the journal. Only when
 * all are there do the files get their names, so a folder that holds a part of a model never looks like one.
 *
 * Going on is the same work with less to do: a chunk that the journal knows is read back and kept when its fingerprint is right, a
 * file that it knows is kept when it is still the same inode with the same mtime.
 */
#ifndef FS_EXPORTING_H
#define FS_EXPORTING_H

#include <pthread.h>

#include "fs/base/interrupt.h"
#include "fs/base/pool.h"
#include "fs/base/progress.h"
#include "fs/model/gather.h"
#include "fs/options/options.h"
#include "fs/verbs/dest.h"
#include "layout/view/journal.h"

#define EXPORT_STEP (UINT64_C(1) << 20) /* bytes that a thread gathers at once, so that they stay in its cache until they are written */

struct export_file {
	const char *path, *temp; /* below DEST, and the last name while it is written */
	const struct image *image;
	uint64_t first, chunks;  /* its part of the row */
	uint64_t left;           /* protected by lock: chunks that are not done */
	int fd;                  /* protected by lock: -1 while it is not open; open while a chunk of it is worked on */
	bool kept;               /* an earlier run has done it all */
	bool named;              /* and it has its name already */
};

struct export {
	const struct options *options;
	const struct model *model;
	struct arena *arena;
	struct dest dest;
	struct export_file *files;    /* [known.file_count] */
	struct journal_head head;
	struct journal known;         /* of earlier runs; the fingerprint of a chunk is that of its last writing */
	int journal;                  /* descriptor, -1 before there is one; lines are appended */
	uint64_t bytes;               /* of all files */
	_Atomic uint64_t gathered;    /* bytes that this run wrote */
	mode_t file_mode;
	struct interrupt interrupt;
	struct progress *progress;
	pthread_mutex_t lock;
};

/* What a thread has for itself. */
struct export_thread {
	struct gather *gather;
	uint8_t *buf, *other; /* [EXPORT_STEP] each */
};

/* A chunk, or a step of one, as what it is a part of. */
struct export_part {
	struct export_file *file;
	uint64_t number;      /* of the chunk in the row */
	uint64_t offset, len; /* bytes in the file */
	int fd;               /* of the file as it is on disk, for who reads and writes it */
};

/* Chunk `number`, without a descriptor; and a task over all chunks, each of whose threads has a struct export_thread for its state. */
struct export_part export_part_of(const struct export *e, uint64_t number);
int export_over(struct export *e, const char *what, int (*task)(uint64_t, void *, void *, struct error *), struct error *err);

/* The steps of a part, each at most EXPORT_STEP: makes *step the next one, from one of length 0 at the part's start on. */
struct export_part export_first(const struct export_part *part);
bool export_next(const struct export_part *part, struct export_part *step);

/* The bytes of a step: gathered into t->buf, read from the disk into t->other. */
int export_gather(struct export *e, struct export_thread *t, const struct export_part *step, struct error *err);
int export_read(struct export *e, struct export_thread *t, const struct export_part *step, struct error *err);

/* The fingerprint of a part as it is on disk. -ENODATA when the file is shorter. */
int export_print(struct export *e, struct export_thread *t, const struct export_part *part, struct fingerprint *out, struct error *err);

/* "DEST/PATH: WHAT: why" for errno `code`. Returns `code`. */
int export_fail(const struct export *e, const struct export_file *f, const char *what, int code, struct error *err);

/* export_resume.c: begins or continues the journal, and finds out what need not be done. Makes DEST when it is absent. */
int export_resume(struct export *e, struct error *err);

/* export_write.c: the task that makes a chunk, and giving the files their names. */
int export_write(uint64_t number, void *state, void *arg, struct error *err);
void export_write_end(struct export *e);
int export_write_names(struct export *e, struct error *err);

/* export_check.c: tasks that compare what was written with its fingerprint, and a finished export with its sources. */
int export_check(uint64_t number, void *state, void *arg, struct error *err);
int export_check_finished(uint64_t number, void *state, void *arg, struct error *err);
int export_check_sizes(struct export *e, struct error *err);

#endif
