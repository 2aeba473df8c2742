/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Folders by name. In the folders of a model nothing ever changes; the root of a mount of many has the models that are shown
 * just now, and `latest`, a link to the newest step among them.
 */
#ifndef FS_ROOT_H
#define FS_ROOT_H

#include "fs/serve/hub.h"

/* True for the root folder of many, whose entries come and go. */
bool root_is(struct hub *hub, const struct hub_node *at);

/* Goes through a door: `at` is then the root of the tree behind it. What is no door stays what it is. False without memory. */
bool root_enter(struct hub_node *at);

/* Finds `name`, which may be "." or "..", in the folder `dir`, and holds its model. */
bool root_child(struct hub *hub, const struct hub_node *dir, const char *name, struct hub_node *out);

/* The folder that `dir` is in; not held, but as lasting as `dir`. */
struct hub_node root_parent(struct hub *hub, const struct hub_node *dir);

/* The kernel's number of a node. */
uint64_t root_number(const struct hub_node *at);

/* The name of the newest step that is shown; false without one. */
bool root_latest(struct hub *hub, char name[HUB_NAME]);

/* What is in the root of many at one moment, in the order of the steps. */
struct root_list {
	uint64_t count;
	struct root_entry {
		char name[HUB_NAME];
		uint64_t number;
		struct step step;
		bool is_step;
		bool link; /* `latest`; everything else is a folder */
	} entries[];
};

/* malloc'ed; NULL without memory. */
struct root_list *root_list(struct hub *hub);

/* Of all models that are shown together. */
struct root_sum {
	uint64_t models, nodes, bytes;
	struct timespec mtime; /* of the newest step, else of the root model */
};

struct root_sum root_sum(struct hub *hub);

#endif
