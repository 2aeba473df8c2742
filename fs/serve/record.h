/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What .gatherfs/ tells other tools of a model: its source files, where every part of every tensor lies in them (enough to gather the
 * tensors without gatherfs), and what this folder is.
 */
#ifndef FS_RECORD_H
#define FS_RECORD_H

#include "fs/model/model.h"
#include "layout/base/text.h"

/* Writes the file of this kind (TREE_SOURCES, TREE_LAYOUT, TREE_README); text->failed says whether there was memory. */
void record_write(const struct model *model, enum tree_kind kind, struct text *text);

#endif
