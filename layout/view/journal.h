/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The journal of an export: a text file that tells what it was begun from and what of it is written, so that an interrupted export
 * can go on. It only grows, a line at a time, and may end anywhere:
 *
 *   gatherfs-export 1 ID                 8 hexadecimal digits, for the names of temporary files
 *   sources FINGERPRINT                  the files that the bytes come from
 *   view FINGERPRINT                     what is made of them
 *   chunk NUMBER FINGERPRINT             JOURNAL_CHUNK bytes of a file, counted over all files, and what was written there
 *   file NUMBER INODE SECONDS NANOS      the file is written, and on disk; how to know it again
 *
 * A journal is believed in nothing that harm could follow from. Whoever reads it compares a chunk's fingerprint with the bytes on
 * disk, and a file's inode and mtime with the file; the numbers are inside the bounds that the reader gives.
 */
#ifndef LAYOUT_JOURNAL_H
#define LAYOUT_JOURNAL_H

#include "layout/base/bytes.h"
#include "layout/base/text.h"
#include "layout/view/fingerprint.h"

#define JOURNAL_CHUNK (UINT64_C(8) << 20) /* bytes; the last one of a file is shorter, an empty file has one of none */
#define JOURNAL_ID 9                      /* 8 digits and a NUL */
#define JOURNAL_LINE_MAX 96               /* bytes: no line is longer */

struct journal_head {
	char id[JOURNAL_ID];
	struct fingerprint sources, view;
};

struct journal_chunk {
	struct fingerprint print;
	bool known;
};

struct journal_file {
	uint64_t inode, seconds; /* of the mtime; before 1970 as they are in 64 bits */
	uint32_t nanos;
	bool known;
};

/* What the lines behind the head say; the last one about a thing counts. */
struct journal {
	struct journal_chunk *chunks; /* [chunk_count] */
	struct journal_file *files;   /* [file_count] */
	uint64_t chunk_count, file_count;
};

/* The head of a journal; *used is its length. -EINVAL when it is none that this version wrote. */
int journal_parse_head(struct bytes text, struct journal_head *out, uint64_t *used, struct error *err);

/*
 * The lines behind the head, `text` begins with them, into arrays that the caller made and counted. Reading ends at the first line
 * that is not whole or not right; the length of all before it is returned.
 */
uint64_t journal_parse(struct bytes text, struct journal *out);

void journal_add_head(struct text *text, const struct journal_head *head);
void journal_add_chunk(struct text *text, uint64_t number, struct fingerprint print);
void journal_add_file(struct text *text, uint64_t number, const struct journal_file *file);

#endif
