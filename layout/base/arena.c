/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Chunks from calloc, each twice the size of the one before, so that an arena for one small file stays small and one for a
 * model takes few calls. An object that would fill much of a chunk gets a chunk of its own, and the current one stays in use.
 *
 * Under AddressSanitizer every object has a chunk of its own, so that a write behind its end is seen.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "layout/base/arena.h"
#include "layout/base/bytes.h"

#define ALIGN    UINT64_C(16)
#define SMALLEST (UINT64_C(4) << 10)
#define LARGEST  (UINT64_C(1) << 20)

#ifdef __SANITIZE_ADDRESS__
#define OWN_CHUNK(size, next) true
#else
#define OWN_CHUNK(size, next) ((size) > (next) / 4)
#endif

struct chunk {
	_Alignas(16) struct chunk *next; /* the chunk's room lies behind, aligned too */
};

struct arena {
	struct chunk *chunks; /* all of them, latest first */
	uint8_t *at;          /* free part of the chunk in use */
	uint64_t left;        /* bytes at `at` */
	uint64_t next;        /* bytes of the next chunk */
	uint64_t held;        /* bytes from the system */
};

struct arena *arena_new(void)
{
	struct arena *arena = calloc(1, sizeof(*arena));

	if (arena) {
		arena->next = SMALLEST;
		arena->held = sizeof(*arena);
	}
	return arena;
}

void arena_free(struct arena *arena)
{
	struct chunk *next;

	for (struct chunk *c = arena ? arena->chunks : NULL; c; c = next) {
		next = c->next;
		free(c);
	}
	free(arena);
}

void arena_adopt(struct arena *arena, struct arena *other)
{
	struct chunk **last = &arena->chunks;

	if (!other)
		return;
	while (*last)
		last = &(*last)->next;
	*last = other->chunks;
	arena->held += other->held - sizeof(*other);
	free(other);
}

/* A chunk of `bytes` in all, header included; NULL without memory. */
static uint8_t *add_chunk(struct arena *arena, uint64_t bytes)
{
	struct chunk *c = calloc(1, bytes);

	if (!c)
		return NULL;
	c->next = arena->chunks;
	arena->chunks = c;
	arena->held += bytes;
	return (uint8_t *)(c + 1);
}

static bool next_chunk(struct arena *arena)
{
	uint8_t *room = add_chunk(arena, arena->next);

	if (!room)
		return false;
	arena->at = room;
	arena->left = arena->next - sizeof(struct chunk);
	if (arena->next < LARGEST)
		arena->next *= 2;
	return true;
}

void *arena_alloc(struct arena *arena, uint64_t count, uint64_t size)
{
	uint64_t bytes, padded;

	if (!bytes_mul(count, size, &bytes) || !bytes_add(bytes, ALIGN - 1 + sizeof(struct chunk), &padded))
		return NULL;
	bytes = bytes ? bytes : 1;
	if (OWN_CHUNK(bytes, arena->next))
		return add_chunk(arena, sizeof(struct chunk) + bytes);
	padded = (bytes + ALIGN - 1) / ALIGN * ALIGN;
	if (padded > arena->left && !next_chunk(arena))
		return NULL;

	void *object = arena->at;

	arena->at += padded;
	arena->left -= padded;
	return object;
}

void *arena_grow(struct arena *arena, void *array, uint64_t count, uint64_t *room, uint64_t size)
{
	uint64_t more = *room ? *room * 2 : 16;
	void *bigger;

	if (count < *room)
		return array;
	bigger = more > *room ? arena_alloc(arena, more, size) : NULL;
	if (!bigger)
		return NULL;
	if (count)
		memcpy(bigger, array, count * size);
	*room = more;
	return bigger;
}

char *arena_strndup(struct arena *arena, const char *text, size_t len)
{
	char *copy = len < SIZE_MAX ? arena_alloc(arena, len + 1, 1) : NULL;

	if (copy && len)
		memcpy(copy, text, len);
	return copy;
}

char *arena_printf(struct arena *arena, const char *format, ...)
{
	char most[256]; /* what nearly all fit into, and are formatted once then */
	va_list args, again;

	va_start(args, format);
	va_copy(again, args);

	int len = vsnprintf(most, sizeof(most), format, args);
	char *text = len < 0 ? NULL : arena_alloc(arena, (uint64_t)len + 1, 1);

	if (text && (size_t)len < sizeof(most))
		memcpy(text, most, (size_t)len + 1);
	else if (text)
		vsnprintf(text, (size_t)len + 1, format, again);
	va_end(again);
	va_end(args);
	return text;
}

uint64_t arena_size(const struct arena *arena)
{
	return arena->held;
}
