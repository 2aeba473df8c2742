/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which reads of a mount follow one another, and how far ahead of them to read. A stream is a place in an image that reads move on
 * from: it is known by the image and not by the open file, for several processes may share one, or take turns with one each, and
 * the kernel asks for what any of them needs once.
 *
 * A reader may go down, too: glibc's memcpy() does where source and destination lie alike in their pages, and so does safe_open() on a
 * mapped file, tensor by tensor. Reads that lie below all others, one after the other and over some distance, turn a stream; its places
 * then count from the end of the image, so that all the rest knows one direction only. It never turns back: whoever goes up from there
 * soon is somewhere else.
 *
 * The first read of a place makes a stream. From the second on, what follows is wanted, as far as a window that doubles each time; more is
 * wanted when the reader is half through. Reads arrive in disorder, several threads answering them, and loaders step over what
 * they do not want: a little before and behind is no other place.
 *
 * What is wanted is taken in steps, a stream after the other. A storage that drops what it is asked for has enough to do: the stream's
 * window is then a little less than what it did take, and grows slowly from there; where that is next to nothing, the stream rests.
 * It is all decisions: it reads nothing, knows no clock and takes no lock.
 */
#ifndef FS_STREAMS_H
#define FS_STREAMS_H

#include <stdbool.h>
#include <stdint.h>

#define STREAMS_MOST 16
#define STREAMS_NEAR (UINT64_C(4) << 20)  /* bytes ahead of a place that are still that place */
#define STREAMS_BELOW (UINT64_C(8) << 20) /* likewise bytes below it: a window of the kernel's, whose first request may be the lowest */
#define STREAMS_STEP (UINT64_C(1) << 20)  /* bytes that are taken at once */

/* A read of [offset, offset + len) of an image of `size` bytes. */
struct streams_read {
	const void *image; /* compared, not looked into */
	uint64_t size, offset, len;
};

/* Wanted is [taken, ahead). */
struct stream {
	const void *image; /* NULL: unused */
	bool down;         /* all places count from the end of the image */
	uint64_t at;       /* where the farthest read ended */
	uint64_t low;      /* the lowest beginning of a read since that one; of a stream that goes down, where it turned */
	uint32_t falls;    /* how often it became lower */
	uint64_t taken, ahead;
	uint64_t window;   /* 0: one read only */
	uint64_t most;     /* that the window may grow to now */
	uint64_t rest;     /* nothing more is wanted until the reader has come there */
	uint64_t used;     /* turn of the last read */
};

struct streams {
	uint64_t share; /* bytes: the largest window. All of them together are the budget */
	uint32_t count; /* that there may be */
	uint32_t last;  /* of which a step was taken */
	uint64_t turn;  /* grows with each read */
	struct stream list[STREAMS_MOST]; /* [count] */
};

/* `budget` in bytes, at least 1. */
void streams_init(struct streams *s, uint64_t budget);

/* The stream of a read, or else the one that is to be given up for it. */
struct stream *streams_find(struct streams *s, const struct streams_read *read);
bool streams_is_here(const struct stream *stream, const struct streams_read *read);

/* Notes a read in the stream that was found for it; one that is not here begins anew. */
void streams_note(struct streams *s, struct stream *stream, const struct streams_read *read);

/* Of a stream: something is wanted. */
bool streams_wants(const struct stream *stream);

/* The next stream that wants something, in turn; NULL when there is none. */
struct stream *streams_next(struct streams *s);

/* Takes a step of it: [*from, *to) is wanted no more; counted from the end when it goes down. */
void streams_take(struct stream *stream, uint64_t *from, uint64_t *to);

/* A step that began at `from` was dropped: nothing behind that is wanted for now, unless the stream has become another one. */
void streams_shrink(struct stream *stream, const void *image, uint64_t from);

#endif
