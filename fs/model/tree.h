/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The directory tree of one model, made once from the paths of its view and then read-only.
 *
 * A node is a place in an array and its number for the kernel is `base` plus that place. So numbers need no table, no lock and
 * no count of look-ups, and a later tree of the same mount gets numbers of its own by starting at a higher base.
 *
 * Invariants: node 0 is the root; the children of a directory lie next to each other, sorted by the bytes of their names;
 * every file of the view is there once, and so are the status files, which are made when they are opened.
 */
#ifndef FS_TREE_H
#define FS_TREE_H

#include <stdbool.h>
#include <stdint.h>

#include "layout/view/browse.h"
#include "layout/view/view.h"

enum tree_kind {
	TREE_DIR,
	TREE_IMAGE,       /* a file of the view */
	TREE_STATUS,      /* a text made at each open */
	TREE_STATUS_JSON, /* likewise */
	TREE_SOURCES,     /* what record.h writes at each open */
	TREE_LAYOUT,
	TREE_README,
	TREE_TENSOR,      /* a tensor, in one of the forms of browse.h; made when it is asked for */
	TREE_DOOR,        /* the folder tensors/ until somebody enters it: it is a tree of its own (tensors.h) */
	TREE_LINK,        /* a symbolic link, whose target is asked for each time; only hub.c makes it */
};

struct tree_node {
	const char *name; /* "" for the root */
	enum tree_kind kind;
	uint32_t parent;       /* place of the folder it is in; the root's is itself */
	uint32_t first, count; /* TREE_DIR: its children are nodes[first .. first + count) */
	uint32_t folders;      /* TREE_DIR: how many of them are folders */
	union {
		const struct image *image;   /* TREE_IMAGE */
		const struct tensor *tensor; /* TREE_TENSOR */
	};
	enum browse_kind form; /* TREE_TENSOR */
};

struct tree {
	const struct tree_node *nodes; /* [count] */
	uint32_t count;
	uint32_t door;  /* place of the door; 0: none */
	uint64_t base;  /* the root's number */
	uint64_t bytes; /* of all images together */
};

/* Where a tree stands: its first number, and the paths of its status files, records and door, NULL for a tree that has none. */
struct tree_place {
	uint64_t base;
	const char *status, *status_json, *sources, *layout, *readme, *door;
};

/* A file to come. */
struct tree_file {
	const char *path;
	enum tree_kind kind;
	union {
		const struct image *image;
		const struct tensor *tensor;
	};
	enum browse_kind form;
};

/*
 * Makes the tree of `view` in `arena`. -EINVAL for a path that cannot be a file's, or a name that is taken twice; -ENOMEM.
 * tree_build() is for a view that is a whole mount, with the status in .gatherfs/ and a door; tree_build_files() is for any files [count],
 * which it sorts.
 */
int tree_build_at(const struct view *view, const struct tree_place *place, struct arena *arena, struct tree *out, struct error *err);
int tree_build_files(struct tree_file *files, uint64_t count, uint64_t base, struct arena *arena, struct tree *out, struct error *err);
int tree_build(const struct view *view, uint64_t base, struct arena *arena, struct tree *out, struct error *err);

/* The node with the kernel's number `ino`, or NULL. */
const struct tree_node *tree_get(const struct tree *tree, uint64_t ino);

/* The kernel's number of a node of this tree. */
uint64_t tree_number(const struct tree *tree, const struct tree_node *node);

/* The child called `name`, or NULL. */
const struct tree_node *tree_find(const struct tree *tree, const struct tree_node *dir, const char *name);

#endif
