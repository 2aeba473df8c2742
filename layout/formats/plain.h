/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Headers in the form in which the safetensors library writes them: no blanks, the fields of a tensor in one order, ASCII names without
 * escapes. Nearly all are, and reading them without a tree of their JSON is ten times as fast. Whatever looks different in any way is
 * left to the general parser, which alone refuses anything and says why.
 *
 * Invariant: what is read here is what the general parser would have read, but for what it checks of all entries together, which
 * the caller does in either case.
 */
#ifndef LAYOUT_PLAIN_H
#define LAYOUT_PLAIN_H

#include "layout/formats/safetensors.h"

struct plain {
	struct safetensors_entry *entries; /* [count], in the order of the text */
	struct pair *meta;                 /* [meta_count] */
	uint64_t count, meta_count;
};

/* True when `header` is plain, with different names and metadata keys; *out is in `arena` then, which may have something of it in any case. */
bool plain_read(struct bytes header, struct arena *arena, struct plain *out);

#endif
