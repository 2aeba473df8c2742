/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keys of metadata.json's storage_data: a parameter's name and the number of a slice, as Python writes a tuple of them:
 * ('model.norm.weight', (0,)).
 */
#ifndef LAYOUT_SHARD_ID_H
#define LAYOUT_SHARD_ID_H

#include "layout/base/arena.h"
#include "layout/base/error.h"

struct shard_id {
	const char *name;
	uint64_t slice;
};

/* Parses a key; the name is in `arena`. A tuple of several numbers must be of zeros, and is slice 0. -EINVAL or -ENOMEM. */
int shard_id_parse(const char *key, struct arena *arena, struct shard_id *out, struct error *err);

#endif
