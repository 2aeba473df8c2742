/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A woven tensor is made of parts of other tensors: a fused weight of its queries, keys and values, a query weight of the rows of a
 * fused one, interleaved rows of gate and up, stacked and transposed experts.
 *
 * Its shape is factored: each axis is written as the product of consecutive factors (rows of linear_qkv as [groups, heads of a group,
 * head_dim]). In the factored shape every part is a box, and a step along a factor is a fixed step along one axis of the part's
 * source tensor. So an element's place in a source is a sum of products, whatever the fusing was; transposing is nothing but factors
 * that step along another axis.
 *
 * Invariants, established by weave_make(): the factors of each axis multiply to it; parts are boxes inside the factored shape that
 * cover every element exactly once; every step of a part stays inside its source; types agree; sources are not woven themselves, and
 * their elements are whole bytes. A weave knows its sources' shapes, but not the sources: the tensors of many layers have one.
 */
#ifndef LAYOUT_WEAVE_H
#define LAYOUT_WEAVE_H

#include "layout/checkpoint/checkpoint.h"

#define WEAVE_FACTORS 8 /* and at most as many axes of a source: there are many parts, and no model needs more */

struct weave_part {
	uint64_t start[WEAVE_FACTORS], count[WEAVE_FACTORS]; /* the box, by factor */
	uint64_t step[WEAVE_FACTORS];  /* by factor: elements of the source's axis for each one of the factor; 0 where count is 1 */
	uint64_t base[WEAVE_FACTORS];  /* by source axis: where the part's first element lies */
	uint32_t axis[WEAVE_FACTORS];  /* by factor: the source's axis that it steps along; below WEAVE_FACTORS */
};

struct weave {
	uint32_t factors;
	uint64_t shape[WEAVE_FACTORS]; /* [factors] */
	uint32_t of[WEAVE_FACTORS];    /* [factors] which axis of the tensor each is a factor of: 0, then the same or the next */
	const struct weave_part *parts; /* [count] */
	uint32_t count;
};

/* What a tensor is made of. */
struct woven {
	const struct weave *weave;
	const struct tensor *const *of; /* [weave->count] the source of each part */
};

/*
 * Makes `out` a woven tensor of this name and these sources (all kept by pointer): computes its shape [in `arena`], checks all invariants.
 * -EINVAL with the tensor, part and axis named; -ENOMEM.
 */
int weave_make(const char *name, const struct woven *woven, struct arena *arena, struct tensor *out, struct error *err);

/* Some elements of a woven tensor that follow one another, as they lie in a source. */
struct weave_run {
	struct piece piece;  /* of the source tensor that holds them; offset is that of the first element */
	uint64_t elements;   /* at least 1 */
	uint64_t stride;     /* bytes from one to the next in the source: their width where they are contiguous */
	uint64_t rows;       /* of this many elements that follow on one another, in the tensor and in the source; 1 where they are no whole row */
};

/*
 * The run that begins at `at` [axes], coordinates in the tensor, and has at most `most` elements along the tensor's last axis.
 * *part is a hint: the part of the run before (0 at first); it is set to this one's.
 */
void weave_find(const struct tensor *tensor, const uint64_t *at, uint64_t most, uint32_t *part, struct weave_run *out);

#endif
