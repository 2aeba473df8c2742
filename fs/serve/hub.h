/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The models that a mount shows, and which of them a number of the kernel's belongs to.
 *
 * A mount of one model is a hub whose root is that model's tree. A mount of many has a root folder of its own: its entries are the
 * roots of the models' trees, which come and go, and the link `latest` to the newest step.
 *
 * The life of a model: hub_show() gives it a name in the root. hub_retire() takes the name away and has the kernel drop what it
 * knows of the model; look-ups, open files and requests at work still hold it. When the last of them has let go, the model is dead, and
 * hub_reap() frees it, which closes its files: only then does the space of deleted ones come back.
 *
 * Invariants: a number belongs to one node for ever, and never again to another; models lie in the order of their numbers; of the
 * models that are shown each has a name of its own.
 *
 * Threads: one keeper at a time (who mounts, then the watcher) shows, retires, prunes and reaps; everything else is for all.
 */
#ifndef FS_HUB_H
#define FS_HUB_H

#include <stdatomic.h>

#include "fs/model/model.h"
#include "layout/formats/step.h"

#define HUB_ROOT 1  /* the kernel's number of a mount's root */
#define HUB_NAME 72 /* bytes of a name in the root, the NUL included */

struct hub;

struct hub_model {
	struct model *model;   /* owned */
	char name[HUB_NAME];   /* in the root */
	struct step step;
	bool is_step;
	atomic_bool retired;   /* written under the lock */
	_Atomic uint64_t held; /* by how many; the root model's stays 0 */
	uint32_t told;         /* the keeper's: how often the kernel was told that it is retired */
	int64_t due;           /* the keeper's: when it is to be told again, by the clock of hub_prune() */
	struct hub_model *next_dead; /* protected by the lock */
};

/* A node that was found. Until hub_drop() its model stays. */
struct hub_node {
	struct hub_model *of;
	const struct model *model;
	const struct tree *tree; /* that the node is of: the model's, or the one behind its door */
	const struct tree_node *node;
};

/* How a model is shown. */
struct hub_as {
	const char *name;         /* less than HUB_NAME bytes */
	const struct step *step;  /* for `latest`; NULL for what is no step */
	struct tree_place place;  /* where its status files are, if it has any; the base is the hub's to choose */
};

/*
 * A hub of one model, or of many, where `root` tells nothing but whose the root folder is. Owns `root` in any case. NULL with
 * a message when there is no memory, or the view cannot be a tree. hub_free() frees all models; NULL is allowed.
 */
struct hub *hub_new(struct model *root, bool many, struct error *err);
void hub_free(struct hub *hub);

/*
 * Shows `model` in the root, in the place of `instead` where that is not NULL: at no time is neither there. Owns the model in any
 * case. NULL with a message when it could not be done; `instead` then stays.
 */
struct hub_model *hub_show(struct hub *hub, struct model *model, const struct hub_as *as, struct hub_model *instead, struct error *err);
void hub_retire(struct hub *hub, struct hub_model *m);

/* How the kernel is told to drop the name `name` in the folder `parent`, and all below. Without it nothing is told. */
void hub_set_tell(struct hub *hub, void (*tell)(void *arg, uint64_t parent, const char *name), void *arg);

/*
 * Tells the kernel again of retired models that it has not let go of: a look-up may have crossed the first time. `now` are milliseconds
 * of any clock that runs evenly. When the next one is due; INT64_MAX when there is none.
 */
int64_t hub_prune(struct hub *hub, int64_t now);

/* Frees what is dead. hub_event() is readable when there is something to free; -1 in a hub of one model. */
void hub_reap(struct hub *hub);
int hub_event(const struct hub *hub);

/* Finds a number, and holds its model; false when nothing has it (any more). */
bool hub_get(struct hub *hub, uint64_t number, struct hub_node *out);

/* Holds a model `count` times more, or lets go of it; the last one to do so makes a retired model a dead one. */
void hub_hold(struct hub *hub, struct hub_model *m, uint64_t count);
void hub_drop(struct hub *hub, struct hub_model *m, uint64_t count);

/* The kernel has forgotten `count` look-ups of a number. */
void hub_forget(struct hub *hub, uint64_t number, uint64_t count);

bool hub_is_many(const struct hub *hub);

/* The model of the root; it is there to the end, and needs no holding. */
struct hub_model *hub_root(struct hub *hub);

/*
 * Calls fn for each model that is shown, in the order of their numbers, until it returns false. The lock is held, so fn may hold a
 * model, but not drop one.
 */
void hub_each(struct hub *hub, bool (*fn)(struct hub_model *m, void *arg), void *arg);

/* How many retired models are still held. */
uint64_t hub_retired(struct hub *hub);

#endif
