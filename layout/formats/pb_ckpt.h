/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The wire form of a .ckpt file (ckpt.proto), value by value. Beside pb.c the only user of nanopb. It knows the form and nothing of
 * what the values mean: ckpt.c checks them.
 *
 * Contents are stepped over, never touched: of a mapped file only the pages that hold headers are read.
 */
#ifndef LAYOUT_PB_CKPT_H
#define LAYOUT_PB_CKPT_H

#include "layout/base/box.h"
#include "layout/base/bytes.h"
#include "layout/base/error.h"

/* Where a walk over a file is: begins as { .file = file }. */
struct pb_ckpt {
	struct bytes file;
	uint64_t at;    /* bytes that are read */
	uint64_t count; /* of values that are read */
};

/* One Value. */
struct pb_ckpt_value {
	struct bytes name; /* in the file; valid UTF-8, not empty, no NUL */
	bool map;          /* a maptensor, whose parts are not looked at: nothing of what follows is set */
	struct bytes type; /* in the file; any bytes */
	int64_t dim[BOX_AXES];
	uint32_t axes;
	uint64_t offset, len; /* bytes of the content in the file */
};

/*
 * The next value: 1, or 0 at the end of the file. -EINVAL with value and field named when the bytes are cut off or are no such
 * message, a field is missing or there twice, a name is not as said above, or a tensor has more than BOX_AXES axes.
 */
int pb_ckpt_next(struct pb_ckpt *walk, struct pb_ckpt_value *out, struct error *err);

/* "parameter "NAME"" for a message; a long name is cut before it could push the reason out. Room for PB_CKPT_LABEL bytes. */
#define PB_CKPT_LABEL 600
void pb_ckpt_label(const struct pb_ckpt_value *value, char *label);

#endif
