/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tensors/: every tensor of a model as files in folders (browse.h). The tree of it is made when somebody first enters the folder,
 * for loaders never do; what a file holds is made when the file is opened.
 *
 * The tree's numbers follow those of the model's own tree. How many there can be is known without making it, so that the next
 * model's numbers begin behind them.
 */
#ifndef FS_TENSORS_H
#define FS_TENSORS_H

#include "fs/model/tree.h"

struct model;
struct tensors;

/* Nothing made yet; NULL without memory. tensors_free(NULL) is allowed. */
struct tensors *tensors_new(void);
void tensors_free(struct tensors *tensors);

/* How many numbers the tree may take; 0 for a model without tensors. */
uint64_t tensors_numbers(const struct model *model);

/* The number of its root. */
uint64_t tensors_number(const struct model *model);

/* How many folders its root has; 0 without memory. Tells it without making the tree: listing a mount does not. */
uint32_t tensors_folders(const struct model *model);

/* The tree, made now if it is not yet; NULL without memory or without tensors. From any thread. */
const struct tree *tensors_tree(const struct model *model);

/* The tree if it has been made, else NULL. */
const struct tree *tensors_made(const struct model *model);

/*
 * What a file of a tensor holds, as an image in `arena`. The texts read the corner values of the tensor: -EIO when a source has
 * changed; -ENOMEM.
 */
int tensors_image(const struct model *model, const struct tree_node *node, struct arena *arena, const struct image **out, struct error *err);

#endif
