/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What `gatherfs check` has found, in the order in which it looks. A fault makes the checkpoint wrong; a warning is worth knowing,
 * but everything can still be read.
 *
 * For one thread at a time. Running out of memory sets `failed`, which is looked at once, at the end.
 */
#ifndef FS_FINDINGS_H
#define FS_FINDINGS_H

#include "layout/base/text.h"

enum findings_kind {
	FINDINGS_FILE,     /* a file that cannot be opened or understood, or contradicts another */
	FINDINGS_INDEX,    /* an index of headers that says something else than they do */
	FINDINGS_COVERAGE, /* something is held by no file */
	FINDINGS_MISSING,  /* a rank that has no file, or not all that it should have */
	FINDINGS_META,     /* meta.json */
	FINDINGS_CRC,
	FINDINGS_READ,     /* reading failed, or the file changed meanwhile */
	FINDINGS_REPLICA,  /* copies of one block differ */
	FINDINGS_STAGE,    /* stages that cut a tensor differently hold different values */
	FINDINGS_OUTSIDE,  /* copies of a parameter outside the strategy differ */
	FINDINGS_VALUE,    /* NaN, infinities */
	FINDINGS_LOAD,     /* what a mount would warn of */
};

struct finding {
	enum findings_kind kind;
	bool fault;
	const char *message;
	const char *tensor, *file;  /* that it is about, or NULL */
	const uint32_t *ranks;      /* [rank_count] likewise, ascending */
	const uint64_t *index;      /* [axes] of an element; NULL where it is about none */
	uint32_t rank_count, axes;
};

struct findings {
	struct arena *arena; /* of all that is in it */
	struct finding *list; /* [count] */
	uint64_t count, room, faults;
	struct finding spare; /* for what found no room */
	bool failed;
};

/* Starts a list in `arena`, which must be the list's for as long as it grows. */
struct findings findings_new(struct arena *arena);

/*
 * Adds a finding with a message, made harmless as errors are, and returns it to be filled; pointers in it are kept, not copied. It is
 * valid until the next is added. Never NULL.
 */
struct finding *findings_add(struct findings *f, enum findings_kind kind, bool fault, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/* What a kind is called. A static string. */
const char *findings_name(enum findings_kind kind);

#endif
