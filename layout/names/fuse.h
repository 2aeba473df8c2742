/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One woven line of a recipe, applied: MindSpore's tensor of Hugging Face's, and back.
 *
 * The tensors of Hugging Face's side that a line takes are numbered: its slots are the parts, and within a part the values of the
 * indexes that count along a factor (experts).
 *
 * Layers are alike: a weave that was made of tensors of some shapes and types is right for all others of these, and is theirs too.
 */
#ifndef LAYOUT_FUSE_H
#define LAYOUT_FUSE_H

#include "layout/names/figures.h"
#include "layout/names/weave.h"

/* What has been made; the owner is the arena. */
struct fuse {
	const struct figures *figures;
	struct arena *arena;
	struct tensor **made;  /* [lines of the recipe] the last tensor of MindSpore's side; its name is NULL before the first */
	struct tensor **split; /* [lines of the recipe] likewise those of Hugging Face's side [slots] */
};

/* 0, or -ENOMEM. */
int fuse_begin(struct fuse *fuse, const struct figures *figures, struct arena *arena);

/* How many tensors of Hugging Face's side the line takes. */
uint64_t fuse_slots(const struct figures *figures, const struct recipe_line *line);

/* The slot of the tensor that is this part of the line under these values of indexes. */
uint64_t fuse_slot(const struct figures *figures, const struct recipe_line *line, uint32_t part, const uint64_t *values);

/* The reverse: the part of a slot; sets the values of the indexes that count along a factor. */
uint32_t fuse_part(const struct figures *figures, const struct recipe_line *line, uint64_t slot, uint64_t *values);

/* Makes the tensor `name` of MindSpore's side of `sources` [slots]. -EINVAL when shapes do not fit, -ENOMEM. */
int fuse_make(struct fuse *fuse, const struct recipe_line *line, const char *name, const struct tensor *const *sources, struct tensor *out,
	      struct error *err);

/* Makes the tensor `name` of Hugging Face's side, the one of `slot`, of MindSpore's `source`. */
int fuse_split(struct fuse *fuse, const struct recipe_line *line, const char *name, uint64_t slot, const struct tensor *source,
	       struct tensor *out, struct error *err);

#endif
