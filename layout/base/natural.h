/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The order of layers: names compared with their runs of digits as numbers, so that layers.2 comes before layers.10.
 */
#ifndef LAYOUT_NATURAL_H
#define LAYOUT_NATURAL_H

/* <0, 0, >0 in natural order. A total order: names that differ only in leading zeros are ordered as bytes. */
int natural_compare(const char *a, const char *b);

#endif
