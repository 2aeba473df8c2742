/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of options: what each is called, what it takes, whether it may repeat, which verbs it applies to, its help, and the
 * function that stores its value. known.h looks options up in it, the grammar around it is in options.c.
 */
#ifndef FS_OPTION_H
#define FS_OPTION_H

#include <stddef.h>

#include "fs/options/options.h"

enum option_kind {
	OPTION_FLAG,    /* no value; the bool at `place` becomes true */
	OPTION_VALUE,   /* one value, once; set() takes it */
	OPTION_LIST,    /* likewise, as often as you like */
	OPTION_PATHS,   /* a path, as often as you like, for the list at `place` */
	OPTION_REFUSED, /* known, and help says why not */
};

struct option {
	const char *name;
	enum option_kind kind;
	uint32_t scope;  /* the verbs that it applies to, see scope.h */
	int (*set)(struct options *o, const char *value, struct error *err); /* OPTION_VALUE, OPTION_LIST */
	size_t place;    /* OPTION_FLAG, OPTION_PATHS: in struct options */
	const char *arg; /* of the value, for the help */
	const char *help;
};

/* A row of the table, in the order of the help; NULL behind the last one. Its number is its bit in struct options.seen. */
const struct option *option_row(uint32_t number);

/* Append to a list of `o`: an item, a path that becomes absolute. */
int option_push(struct options *o, struct options_list *list, const char *item, struct error *err);
int option_push_path(struct options *o, struct options_list *list, const char *value, struct error *err);

#endif
