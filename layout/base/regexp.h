/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A bound on POSIX extended regular expressions that come from files, to be asked before regcomp(): the C library compiles nested
 * groups by recursion, and "+" and repeat counts by copying what they repeat, so that thirty bytes can take all memory ("a++++...",
 * "(a{99}){99}") and a longer text all stack; back-references, which extended expressions do not have and it takes all the same,
 * can take for ever to match. A repeat sign behind another ("a??") multiplies what there is too; it has no meaning in POSIX, and is
 * mostly meant as another language's.
 */
#ifndef LAYOUT_REGEXP_H
#define LAYOUT_REGEXP_H

#include "layout/base/error.h"

#define REGEXP_BYTES 1024 /* the longest expression */
#define REGEXP_DEPTH 32   /* groups in groups */
#define REGEXP_SIZE 1024  /* characters and brackets, once all copies are made */

/* -EINVAL with what is too much, or is no extended expression. Does not check that the expression is well-formed: that is regcomp()'s. */
int regexp_check(const char *expression, struct error *err);

#endif
