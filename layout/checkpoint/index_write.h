/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Making an index (index.h). What is written depends on what was added and not on the order, but for the numbers of headers.
 */
#ifndef LAYOUT_INDEX_WRITE_H
#define LAYOUT_INDEX_WRITE_H

#include "layout/base/text.h"
#include "layout/checkpoint/index.h"

struct index_write;

/* An index without files. NULL without memory. index_write_free(NULL) is allowed. */
struct index_write *index_write_new(bool shared);
void index_write_free(struct index_write *w);

/*
 * Adds a header of a file of `file_size` bytes, whose number is *number; copies it. `is_ckpt` says whose rules it keeps.
 * A header that is equal to an earlier one gets its number. 0, -ENOMEM, or -E2BIG.
 */
int index_write_header(struct index_write *w, const struct ckpt *header, bool is_ckpt, uint64_t file_size, uint32_t *number,
		       struct error *err);

/* Adds a file, whose header was added; of a shared index without device, inode and ctime. 0 or -ENOMEM. */
int index_write_file(struct index_write *w, const char *path, const struct index_file *file, struct error *err);

/* The whole index into *out (malloc'ed: text_free()). -EEXIST for a path that was added twice, -E2BIG, -ENOMEM. */
int index_write_finish(struct index_write *w, struct text *out, struct error *err);

#endif
