/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of options: what each is called, what it takes, whether it may repeat, its help, and the function that stores its
 * value. The grammar around it is in options.c.
 */
#ifndef FS_OPTION_H
#define FS_OPTION_H

#include <stdio.h>

#include "fs/options.h"

/* True when `name` is an option that takes a value. */
bool option_takes_value(const char *name);

/* Gives one option, `value` NULL when it has none. -EINVAL with a message that names it, or -ENOMEM. */
int option_give(struct options *o, const char *name, const char *value, struct error *err);

/* Append to a list of `o`: an item, a path that becomes absolute. */
int option_push(struct options *o, struct options_list *list, const char *item, struct error *err);
int option_push_path(struct options *o, struct options_list *list, const char *value, struct error *err);

/* Prints the table. */
void option_help(FILE *out);

#endif
