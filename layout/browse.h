/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tensors as files in folders: `model.layers.0.weight` is model/layers/0/weight, with an ending for each kind of file.
 *
 * Parts of a name between dots become the parts of its path, as they are but for what no path can have or no terminal should get:
 *   %XX  the byte XX: '%' itself, '/', NUL never occurs, control characters (C0, DEL, C1), bytes that are no UTF-8
 *   %    alone: an empty part
 *   ...% at the end of a longer part: the part was too long, and goes on in the next one
 * Parts have no dot and endings have one, so a tensor `a.b` (file a/b.txt) and a tensor `a.b.c` (in folder a/b) never meet, and no
 * file there ends in .safetensors. Escaping is a bijection between names and the paths that browse_unescape() takes.
 *
 * An index is the tensors by path. Invariants: sorted by part, so that the contents of every folder are one range of it; a folder
 * needs no node of its own, and listing one costs what is in it.
 */
#ifndef LAYOUT_BROWSE_H
#define LAYOUT_BROWSE_H

#include "layout/checkpoint.h"

#define BROWSE_PART_MAX 250 /* bytes of a part: with the longest ending it is a name of 255 bytes */

enum browse_kind {
	BROWSE_TXT,
	BROWSE_JSON,
	BROWSE_NPY,
	BROWSE_BIN,
	BROWSE_KINDS
};

/* The path of a tensor, without an ending, in `arena`; NULL without memory. */
const char *browse_escape(const char *name, struct arena *arena);

/* The name that has this path, *name in `arena`. -EINVAL when none has, -ENOMEM. */
int browse_unescape(const char *path, struct arena *arena, const char **name);

/* The ending of a kind of file: ".txt". A static string. */
const char *browse_ending(enum browse_kind kind);

/* Takes a file's name apart: its kind, and in *stem how many bytes stand before the ending. False for any other name. */
bool browse_file(const char *file, uint64_t *stem, enum browse_kind *kind);

struct browse_entry {
	const char *path; /* without an ending */
	const struct tensor *tensor;
};

struct browse_index {
	struct browse_entry *entries; /* [count] by path; a tensor's place in it can be its number */
	uint64_t count;
};

/* The index of all tensors of a checkpoint, parameters and those outside the strategy, in `arena`. 0 or -ENOMEM. */
int browse_index(const struct checkpoint *ckpt, struct arena *arena, struct browse_index *out);

/* A folder: a range of the index, all of whose paths begin with the same `skip` bytes, the last of which is a '/'. */
struct browse_folder {
	uint64_t first, end;
	uint64_t skip;
};

/* One thing in a folder: a tensor, which stands for a file of each kind, or a folder. Both may have the same name. */
struct browse_child {
	const char *name; /* not NUL-terminated: */
	uint64_t len;     /* its bytes, without an ending */
	bool is_folder;
	struct browse_folder folder; /* is_folder; folder.first and folder.skip together are unique among folders */
	uint64_t entry;              /* !is_folder: place in the index */
};

/* The folder that all is in: tensors/. */
struct browse_folder browse_root(const struct browse_index *index);

/* What follows `*at` in the folder (begin with folder->first), and moves *at behind it; false at the end. */
bool browse_next(const struct browse_index *index, const struct browse_folder *folder, uint64_t *at, struct browse_child *out);

/* The folder, or the tensor, that has this name [len], no ending, in `folder`; false when there is none. By bisection. */
bool browse_find(const struct browse_index *index, const struct browse_folder *folder, const char *name, uint64_t len, bool is_folder,
		 struct browse_child *out);

#endif
