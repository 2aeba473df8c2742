/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A view is a function from a checkpoint to a directory of images; each builder is a file of its own (view_*.c).
 *
 * Invariants: paths are unique, relative, with '/' between folders; the same checkpoint and options give the same bytes on
 * every host.
 */
#ifndef LAYOUT_VIEW_H
#define LAYOUT_VIEW_H

#include "layout/checkpoint/checkpoint.h"
#include "layout/view/image.h"

struct view_file {
	const char *path; /* "model-00001-of-00002.safetensors" */
	const struct image *image;
};

struct view {
	struct view_file *files; /* [count] */
	uint64_t count, capacity;
};

enum view_index {
	VIEW_INDEX_MS, /* param_name_map.json and hyper_param.safetensors */
	VIEW_INDEX_HF, /* model.safetensors.index.json */
};

struct view_options {
	uint64_t part_size; /* most bytes of tensors in a part; a larger tensor has a part of its own */
	enum view_index index;
};

struct view_rank_options {
	const struct strategy *target; /* NULL: every rank has every tensor whole */
	const struct strategy *source; /* of the checkpoint; NULL where it has none */
	const uint32_t *ranks;         /* [rank_count] of the target that are shown, ascending */
	uint64_t rank_count;
	const char *prefix;            /* of file names */
	bool counted;                  /* epoch and step are known: they are in the file names, and meta.json is there */
	uint64_t epoch, step;
};

/* A tensor's block under a name, as a safetensors image holds it. */
struct view_item {
	const struct tensor *tensor;
	const struct grid *grid; /* lives as long as the view */
	uint32_t block;
	const struct layout *layout;            /* NULL, or says which block each of several ranks has; grid is its grid */
	const struct checkpoint_copies *copies; /* NULL, or of which each rank has one; `tensor` is [copies->count] of them */
};

/* Adds a file; `path` must live as long as the view. 0 or -ENOMEM. */
int view_add(struct view *view, struct arena *arena, const char *path, const struct image *image, struct error *err);

/* Adds a file of bytes of ours, which must live as long as the view. */
int view_add_literal(struct view *view, struct arena *arena, const char *path, struct bytes literal, struct error *err);

/*
 * The image of a safetensors file of `items` [count], which this function sorts: wider types first, so that every tensor is aligned
 * without holes, and otherwise in the order given.
 */
int view_safetensors(struct arena *arena, struct view_item *items, uint64_t count, const struct pairs *meta, struct image **out, struct error *err);

/* Adds such a file. */
int view_add_safetensors(struct view *view, struct arena *arena, const char *path, struct view_item *items, uint64_t count,
			 const struct pairs *meta, struct error *err);

/*
 * The metadata of a gathered file of `items`: what the sources say, but for what is no longer true (crc_num, remove_redundancy).
 * A key that is a tensor's name marks that tensor (MindSpore's {name: "Int4"}), so it goes where the tensor goes. `format` NULL
 * is the sources' own. 0 or -ENOMEM.
 */
int view_meta(const struct checkpoint *ckpt, const char *format, const struct view_item *items, uint64_t count, struct pairs *meta);

/* The grids that cut nothing, by number of axes: [BOX_AXES + 1], in `arena`. NULL without memory. */
const struct grid *view_uncut(struct arena *arena);

/* The model as one directory. The view points into the checkpoint, which must live as long. */
int view_unified(const struct checkpoint *ckpt, const struct view_options *options, struct arena *arena, struct view *out, struct error *err);

/*
 * The model as rank_N/ folders of the target strategy, each with PREFIX_rank_N[-EPOCH_STEP].safetensors and meta.json. -EINVAL
 * when the target does not fit the tensors, or has none of them.
 */
int view_ranks(const struct checkpoint *ckpt, const struct view_rank_options *options, struct arena *arena, struct view *out,
	       struct error *err);

/*
 * checkpoint_needs.reads of a rank view: target and ranks of the view_rank_options that `view` points to are all it looks at. For
 * targets that know the tensors by the names that the files give them.
 */
bool view_ranks_reads(const void *view, const char *name, const uint64_t *shape, uint32_t axes, const struct box *box);

#endif
