/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The algebra of a layout: which block of a tensor a rank holds. Rules: DESIGN "everything is a box"; MindSpore's training slicer
 * (`_load_tensor`) is the witness, also where its merging tools are wrong (README, "Where MindSpore is wrong").
 *
 *   coordinates of local rank l in the device matrix: row-major, last device axis fastest
 *   tensor axis a: parts = product of its device axes, block = mixed radix of their coordinates, first one most significant
 *   optimizer shards: p = mixed radix of the coordinates on the unused device axes, left to right; axis 0 of the block is cut
 *   again into S pieces, and the rank holds piece p % S
 */
#ifndef LAYOUT_SHARDING_H
#define LAYOUT_SHARDING_H

#include "layout/base/error.h"
#include "layout/formats/strategy.h"

/* The block of layout->grid that local rank `local` (0..devices-1) holds. */
uint32_t sharding_block(const struct layout *layout, uint32_t local);

/* The full shape of a tensor whose slices are `slice` [axes]: full [axes]. -EINVAL when the layout has other axes or a product overflows. */
int sharding_full(const struct layout *layout, const uint64_t *slice, uint32_t axes, uint64_t *full, struct error *err);

/* The slice of a tensor of shape `full`: slice [axes]. -EINVAL when the axes differ or a cut does not divide its axis. */
int sharding_slice(const struct layout *layout, const uint64_t *full, uint32_t axes, uint64_t *slice, struct error *err);

#endif
