/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A layout as metadata.json writes one: {"device_matrix": [2, 2], "tensor_map": [0, -1], "interleaved_parallel": false,
 * "alias_name": ["dp", "mp"], "rank_list": [0, 1, 2, 3]}. An entry of the tensor map is a device axis from the right, -1, or a list
 * of axes, the most significant first. Position i in rank_list is device i of the matrix.
 */
#ifndef LAYOUT_JSON_LAYOUT_H
#define LAYOUT_JSON_LAYOUT_H

#include "layout/base/json.h"
#include "layout/formats/pb.h"

struct json_layout {
	struct pb_layout_item item; /* in `arena`; its dev_matrix has room for one more number in front */
	uint32_t first, count;      /* rank_list is first .. first + count - 1, and count divides first */
};

/*
 * Reads and checks `v`; what the matrix and the map say together is left to devices_layout(). -EINVAL with the field named: also when
 * the ranks are not one stage's, in order, which is a layout that no strategy can express.
 */
int json_layout_read(const json *v, struct arena *arena, struct json_layout *out, struct error *err);

/* Spreads the layout over `devices`, a multiple of its own, as replicas. Once only. */
void json_layout_spread(struct json_layout *layout, uint32_t devices);

#endif
