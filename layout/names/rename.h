/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rules that give tensors other names in a view (-o rename=FILE), as MindSpore's choice_func does: a rule a line, `FROM TO`, where
 * FROM is a POSIX extended regular expression and TO may have \0 to \9 for what it matched; `\\` is a backslash. Blank lines and those
 * that begin with '#' are stepped over; an expression has the bounds of regexp.h. The rules are applied in order, each to every
 * match in what the one before has made.
 *
 * Invariants after rename_checkpoint(): names are unique over tensors and outside together, not empty, and valid UTF-8.
 */
#ifndef LAYOUT_RENAME_H
#define LAYOUT_RENAME_H

#include "layout/checkpoint/checkpoint.h"

struct rename;

/* Parses the text of a rules file. The caller frees *out with rename_free(). -EINVAL with the line. */
int rename_parse(struct bytes text, struct rename **out, struct error *err);
void rename_free(struct rename *rules);

/* The new name of `name`, in `arena`; NULL without memory. */
const char *rename_apply(const struct rename *rules, const char *name, struct arena *arena);

/*
 * Renames the tensors of a checkpoint and puts them into the order of their new names; parameters outside the strategy keep theirs,
 * for loaders ask for them. -EINVAL when two tensors would have one name.
 */
int rename_checkpoint(struct checkpoint *ckpt, const struct rename *rules, struct arena *arena, struct error *err);

#endif
