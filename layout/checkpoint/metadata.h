/* SPDX-License-Identifier: Apache-2.0 */
/*
 * metadata.json of a MindSpore Transformers 2.x iteration: how each parameter is cut, and which file each slice is in. Format:
 * mindformers/checkpoint/metadata.py. A slice is told by its number, counted over the device axes of the tensor map from the right:
 * the number of a block of the layout's grid.
 *
 * What it says is a strategy: position i in a layout's rank_list is device i, and a file is one rank's. A parameter without a layout
 * is whole on every rank that stores it. As in MindSpore Transformers' own reader, the ranks of rank_list hold the tensor, and what
 * ranks of other stages store is not looked at.
 *
 * Invariants, established by metadata_parse(): the pieces of every parameter are those of its layout; chunks are all of these slices,
 * once each; the rank that stores a slice is one that holds it; names of files are plain, and each file is of one rank.
 */
#ifndef LAYOUT_METADATA_H
#define LAYOUT_METADATA_H

#include "layout/base/names.h"
#include "layout/checkpoint/checkpoint.h"
#include "layout/formats/json_layout.h"

struct metadata_tensor {
	const char *name;
	const uint64_t *shape; /* [axes] of the whole tensor */
	uint64_t *cuts;        /* [axes] axis_fragmentations; their product is `slices` */
	uint32_t slices;
	uint32_t axes;
	bool typed;            /* `dtype` is known; else it is one that safetensors has no name for */
	enum dtype dtype;
	bool cut;              /* it has a layout: `raw`, and `layout` when all are known */
	struct json_layout raw;
	const struct layout *layout;
};

struct metadata_file {
	const char *name;
	uint32_t rank;
};

struct metadata {
	const struct metadata_tensor *tensors; /* [count] */
	uint64_t count;
	struct names names;                    /* of the tensors: their numbers */
	const struct metadata_file *files; /* [file_count], by rank, then name */
	uint64_t file_count;
	const struct strategy *strategy;
};

/*
 * Parses and checks the file, called `path` in messages about the strategy that it makes. Everything is in `arena`; nothing points into
 * `text`. -EINVAL with parameter and field named, or -ENOMEM.
 */
int metadata_parse(struct bytes text, const char *path, struct arena *arena, struct metadata **out, struct error *err);

/* 0 when the tensors that were put together have the shapes and types that the metadata gives them; -EINVAL. */
int metadata_check(const struct metadata *md, const struct checkpoint *ckpt, struct error *err);

#endif
