/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An arena owns everything that is built together and freed together: one for each model, and short-lived ones for the
 * parse of a single file.
 *
 * Invariants: memory is zeroed, aligned to 16 bytes and never moves; there is no free of a single object. Not thread-safe:
 * an arena has one builder, and what it holds is read-only once it is shared.
 */
#ifndef LAYOUT_ARENA_H
#define LAYOUT_ARENA_H

#include <stddef.h>
#include <stdint.h>

struct arena;

/* A new, empty arena, or NULL without memory. The caller frees it with arena_free(). */
struct arena *arena_new(void);

/* Frees the arena and all that was taken from it. NULL is allowed. */
void arena_free(struct arena *arena);

/* An array of `count` zeroed elements of `size` bytes (count 0 gives a valid pointer); NULL without memory or when the product overflows. */
void *arena_alloc(struct arena *arena, uint64_t count, uint64_t size);

/* Takes over all that `other` holds, which is gone then: for who fills one arena by several builders. NULL is allowed. */
void arena_adopt(struct arena *arena, struct arena *other);

/*
 * Room for one more element behind the `count` of an array that has room for *room of `size` bytes: the array itself, or a copy of
 * twice the size (the old one stays the arena's: twice the size in all). NULL without memory; the array is then as it was.
 */
void *arena_grow(struct arena *arena, void *array, uint64_t count, uint64_t *room, uint64_t size);

/* A copy of the first `len` bytes of `text` with a NUL behind them; NULL without memory. */
char *arena_strndup(struct arena *arena, const char *text, size_t len);

/* printf into the arena; NULL without memory. */
char *arena_printf(struct arena *arena, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Bytes that the arena holds from the system. */
uint64_t arena_size(const struct arena *arena);

#endif
