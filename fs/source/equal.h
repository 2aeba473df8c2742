/* SPDX-License-Identifier: Apache-2.0 */
/* Comparing two files byte by byte: for a rank that lies on two nodes. */
#ifndef FS_EQUAL_H
#define FS_EQUAL_H

#include "fs/options/fence.h"
#include "layout/base/error.h"

/* 0 when both files hold the same bytes; -EINVAL with the first byte that differs, or the errno of opening and reading. */
int equal_check(const char *a, const char *b, const struct fence *fence, struct error *err);

#endif
