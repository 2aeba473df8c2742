/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Options as a verb knows them: looked up by name in the table (option.h), refused where they mean nothing to the verb, and
 * printed for its help. A verb knows the options that apply to it and no others, so that none is taken and then ignored.
 */
#ifndef FS_KNOWN_H
#define FS_KNOWN_H

#include <stdio.h>

#include "fs/options/options.h"

/* True when `name` is an option that takes a value, of whatever verb. */
bool known_takes_value(const char *name);

/* Gives o->verb one option, `value` NULL when it has none. -EINVAL with a message that names it, or -ENOMEM. */
int known_give(struct options *o, const char *name, const char *value, struct error *err);

/* Prints the options of a verb. */
void known_help(const char *verb, FILE *out);

#endif
