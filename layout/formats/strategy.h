/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Strategies: how MindSpore cut each parameter over the devices of each pipeline stage. Formats: node_strategy.proto
 * (ParallelStrategyMap) and MindSpore's JSON form of it; merging rules: `merge_pipeline_strategys`.
 *
 * A layout is a device matrix and, for each tensor axis, the device axes that cut it. Invariants, established by the
 * parsers: matrix entries are at least 1; every device axis is used by at most one tensor axis; the optimizer
 * shards divide the ranks that hold one block; layouts with axes 0 have no optimizer shards.
 *
 * A strategy unites the files of all stages. Invariants, established by strategy_unite(): stages are 0..stages-1 without
 * holes; all layouts have the same number of devices, per_stage; (name, stage) is unique; entries are sorted by name
 * (bytes), then stage. Equal layouts are one object; each of 0 .. layout_count-1 is the number of one of them.
 */
#ifndef LAYOUT_STRATEGY_H
#define LAYOUT_STRATEGY_H

#include "layout/base/arena.h"
#include "layout/base/box.h"
#include "layout/base/bytes.h"
#include "layout/base/error.h"

struct layout {
	uint32_t number;             /* among the layouts of its strategy */
	uint32_t devices;            /* product of matrix */
	uint32_t matrix_axes, axes;  /* of the device matrix, of the tensor */
	const uint32_t *matrix;      /* [matrix_axes], last axis fastest in rank order */
	const uint32_t *map_len;     /* [axes]: how many device axes cut this tensor axis */
	const uint32_t *map;         /* concatenated over the axes, most significant first: positions in `matrix` */
	int32_t opt_step, opt_size;  /* as in the file: off when either is 0 */
	uint32_t opt_shards;         /* S: pieces that axis 0 of a block is cut into again; 1 when off */
	bool nested;                 /* written as a nested tensor map */
	struct grid grid;            /* the blocks: axis 0 times opt_shards */
};

struct strategy_entry {
	const char *name;
	uint32_t stage;
	const struct layout *layout;
};

/* One parsed file. */
struct strategy_file {
	const char *path;                /* for messages; the caller sets it after parsing, and it must live until the files are united */
	struct strategy_entry *entries;  /* [count], in the file's order; stage as the file says */
	uint64_t count;
	bool merged;                     /* entries have "N-" cut off their names, and stage N */
};

struct strategy {
	const struct strategy_entry *entries; /* [count] */
	uint64_t count;
	uint32_t stages, per_stage; /* world = stages * per_stage */
	uint32_t layout_count;
	const uint32_t *index;      /* hash index over names; strategy_find() only */
	uint64_t index_size;
};

/*
 * Parse one file: protobuf or JSON. Everything lives in `arena`. -EINVAL with parameter and field named, -ENOMEM.
 *
 * The stage of a file is that of its first operator (parallel_strategy_item). A file is merged when every name starts with a
 * number and '-', and these numbers are 0..n-1 without holes. With holes it is refused when current_stage is 1, as
 * merge_pipeline_strategys writes it: a stage is missing. Else it is one stage's file with parameters of such names ("1-w"),
 * which MindSpore itself would take for a merged one.
 */
int strategy_parse_pb(struct bytes file, struct arena *arena, struct strategy_file *out, struct error *err);
int strategy_parse_json(struct bytes file, struct arena *arena, struct strategy_file *out, struct error *err);

/*
 * Unites files: one, one a rank, one a stage, a merged one beside them. Those that have a stage must have the same parameters
 * with the same layouts there, in any order. -EINVAL with files, parameter and field named.
 */
int strategy_unite(const struct strategy_file *files, uint64_t count, struct arena *arena, struct strategy **out, struct error *err);

/* Entries of `name`: *count of them, adjacent, by ascending stage; NULL when there is none. */
const struct strategy_entry *strategy_find(const struct strategy *strategy, const char *name, uint64_t *count);

/* The united strategy as a merged protobuf file ("N-name", current_stage 1) that MindSpore reads. */
int strategy_write(const struct strategy *strategy, struct arena *arena, struct bytes *out, struct error *err);

#endif
