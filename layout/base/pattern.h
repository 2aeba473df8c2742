/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names with numbers in them: "model.layers.{layer}.mlp.experts.{expert}.up_proj.weight". A pattern matches a whole name, with a
 * decimal number, written without leading zeros, in place of each {index}.
 *
 * Invariant: an index is at most once in a pattern.
 */
#ifndef LAYOUT_PATTERN_H
#define LAYOUT_PATTERN_H

#include "layout/base/error.h"
#include "layout/base/names.h"

#define PATTERN_INDEXES 4

struct pattern {
	const char *text;                /* as written, with "{}" for each index */
	const char *tail;                /* of the text: what is behind the last index */
	uint64_t text_len, tail_len;     /* bytes of both */
	uint64_t head_len;               /* of the text: bytes before the first index; 0 without one */
	uint32_t index[PATTERN_INDEXES]; /* [count]: which each is */
	uint32_t count;
};

/* Parses `word`, whose indexes must be among `known`, by whose numbers they are known from there on. -EINVAL, -ENOMEM. */
int pattern_parse(const char *word, const struct names *known, struct arena *arena, struct pattern *out, struct error *err);

/* True when `name`, of `len` bytes, matches; values[i] of each index i of the pattern is set. */
bool pattern_match(const struct pattern *pattern, const char *name, uint64_t len, uint64_t *values);

/* `prefix` and the name with these values, in `arena`; NULL without memory. */
const char *pattern_format(const struct pattern *pattern, const char *prefix, const uint64_t *values, struct arena *arena);

bool pattern_has(const struct pattern *pattern, uint32_t index);

#endif
