/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One layout of a strategy file, checked: from the lists of numbers in the file to a struct layout whose invariants hold
 * (strategy.h). In the file, number t of a tensor map is the device axis t from the right, -1 none; in a struct layout it is the
 * position from the left.
 */
#ifndef LAYOUT_DEVICES_H
#define LAYOUT_DEVICES_H

#include "layout/formats/pb.h"
#include "layout/formats/strategy.h"

#define DEVICES_AXES PB_NUMBERS           /* of a device matrix */
#define DEVICES_MAX (UINT64_C(1) << 24)   /* in a strategy: no cluster has as many */
#define DEVICES_RANK "a rank below 2^24" /* for messages */

/* A layout with room of its own; layout's pointers point into it, so it must not be copied. */
struct devices {
	struct layout layout;
	uint32_t matrix[DEVICES_AXES], map[DEVICES_AXES];
	uint32_t map_len[BOX_AXES], cuts[BOX_AXES];
};

/* Checks an item; -EINVAL with the field named (callers put the parameter before it). */
int devices_layout(const struct pb_layout_item *item, struct devices *out, struct error *err);

/*
 * The lists of numbers that `layout` is written as: *out gets dev_matrix and tensor_map, in `arena`, and the optimizer's numbers.
 * 0 or -ENOMEM.
 */
int devices_item(const struct layout *layout, struct arena *arena, struct pb_layout_item *out);

#endif
