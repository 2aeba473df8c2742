/* SPDX-License-Identifier: Apache-2.0 */
/* Copying the rows of a run in memory: the inner loop of interleaving, splitting and transposing. */
#ifndef FS_ROWS_H
#define FS_ROWS_H

#include "layout/plan.h"

/* Copies run->rows rows of run->len bytes, src_stride apart from src on, to dst, dst_stride apart. They must not overlap. */
void rows_copy(uint8_t *dst, const uint8_t *src, const struct run *run);

#endif
