/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Extended attributes, user.gatherfs.*: what a file of tensors/ or an image is made of.
 *
 *   name dtype shape   of a tensor's files
 *   tensors            how many an image holds
 *   sources            the files that its bytes come from, one a line
 *   xxh3               XXH3-128 of the whole file; it has to be read for that, so listings leave this name out
 */
#ifndef FS_XATTR_H
#define FS_XATTR_H

#include "fs/serve/hub.h"
#include "layout/base/text.h"

/* The names of a node's attributes, each with a NUL behind it. */
void xattr_list(const struct hub_node *at, struct text *text);

/* The value of one. -ENODATA when the node has no such attribute; -ENOMEM; for xxh3 what reading says. */
int xattr_get(const struct hub_node *at, const char *name, struct text *text);

#endif
