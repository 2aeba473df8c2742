/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A model is what a mount serves: the sources, what was understood of them, and the view as a tree of images. load_model()
 * fills it once; from then on it is read-only but for the list of problems, so requests share it without a lock.
 *
 * Ownership: the arena owns everything below that is not said to have a free function of its own.
 */
#ifndef FS_MODEL_H
#define FS_MODEL_H

#include "fs/base/problem.h"
#include "fs/model/tensors.h"
#include "fs/model/tree.h"
#include "fs/source/source.h"
#include "layout/checkpoint/checkpoint.h"
#include "layout/formats/strategy.h"
#include "layout/view/view.h"

struct model_texts {
	const char *const *list; /* [count] */
	uint64_t count;
};

struct cache;
struct load_base;

struct model {
	struct arena *arena;       /* arena_free() */
	struct sources *sources;   /* source_list_free() */
	struct problems *problems; /* problem_list_free(); several models may share one */
	uint32_t first_problem;    /* where its sources begin among those of all models that share it */
	struct load_base *base;    /* load_base_free(), which has the strategies; NULL where several models share them */

	struct cache *cache;       /* of headers; cache_free(); NULL without one */

	const struct strategy *strategy;     /* NULL without one */
	struct checkpoint *checkpoint;       /* NULL for a unified directory that is shown file by file */
	struct view view;                    /* with ".gatherfs/strategy.ckpt" when there is a strategy */
	struct tree tree;                    /* of the view; tree_build() by whoever serves the model */
	struct tensors *tensors;             /* what is behind its door; tensors_free() */

	uid_t uid; /* what every node shows */
	gid_t gid;
	mode_t file_mode, dir_mode; /* permission bits */
	struct timespec mtime;      /* the newest of the sources */

	/* For people: .gatherfs/status and what `mount` says. */
	const char *kind;                  /* "distributed, 8 ranks", "unified, shown as it is" ... */
	const char *names;                 /* "hf as mcore, by the recipe qwen3"; NULL where names are kept */
	const char *step;                  /* "1_100", NULL where there is none */
	const char *headers;               /* where the headers came from */
	struct model_texts source_dirs;    /* SOURCE, absolute */
	struct model_texts strategy_files; /* that were used */
	struct model_texts warnings;       /* one sentence each */
};

/* An empty model with arena, sources and problems, or NULL without memory. model_free(NULL) is allowed. */
struct model *model_new(void);
void model_free(struct model *model);

#endif
