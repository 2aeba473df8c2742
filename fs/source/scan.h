/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Listing directories: names and kinds, nothing is opened. Links are followed, because Hugging Face's cache and many shared
 * folders are made of links. A link that leads nowhere, a pipe, a device or a folder is no weights file; where its name says that
 * it should be one, it is not stepped over but opened, for that tells what is wrong: half a model must not pass for a whole one.
 *
 * Invariants: entries are sorted by name (bytes), without "." and "..".
 */
#ifndef FS_SCAN_H
#define FS_SCAN_H

#include "fs/options/fence.h"
#include "layout/base/arena.h"
#include "layout/base/error.h"

#include <stdbool.h>

struct scan_entry {
	const char *name;
	uint64_t size; /* bytes, of a file */
	bool is_dir, is_file;
	bool is_there; /* as one of these or as something else; what has vanished since is not */
};

struct scan_list {
	struct scan_entry *entries; /* [count], in the arena */
	uint64_t count;
	const struct fence *fence;  /* that it was listed in, for what is found in it */
};

/* Lists a directory. The errno of opening it, -EXDEV outside the fence, or -ENOMEM. */
int scan_dir(const char *path, const struct fence *fence, struct arena *arena, struct scan_list *out, struct error *err);

/* True when `name` is longer than `suffix` and ends in it. */
bool scan_ends_in(const char *name, const char *suffix);

#endif
