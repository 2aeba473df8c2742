/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The order of layers: names compared with their runs of digits as numbers, so that layers.2 comes before layers.10.
 */
#ifndef LAYOUT_NATURAL_H
#define LAYOUT_NATURAL_H

#include <stdint.h>

#define NATURAL_KEY_MOST 3 /* bytes of a key for each of a name */

/* <0, 0, >0 in natural order. A total order: names that differ only in leading zeros are ordered as bytes. */
int natural_compare(const char *a, const char *b);

/*
 * Writes bytes whose order, by memcmp() and then by length, is the natural order of names, but for names that differ only in leading
 * zeros, which have one key. `key` has room for NATURAL_KEY_MOST times the length of the name. How many bytes they are.
 */
uint64_t natural_key(const char *name, uint8_t *key);

#endif
