/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A checkpoint: tensors, and for each block of each tensor the piece of a source file that holds it.
 *
 * Invariants, established by checkpoint_finish(): every block of every tensor has a piece; all pieces of a tensor have the
 * dtype of the tensor and the bytes of its block; block boundaries lie on whole bytes; names are unique over tensors and
 * outside together; both lists are in natural order; all tensors together have at most CHECKPOINT_BYTES_MAX bytes. A block's
 * piece is that of the first rank of its replica group that holds it, within the lowest stage that holds the whole tensor. Only
 * with checkpoint_options.needs may a tensor have holes: blocks that nobody will read, and whose pieces mean nothing.
 *
 * Built once by a checkpoint_builder, then read-only.
 */
#ifndef LAYOUT_CHECKPOINT_H
#define LAYOUT_CHECKPOINT_H

#include "layout/base/arena.h"
#include "layout/base/error.h"
#include "layout/formats/safetensors.h"
#include "layout/formats/strategy.h"

#define CHECKPOINT_OUTSIDE_MAX (UINT64_C(1) << 20) /* bytes: a larger tensor outside the strategy may be a slice */
#define CHECKPOINT_BYTES_MAX (UINT64_C(1) << 60)   /* of all tensors together, so that no size of an image can overflow */

#define CHECKPOINT_NO_SOURCE UINT32_MAX /* source of a piece that no file has; only in a tensor with holes */

struct piece {
	uint64_t offset; /* bytes from the start of the source file */
	uint32_t source; /* the caller's number of the file */
};

/* The copies that ranks have of one tensor, or of their blocks of it. */
struct checkpoint_copies {
	const struct checkpoint_copy {
		uint32_t rank;
		struct piece piece;
	} *list; /* [count], by rank */
	uint32_t count;
};

/* What the files of one stage hold of a tensor: a block each; which one, checkpoint_block() tells. */
struct checkpoint_holding {
	struct checkpoint_copies copies;
	const struct layout *layout; /* NULL: each holds the whole tensor */
	uint32_t stage;
};

struct tensor {
	const char *name;           /* in views */
	const char *source_name;    /* in the files and in their strategy */
	const uint64_t *shape;      /* [axes], elements */
	const struct piece *pieces; /* [grid.blocks]; none when it is woven or literal */
	const struct woven *woven;  /* how it is made of other tensors, and of which (weave.h); NULL for one that the sources hold */
	const uint8_t *literal;     /* its bytes, where no source has it (a counter from a JSON file); then it has no pieces */
	struct grid grid;
	uint64_t bytes;
	enum dtype dtype;
	uint32_t axes;
	uint32_t holes;             /* blocks without a piece; 0 unless checkpoint_options.needs */
	uint32_t holding_count;
	const struct checkpoint_holding *holdings; /* [holding_count] by stage; none unless checkpoint_options.keep_copies */
};

struct checkpoint {
	struct tensor *tensors; /* the model's parameters */
	uint64_t count;
	const struct tensor *outside; /* parameters outside the strategy (counters), whole, of the lowest rank there is */
	const struct checkpoint_copies *copies; /* [outside_count] of each of them; they may differ (a loss scale, a learning rate) */
	uint64_t outside_count;
	const struct pair *meta; /* united metadata of the sources, by first source that has the key */
	uint64_t meta_count;
	const struct pair *notes; /* names that are left out, and why: filtered, accumulators, in the strategy but in no file ... */
	uint64_t note_count;
};

enum checkpoint_kind {
	CHECKPOINT_SHARDED,    /* each file is a rank's, cut as the strategy says */
	CHECKPOINT_REPLICATED, /* each file is a rank's and holds whole tensors; the first rank that has one serves it */
	CHECKPOINT_UNIFIED,    /* files hold whole tensors, each tensor in one file */
};

/* What a view will read of a checkpoint, where that is not all of it. */
struct checkpoint_needs {
	/* True when bytes of `box` of the tensor that the files call `name`, of `shape` [axes], are read; box NULL: any bytes of it at all. */
	bool (*reads)(const void *view, const char *name, const uint64_t *shape, uint32_t axes, const struct box *box);
	const void *view;
};

struct checkpoint_options {
	enum checkpoint_kind kind;
	const struct strategy *strategy; /* of CHECKPOINT_SHARDED, else NULL */
	const char *const *filter;       /* [filter_count] name prefixes to drop */
	uint64_t filter_count;
	const struct checkpoint_needs *needs; /* blocks that it does not read may be held by no file; NULL: all blocks must be there */
	bool outside_rank0;              /* trust rank 0 for tensors outside the strategy, whatever their shapes */
	bool keep_copies;                /* for those who want to know of every copy: fill tensor.holdings */
};

/* One source file, as checkpoint_add() takes it. */
struct checkpoint_file {
	const char *path; /* for messages; must live as long as the builder */
	uint32_t rank;    /* ascending over calls; 0 for CHECKPOINT_UNIFIED */
	uint32_t source;  /* the caller's number of the file, for its pieces */
	uint64_t entries; /* the same only for files whose headers have the same entries, so that names are looked up once; 0: not known */
	bool outside;     /* CHECKPOINT_UNIFIED: the file is hyper_param.safetensors */
};

struct checkpoint_builder;

/* Starts a checkpoint in `arena`. NULL without memory. `options` must outlive the builder; free with checkpoint_abandon() unless finished. */
struct checkpoint_builder *checkpoint_begin(struct arena *arena, const struct checkpoint_options *options);

/*
 * Adds one file. `st` is needed only during the call; offsets become those in the file. -EINVAL when it contradicts the
 * strategy or an earlier file; the message then begins with the path.
 */
int checkpoint_add(struct checkpoint_builder *builder, const struct checkpoint_file *file, const struct safetensors *st,
		   struct error *err);

/* Notes a name that is in a file and cannot be shown, and why. 0 or -ENOMEM. */
int checkpoint_leave_out(struct checkpoint_builder *builder, const char *name, const char *why, struct error *err);

/*
 * Proves the invariants. -EINVAL, and -ENODATA when a block has no piece (the message names the ranks that
 * would hold it), or ranks that are not here may hold a parameter that no file has. Frees the builder in any case.
 */
int checkpoint_finish(struct checkpoint_builder *builder, struct checkpoint **out, struct error *err);

void checkpoint_abandon(struct checkpoint_builder *builder);

/* The block that `rank` has of what a holding holds. */
uint32_t checkpoint_block(const struct checkpoint_holding *holding, uint32_t rank);

/* Puts tensors into natural order. -ENOMEM. */
int checkpoint_sort(struct tensor *list, uint64_t count, struct error *err);

/* The tensor called `name` among `count` in natural order, or NULL. */
const struct tensor *checkpoint_find(const struct tensor *tensors, uint64_t count, const char *name);

#endif
