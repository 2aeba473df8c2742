/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A tensor as a .npy file: numpy's format, version 1.0, as numpy.save() writes it, so that numpy.load(mmap_mode='r') opens it.
 * A type that numpy lacks is the unsigned integer of its width; elements under 8 bits are the bytes that they are packed in, in one
 * dimension.
 */
#ifndef LAYOUT_NPY_H
#define LAYOUT_NPY_H

#include "layout/base/text.h"
#include "layout/view/image.h"

/* numpy's name of the type in the file: "<u2" for BF16. A static string. */
const char *npy_type(enum dtype dtype);

/* The shape in the file, as a Python tuple: "(16, 8)". */
void npy_shape(const struct tensor *tensor, struct text *text);

/* What stands before the elements: its length is a multiple of 64. *out in `arena`; 0 or -ENOMEM. */
int npy_header(const struct tensor *tensor, struct arena *arena, struct bytes *out);

/* The whole file, and the same without the header (the tensor's bytes), in `arena`; NULL without memory. */
const struct image *npy_image(const struct tensor *tensor, struct arena *arena);
const struct image *npy_raw_image(const struct tensor *tensor, struct arena *arena);

#endif
