/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of `gatherfs check` share: private to check*.c. */
#ifndef FS_CHECKING_H
#define FS_CHECKING_H

#include <pthread.h>
#include <stdatomic.h>

#include "fs/base/progress.h"
#include "fs/model/load.h"
#include "fs/verbs/findings.h"
#include "layout/checkpoint/replicas.h"
#include "layout/values/finite.h"
#include "layout/view/fingerprint.h"

struct check {
	const struct options *options;
	const struct model *model; /* NULL while it could not be loaded */
	struct arena *arena;       /* of findings and of all below */
	struct findings findings;
	struct replicas replicas;

	/* What reading has found. */
	struct fingerprint *hash;   /* [replicas.chunk_count] of chunks of copies that are compared */
	struct finite *values;      /* [replicas.chunk_count] with options->values, else NULL */
	atomic_bool *unread;        /* [replicas.count] a copy that could not be read whole */
	char **trouble;             /* [sources] what went wrong with a file; protected by lock */
	bool *bad_crc;              /* [sources] it is the checksum that is wrong; protected by lock */
	pthread_mutex_t lock;       /* also of the arena while threads are at work */
	struct progress *progress;
	uint64_t compared;          /* groups of copies that were compared */
};

/* Reads every copy of every block, all checksums of files included. 0 or -ENOMEM; what is wrong with a file is in c->trouble. */
int check_read(struct check *c, struct error *err);

/*
 * Verifies the checksum that a file has of its own, and counts its bytes as done. 0 when it is right or there is none; -EBADMSG when it
 * is wrong.
 */
int check_crc_file(const struct source *source, struct progress *progress, struct error *err);

/* Tell what was found. */
void check_copies(struct check *c);
void check_stages(struct check *c);
void check_values(struct check *c);
void check_ranks(struct check *c);
void check_meta(struct check *c);

/* Prints it all. */
void check_write(const struct check *c, double seconds, struct text *out);
void check_write_json(const struct check *c, struct text *out);

#endif
