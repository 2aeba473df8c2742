/* SPDX-License-Identifier: Apache-2.0 */
/* Arenas: objects are zeroed, aligned and never overlap; what they hold from the system stays near what was asked. */
#include <criterion/criterion.h>
#include <string.h>

#include "layout/base/arena.h"

#define OBJECTS 4000

/* Sizes around the chunk sizes, and many small ones. */
static uint64_t size_of(uint64_t i)
{
	static const uint64_t odd[] = { 0, 1, 15, 16, 17, 1000, 1023, 1024, 1025, 4079, 4080, 4081, 70000, 300000 };

	return i % 97 == 0 ? odd[(i / 97) % (sizeof(odd) / sizeof(odd[0]))] : i % 60;
}

Test(arena, objects_are_zeroed_aligned_and_apart)
{
	struct arena *arena = arena_new();
	static uint8_t *object[OBJECTS];

	for (uint64_t i = 0; i < OBJECTS; i++) {
		object[i] = arena_alloc(arena, size_of(i), 1);
		cr_assert_not_null(object[i]);
		cr_assert_eq((uintptr_t)object[i] % 16, 0, "object %d is not aligned", (int)i);
		for (uint64_t b = 0; b < size_of(i); b++)
			cr_assert_eq(object[i][b], 0, "object %d is not zeroed", (int)i);
		memset(object[i], (int)(i % 251) + 1, size_of(i));
	}
	for (uint64_t i = 0; i < OBJECTS; i++)
		for (uint64_t b = 0; b < size_of(i); b++)
			cr_assert_eq(object[i][b], i % 251 + 1, "object %d was written over", (int)i);
	arena_free(arena);
}

Test(arena, products_that_overflow_are_refused)
{
	struct arena *arena = arena_new();

	cr_assert_null(arena_alloc(arena, UINT64_MAX, 2));
	cr_assert_null(arena_alloc(arena, UINT64_C(1) << 32, UINT64_C(1) << 32));
	cr_assert_null(arena_alloc(arena, UINT64_MAX, 1));
	cr_assert_null(arena_alloc(arena, UINT64_MAX - 16, 1));
	cr_assert_not_null(arena_alloc(arena, 0, UINT64_MAX));
	cr_assert_not_null(arena_alloc(arena, 1, 1), "a refusal must not break the arena");
	arena_free(arena);
}

Test(arena, texts)
{
	struct arena *arena = arena_new();
	char *long_text;

	cr_assert_str_eq(arena_strndup(arena, "abcdef", 3), "abc");
	cr_assert_str_eq(arena_strndup(arena, "", 0), "");
	cr_assert_str_eq(arena_printf(arena, "%s-%d", "x", 7), "x-7");
	cr_assert_str_eq(arena_printf(arena, "%s", ""), "");
	long_text = arena_printf(arena, "%9999d|", 5);
	cr_assert_eq(strlen(long_text), 10000);
	cr_assert_str_eq(long_text + 9998, "5|");
	arena_free(arena);
}

Test(arena, size_is_near_what_was_asked)
{
#ifndef __SANITIZE_ADDRESS__ /* where every object has a chunk of its own */
	struct arena *arena = arena_new();
	uint64_t asked = 0;

	arena_alloc(arena, 1, 100);
	cr_assert_leq(arena_size(arena), 8192, "a small arena holds %d bytes", (int)arena_size(arena));
	for (int i = 0; i < 100000; i++, asked += 48)
		arena_alloc(arena, 1, 48);
	cr_assert_geq(arena_size(arena), asked);
	cr_assert_leq(arena_size(arena), asked + asked / 4 + (UINT64_C(2) << 20));
	asked = arena_size(arena);
	arena_alloc(arena, 10, 1 << 20);
	cr_assert_leq(arena_size(arena) - asked, (10 << 20) + 64, "a large object has a chunk of its size");
	asked = arena_size(arena);
	arena_alloc(arena, 1, 48);
	cr_assert_eq(arena_size(arena), asked, "and the chunk before it stays in use");
	arena_free(arena);
#endif
	arena_free(NULL);
}

Test(arena, arrays_that_grow)
{
	struct arena *arena = arena_new();
	uint32_t *array = NULL;
	uint64_t room = 0;

	for (uint32_t i = 0; i < 10000; i++) {
		array = arena_grow(arena, array, i, &room, sizeof(*array));
		cr_assert(array && room > i);
		array[i] = i * 3;
	}
	for (uint32_t i = 0; i < 10000; i++)
		cr_assert_eq(array[i], i * 3);
	room = UINT64_MAX / 2 + 1;
	cr_assert_null(arena_grow(arena, array, room, &room, 1), "twice as much overflows");
	cr_assert_null(arena_grow(arena, array, UINT64_C(1) << 62, &(uint64_t){ UINT64_C(1) << 62 }, 16));
	arena_free(arena);
}

/* What another arena holds moves over, in use as before, and both sizes add up. */
Test(arena, adopts)
{
	struct arena *one = arena_new(), *other = arena_new();
	uint8_t *small = arena_alloc(other, 10, 1), *large = arena_alloc(other, 1 << 20, 1), *own = arena_alloc(one, 10, 1);
	uint64_t both = arena_size(one) + arena_size(other);

	memset(small, 1, 10);
	memset(large, 2, 1 << 20);
	memset(own, 3, 10);
	arena_adopt(one, other);
	arena_adopt(one, NULL);
	arena_adopt(one, arena_new()); /* an empty one */
	cr_assert(arena_size(one) < both && arena_size(one) + 100 > both);
	cr_assert(small[9] == 1 && large[(1 << 20) - 1] == 2 && own[9] == 3);
	memset(arena_alloc(one, 100, 1), 4, 100);
	cr_assert(small[9] == 1 && own[9] == 3);
	arena_free(one);
}
