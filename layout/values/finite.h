/* SPDX-License-Identifier: Apache-2.0 */
/* Looking for NaN and infinities among many elements, as fast as memory allows: most types are tested by their exponents alone. */
#ifndef LAYOUT_FINITE_H
#define LAYOUT_FINITE_H

#include "layout/base/dtype.h"

struct finite {
	uint64_t nan, infinite; /* elements */
	uint64_t first;         /* the first of either; meaningless where both are 0 */
};

/* Counts among `len` bytes of whole elements. */
struct finite finite_count(enum dtype dtype, const uint8_t *data, uint64_t len);

#endif
