/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files seen so far say of one tensor, as one stage's ranks hold it: its type and the shape of a slice, and the pieces.
 *
 * Invariants, kept by held_add(): all files agree on type and shape; a block's piece is of the first file that had it.
 * Private to the building of a checkpoint.
 */
#ifndef LAYOUT_HELD_H
#define LAYOUT_HELD_H

#include "layout/base/names.h"
#include "layout/checkpoint/checkpoint.h"

#define HELD_NO_SOURCE CHECKPOINT_NO_SOURCE
#define HELD_SHAPE_TEXT 256

struct held {
	const char *name;
	const char *path;      /* first file that has it */
	const uint64_t *shape; /* [axes] of a slice; NULL until a file has it */
	struct piece *pieces;  /* [blocks] */
	uint32_t blocks, found;
	uint32_t rank; /* of the first file */
	uint32_t axes;
	enum dtype dtype;
	bool outside;
	struct checkpoint_copy *copies; /* [copy_count, room for copy_room] by rank, where the builder wants them */
	uint32_t copy_count;
	uint64_t copy_room;
};

/* Held tensors of one block, numbered by name. */
struct held_table {
	struct names names;
	struct held *list; /* [names.count, room for `room`], by number */
	uint64_t room;
};

struct held_table held_table_new(struct arena *arena);

/* The one called `name`, made if it is new; valid until the next call. NULL without memory. */
struct held *held_named(struct held_table *table, const char *name);

/* A tensor of `blocks` blocks that no file has yet. */
struct held held_new(const char *name, uint32_t blocks);

/* True when every block has a piece. */
bool held_is_whole(const struct held *held);

/* 0 when the entry has the type and shape that the first file had; -EINVAL. */
int held_agrees(const struct held *held, const struct safetensors_entry *entry, struct error *err);

/* Takes a file's entry, whose offsets are those in the file, as block `block`, unless an earlier file had that block. */
int held_add(struct held *held, const struct safetensors_entry *entry, const struct checkpoint_file *file, uint32_t block,
	     struct arena *arena, struct error *err);

/* The same for an entry that is known to have the type and shape that the first file had. */
void held_put(struct held *held, const struct safetensors_entry *entry, const struct checkpoint_file *file, uint32_t block);

/* True when every block that is read has a piece. */
bool held_is_enough(const struct held *held, const struct strategy_entry *entry, const struct checkpoint_needs *needs);

/* -ENODATA, with the first block that is read (needs NULL: any) and has no piece, and the ranks of `strategy` that `entry` gives it to. */
int held_missing(const struct held *held, const struct strategy *strategy, const struct strategy_entry *entry,
		 const struct checkpoint_needs *needs, struct error *err);

/* The tensor of which this one, whole, holds the slices of `layout`, or that it holds as it is (layout NULL). Points into `held`'s parts. */
int held_tensor(const struct held *held, const struct layout *layout, struct arena *arena, struct tensor *out, struct error *err);

/*
 * 0 when the slices that a stage holds, cut as its entry says, are of `tensor`, which another stage serves; -EINVAL. Stages that
 * share a parameter may cut it differently, but it must be one tensor.
 */
int held_is_of(const struct held *held, const struct strategy_entry *entry, const struct tensor *tensor, struct error *err);

/* Notes the copy, of a tensor or of a block of it, that a file has. 0 or -ENOMEM. */
int held_add_copy(struct held *held, const struct safetensors_entry *entry, const struct checkpoint_file *file, struct arena *arena,
		  struct error *err);

/*
 * Fills the holdings of a tensor: `held` [count] are what stages hold of it, and `entries`, of a tensor of the strategy, how. 0 or
 * -ENOMEM.
 */
int held_tell(const struct held *held, const struct strategy_entry *entries, uint64_t count, struct arena *arena, struct tensor *out);

/* "[2, 3]" in `out` [HELD_SHAPE_TEXT], which is returned. */
const char *held_shape_text(char *out, const uint64_t *shape, uint32_t axes);

#endif
