/* SPDX-License-Identifier: Apache-2.0 */
/*
 * MindSpore's JSON form of a strategy file, read into what pb.h knows. It has no nested tensor maps: MindSpore's writer flattens
 * them, which a wrong number of axes tells later.
 */
#ifndef LAYOUT_JSON_STRATEGY_H
#define LAYOUT_JSON_STRATEGY_H

#include "layout/formats/pb.h"

/*
 * Decodes a file. All of *out lives in `arena`; its invariants are those of pb_decode_strategy(). -EINVAL with parameter and field
 * named, -ENOMEM.
 */
int json_strategy_decode(struct bytes file, struct arena *arena, struct pb_strategy *out, struct error *err);

#endif
