/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The steps of a training, shown side by side (-o steps=all). Each look at the rank folders compares them with what is shown: a step
 * that is complete gets a model, one whose files are gone or are others loses its own, and whatever cannot be shown says why.
 *
 * A step is complete when every block of every tensor is in one of its files; how many ranks have saved it does not matter. A step
 * is built anew when its files have changed in any way, so what is shown is always what a fresh mount would show.
 *
 * Threads: one keeper at a time (who mounts, then the watcher) looks; what the status tells is under the lock.
 */
#ifndef FS_FOLLOW_H
#define FS_FOLLOW_H

#include <pthread.h>

#include "fs/base/log.h"
#include "fs/model/load.h"
#include "fs/serve/hub.h"
#include "fs/source/found.h"
#include "fs/source/seen.h"

enum follow_state {
	FOLLOW_NEW,        /* found, not looked at yet */
	FOLLOW_SHOWN,
	FOLLOW_INCOMPLETE, /* a block is in no file: the ranks are still saving, or have begun to delete */
	FOLLOW_BROKEN,
};

struct follow_step {
	struct step step;
	char name[HUB_NAME];
	enum follow_state state;
	struct hub_model *shown;        /* FOLLOW_SHOWN, else NULL */
	struct arena *arena;            /* of why and seen */
	const char *why;                /* it is not shown */
	struct seen seen;               /* its files when it was last built, or when that failed */
	bool again;                     /* the reason lies elsewhere than in the files: try again each time */
	const struct found_step *found; /* the keeper's, during a look; NULL: no longer there */
};

struct follow {
	const struct options *options;
	struct hub *hub;
	const struct log *log;     /* NULL while there is none */
	struct load_base *base;    /* changed by the keeper alone, and only under the lock */
	struct hub_model *beside;  /* .gatherfs/ */
	struct arena *arena;       /* of `ranks` */
	struct ranks ranks;        /* the keeper's: the folders of the last look */
	atomic_bool stop;          /* ends a look early */

	pthread_mutex_t lock;
	struct follow_step **steps; /* [count] newest first */
	uint64_t count, capacity;
	struct error trouble;      /* why SOURCE or its strategy could not be read; empty when they could */
};

/* Looks for the first time. The hub is in *out. A negative errno with one message for the user. */
int follow_new(const struct options *options, struct follow **out, struct error *err);

/* Looks again. Trouble is told in the status, and every step that can be read stays. */
void follow_look(struct follow *f);

/* Frees the hub too. NULL is allowed. */
void follow_free(struct follow *f);

#endif
