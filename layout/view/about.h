/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What there is to say about one tensor: type, shape, where every part of it lies, and its corner values; as a text for people,
 * and the same as JSON. Names and paths are made harmless in the text (error.h says how).
 */
#ifndef LAYOUT_ABOUT_H
#define LAYOUT_ABOUT_H

#include "layout/base/corners.h"
#include "layout/base/text.h"
#include "layout/checkpoint/checkpoint.h"
#include "layout/formats/ckpt.h"

#define ABOUT_NO_RANK (-1)

/* A source file, by its number. */
struct about_source {
	const char *path;
	int64_t rank; /* whose file it is, or ABOUT_NO_RANK */
	const struct ckpt_splice *splices; /* [splice_count] by logical (ckpt.h); none in most files */
	uint64_t splice_count;
};

struct about {
	const struct tensor *tensor;
	const struct about_source *sources; /* as the pieces number them */
	const struct corners *corners; /* NULL: the JSON has none */
};

/* The rank of a file in a rank_N folder, by its path, or ABOUT_NO_RANK. */
int64_t about_rank(const char *path);

/* A range of bytes of a piece. */
struct about_range {
	uint64_t offset, len; /* in the file */
	uint64_t done;        /* bytes of the piece up to the end of this range */
};

/* The range of a piece of `bytes` bytes, in source `s`, that follows *r, which is all 0 before the first; false behind the last. */
bool about_next_range(const struct about_source *s, const struct piece *piece, uint64_t bytes, struct about_range *r);

/* What of a tensor corners_read() needs to know. */
struct corners_array about_array(const struct tensor *tensor);

/* text->failed says whether there was memory. */
void about_text(const struct about *about, struct text *text);
void about_json(const struct about *about, struct text *text);

#endif
