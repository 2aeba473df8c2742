/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Values of options: sizes, numbers and paths. Each function returns 0, or -EINVAL with a message that says what was expected
 * and what was found; the caller puts the option's name in front.
 */
#ifndef FS_VALUE_H
#define FS_VALUE_H

#include <stdint.h>

#include "layout/base/arena.h"
#include "layout/base/error.h"

/* Whole bytes, with K, M, G or T behind for powers of 1024: "3G". */
int value_size(const char *text, uint64_t *bytes, struct error *err);

/* A decimal number from `min` to `max`. */
int value_number(const char *text, uint64_t min, uint64_t max, uint64_t *out, struct error *err);

/* Numbers first to last, both included. */
struct value_range {
	uint32_t first, last;
};

/* Ranges of numbers joined by '+', as "0-7+16": ascending and apart. *out [*count] in `arena`. */
int value_ranges(const char *text, struct arena *arena, struct value_range **out, uint32_t *count, struct error *err);

/* Permission bits in octal, at most 0777. */
int value_mode(const char *text, uint32_t *mode, struct error *err);

/*
 * `text` as an absolute path in `arena`. Folders are resolved, the last name is kept when it is not one: a file is known by its
 * name, and in Hugging Face's cache that is a link to a file with a name of another kind.
 */
int value_path(const char *text, struct arena *arena, const char **path, struct error *err);

/* The same for what may be a dead mount: the last name is never looked at, unless it is "." or "..". */
int value_point(const char *text, struct arena *arena, const char **path, struct error *err);

#endif
