/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tensors as files in folders: `model.layers.0.weight` is model/layers/0/weight, with an ending for each kind of file.
 *
 * Parts of a name between dots become the parts of its path, as they are but for what no path can have or no terminal should get:
 *   %XX  the byte XX: '%' itself, '/', NUL never occurs, control characters (C0, DEL, C1), bytes that are no UTF-8
 *   %    alone: an empty part
 *   ...% at the end of a longer part: the part was too long, and goes on in the next one
 * Parts have no dot and endings have one, so a tensor `a.b` (file a/b.txt) and a tensor `a.b.c` (in folder a/b) never meet, and no
 * file there ends in .safetensors. Different names have different paths: each path can be undone.
 */
#ifndef LAYOUT_BROWSE_H
#define LAYOUT_BROWSE_H

#include "layout/base/arena.h"

#define BROWSE_PART_MAX 250 /* bytes of a part: with the longest ending it is a name of 255 bytes */

enum browse_kind {
	BROWSE_TXT,
	BROWSE_JSON,
	BROWSE_NPY,
	BROWSE_BIN,
	BROWSE_KINDS
};

/* The path of a tensor, without an ending, in `arena`; NULL without memory. */
const char *browse_escape(const char *name, struct arena *arena);

/* The ending of a kind of file: ".txt". A static string. */
const char *browse_ending(enum browse_kind kind);

#endif
