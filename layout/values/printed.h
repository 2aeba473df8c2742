/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An array as numpy prints it: print(a), np.array2string(a). The rules are those of numpy 1.26, numpy/core/arrayprint.py, with its
 * default options: 8 digits behind the point, 75 columns, "..." for what is left out.
 */
#ifndef LAYOUT_PRINTED_H
#define LAYOUT_PRINTED_H

#include "layout/base/corners.h"
#include "layout/base/text.h"

/* Adds the array, without a line end behind it. With no element to show of a non-empty array it is "[...]". */
void printed_array(const struct corners *corners, struct text *text);

#endif
