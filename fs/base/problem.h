/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What went wrong since mounting, for the log and for .gatherfs/status: one entry for each source file, with a count, so that a
 * reader in a loop can fill neither. Bounded: past PROBLEM_MAX files only a number grows.
 *
 * Thread-safe: every field is protected by the lock.
 */
#ifndef FS_PROBLEM_H
#define FS_PROBLEM_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#define PROBLEM_MAX 64

struct problem {
	uint32_t source;    /* number of the file */
	uint64_t count;     /* how often */
	time_t first, last; /* wall clock */
	char msg[1024];     /* of the first time */
};

struct problems {
	pthread_mutex_t lock;
	struct problem list[PROBLEM_MAX];
	uint32_t count;
	uint64_t more; /* that found no room in the list */
	uint32_t owners;
};

/* An empty list, or NULL without memory. Sharing gives it one owner more; the last one frees it. problem_list_free(NULL) is allowed. */
struct problems *problem_list_new(void);
struct problems *problem_list_share(struct problems *problems);
void problem_list_free(struct problems *problems);

/* Counts a problem of `source`; true when it is the first of this source, and so worth a line in the log. */
bool problem_add(struct problems *problems, uint32_t source, const char *msg);

/* Copies entry `i` to *out; false when there are no more. */
bool problem_get(struct problems *problems, uint32_t i, struct problem *out);

/* How many problems found no room in the list. */
uint64_t problem_more(struct problems *problems);

#endif
