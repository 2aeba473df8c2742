/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From SOURCE and options to a model: list, choose a step, read strategies and headers, prove the checkpoint, build the view.
 * Everything that can be wrong with the input is found here, before any of it is shown.
 *
 * Strategies are read once for all models of a mount: a training that goes on may rewrite them, and steps that are shown side by
 * side must be cut alike. So they have an owner of their own, which outlives the models, and so has the list of problems, which
 * must not be forgotten with a step that is gone.
 */
#ifndef FS_LOAD_H
#define FS_LOAD_H

#include <pthread.h>

#include "fs/model/model.h"
#include "fs/options/options.h"
#include "fs/source/cache.h"
#include "fs/source/ranks.h"
#include "fs/source/strategies.h"

struct load_base {
	const struct options *options;
	struct arena *arena, *target_arena;   /* of the two strategies; NULL while there is none */
	struct strategies strategy;           /* how SOURCE is cut */
	struct strategies target;             /* of to=FILE; see load_base_target() */
	pthread_t reader;                     /* reads the target ... */
	bool reading;                         /* ... until somebody has waited for it */
	int target_code;                      /* 0, or what went wrong with it */
	struct error target_error;
	struct problems *problems;            /* of all steps */
	struct fds *fds;                      /* of all sources of all steps */
	uint32_t next_problem;                /* number of the next step's first source in it */
};

/*
 * Begins to read the target strategy, if the options name one, while whoever asks for the base goes on: it takes as long as that of SOURCE.
 * `options` must outlive the base. load_base_free(NULL) is allowed.
 */
int load_base_new(const struct options *options, struct load_base **out, struct error *err);
void load_base_free(struct load_base *base);

/* Waits for the target strategy, which is there then. 0, or what was wrong with it. */
int load_base_target(struct load_base *base, struct error *err);

/*
 * Reads the strategy of SOURCE unless it is read already. A lone rank_0 needs none, so for that finding none is no error, and it is
 * looked for again the next time. -EINVAL also for a rank beyond the strategy's world.
 */
int load_base_strategy(struct load_base *base, const struct ranks *ranks, struct error *err);

/*
 * Loads what `o` describes. On success the caller owns *out (model_free()), and has cache_commit(model->cache) to call when there is time
 * for it. A negative errno with one message for the user.
 */
int load_model(const struct options *o, struct model **out, struct error *err);

/* For who wants to look at SOURCE rather than to show it. The cache is committed, if it is for use. */
struct load_look {
	bool view; /* lay the view out too */
	/* Is told of a file that is refused, which is then as if it were not there; may be NULL. */
	void (*refused)(void *arg, const char *message);
	void *arg;
	enum cache_mode cache; /* what the index of headers is for; the model has the cache */
};

/* Likewise, but the checkpoint of a distributed SOURCE knows every copy of a block (tensor.holdings), and there is no view unless asked for. */
int load_look(const struct options *o, const struct load_look *look, struct model **out, struct error *err);

/* Lists the rank folders of all SOURCEs, in `arena`. With `early` there may be none yet. */
int load_ranks(const struct options *o, bool early, struct arena *arena, struct ranks *out, struct error *err);

/* One step of several that are shown side by side: what it is and the file of each rank, NULL where a rank has none. */
struct load_step {
	const struct ranks *ranks;
	const struct step *step;
	const char *const *paths; /* [ranks->count] */
};

/*
 * Loads one step, whose model takes part in a larger tree: it has no .gatherfs/. The strategy must have been read. -ENODATA when
 * a block is held by no rank: such a step is not complete.
 */
int load_one_step(struct load_base *base, const struct load_step *step, struct model **out, struct error *err);

/* Likewise for the iteration of SOURCE whose folder is called `name`. */
int load_one_iteration(struct load_base *base, const char *name, struct model **out, struct error *err);

/* A model of what stands beside the steps: of nothing but strategy.ckpt, where there is a strategy, as SOURCE's owner may see it. */
int load_beside(struct load_base *base, struct model **out, struct error *err);

#endif
