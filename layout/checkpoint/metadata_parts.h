/* SPDX-License-Identifier: Apache-2.0 */
/* What has been read of a metadata.json while it is being read. Private to metadata*.c. */
#ifndef LAYOUT_METADATA_PARTS_H
#define LAYOUT_METADATA_PARTS_H

#include <stdlib.h>

#include "layout/base/names.h"
#include "layout/checkpoint/metadata.h"
#include "layout/formats/devices.h"

/* A slice in a file. */
struct metadata_place {
	uint32_t tensor; /* NAMES_NONE: not described */
	uint32_t slice;  /* less than the tensor's slices */
	uint32_t rank;   /* that stored it */
};

struct metadata_parts {
	struct arena *arena;
	struct names names;              /* of the tensors: their numbers */
	struct metadata_tensor *tensors; /* [count] */
	uint64_t count;
	struct names file_names;
	struct metadata_file *files; /* [file_names.count] */
	uint64_t file_room;
	struct metadata_place *places; /* [place_count] */
	uint64_t place_count, place_room;
	uint32_t last_rank; /* the highest that is named anywhere */
	uint32_t per_stage; /* set by metadata_parts_strategy() */
};

/* Gives every tensor with a layout its struct layout, compares the places with them, and makes the strategy of it all. */
int metadata_parts_strategy(struct metadata_parts *p, const char *path, const struct strategy **out, struct error *err);

#endif
