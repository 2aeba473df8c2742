/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the kernel is told of a node, and for how long it may believe it. What a model shows is fixed, so the kernel may keep names,
 * attributes and pages as long as it likes; not so the status files, and the root of many, whose entries come and go.
 */
#ifndef FS_ATTR_H
#define FS_ATTR_H

#include "fs/serve/ops.h"

/* Attributes that need no work: what a listing has to tell of a node. */
void attr_describe(const struct ops *ops, const struct hub_node *at, struct stat *st);

/* All of them, and how many seconds they hold. */
double attr_of(const struct ops *ops, const struct hub_node *at, struct stat *st);

/* A node as the answer to a look-up of a name in `dir`. */
void attr_entry(const struct ops *ops, const struct hub_node *dir, const struct hub_node *at, struct fuse_entry_param *e);

/* For how many seconds it holds that `dir` has no such name. */
double attr_absence(const struct ops *ops, const struct hub_node *dir);

/* True for a file of .gatherfs/ that is written when it is opened. */
bool attr_is_text(const struct tree_node *node);

/* Writes such a file as it is now. */
void attr_text(const struct ops *ops, const struct hub_node *at, struct text *text);

#endif
