/* SPDX-License-Identifier: Apache-2.0 */
/* Headers at their largest: what an entry costs at most, the limit of a header, and time that grows with it and no faster. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "layout/base/box.h"
#include "layout/formats/safetensors.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* The bound for one entry, against what one more entry adds. */
Test(safetensors, cost_of_an_entry)
{
	static const uint64_t big[BOX_AXES] = { UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX };
	static char name[100001];
	struct safetensors_entry entries[] = { { "first", big, 0, 0, 0, DTYPE_U8 }, { name, big, UINT64_MAX, UINT64_MAX, 4, DTYPE_F8_E4M3FNUZ } };
	static const char fill[] = { '\x01', '\\', '"', 'x', '\n' };

	for (size_t f = 0; f < COUNT(fill); f++) {
		struct arena *arena = arena_new();
		struct safetensors one = { .entries = entries, .count = 1 }, two = { .entries = entries, .count = 2 };
		struct bytes a, b;
		struct error err;

		memset(name, fill[f], sizeof(name) - 1);
		cr_assert_eq(safetensors_write(&one, arena, &a, &err), 0);
		cr_assert_eq(safetensors_write(&two, arena, &b, &err), 0);
		cr_assert_leq(b.len - a.len, safetensors_entry_cost(&entries[1]) + SAFETENSORS_ALIGN);
		if (fill[f] != '\n')
			cr_assert_leq(safetensors_entry_cost(&entries[1]), b.len - a.len + SAFETENSORS_ALIGN, "the bound is close");
		arena_free(arena);
	}
}

Test(safetensors, a_header_beyond_the_limit_is_not_written)
{
	uint64_t size = UINT64_C(1) << 20, count = 100;
	char *name = malloc(size + 1);
	struct safetensors_entry *entries = calloc(count, sizeof(*entries));
	struct arena *arena = arena_new();
	struct safetensors st = { .entries = entries, .count = count };
	struct bytes out;
	struct error err;

	memset(name, 'x', size);
	name[size] = 0;
	for (uint64_t i = 0; i < count; i++)
		entries[i] = (struct safetensors_entry){ .name = name, .dtype = DTYPE_U8 };
	cr_assert_eq(safetensors_write(&st, arena, &out, &err), -E2BIG);
	cr_assert_str_eq(err.msg, "a header of 100 tensors would pass 100000000 bytes");
	st.count = 95;
	cr_assert_eq(safetensors_write(&st, arena, &out, &err), 0);
	cr_assert_leq(out.len, SAFETENSORS_HEADER_MAX + 8);
	free(entries);
	free(name);
	arena_free(arena);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Writes and parses a header of `count` tensors with names as models have them; the best of five. */
static double parse_time(uint64_t count)
{
	struct arena *arena = arena_new();
	static const uint64_t shape[] = { 4096, 1024 };
	struct safetensors_entry *entries = arena_alloc(arena, count, sizeof(*entries));
	struct safetensors st = { .entries = entries, .count = count };
	double best = 1e9;
	struct bytes out;
	struct error err;

	for (uint64_t i = 0; i < count; i++)
		entries[i] = (struct safetensors_entry){ arena_printf(arena, "decoder.layers.%llu.self_attention.linear_qkv.weight", (unsigned long long)i),
							 shape, i << 24, (i + 1) << 24, 2, DTYPE_F32 };
	cr_assert_eq(safetensors_write(&st, arena, &out, &err), 0);
	for (int n = 0; n < 5; n++) {
		struct arena *own = arena_new();
		struct safetensors back;
		double start = now(), took;

		cr_assert_eq(safetensors_parse((struct bytes){ out.ptr + 8, out.len - 8 }, out.len + (count << 24), own, &back, &err), 0, "%s", err.msg);
		took = now() - start;
		best = took < best ? took : best;
		cr_assert_eq(back.count, count);
		cr_assert_str_eq(back.entries[count - 1].name, entries[count - 1].name);
		arena_free(own);
	}
	if (getenv("GATHERFS_TIMES"))
		fprintf(stderr, "%llu tensors, %llu bytes of header: %.2f ms\n", (unsigned long long)count, (unsigned long long)out.len, best * 1e3);
	arena_free(arena);
	return best;
}

Test(safetensors, a_hundred_thousand_tensors_in_linear_time)
{
	double few = parse_time(2000), many = parse_time(100000);

	cr_assert_lt(many, 400 * few + 0.5, "2,000 tensors take %.4f s, 100,000 take %.4f s", few, many);
}

/* A header of the largest size that is nothing but numbers: refused by their count, before a tree of gigabytes is built. */
Test(safetensors, a_header_of_numbers_only)
{
	size_t len = 30000000, at;
	char *text = malloc(len + 64);
	struct arena *arena = arena_new();
	struct safetensors st;
	struct error err;

	at = (size_t)sprintf(text, "{\"w\":{\"shape\":[");
	for (; at < len; at += 2)
		memcpy(text + at, "0,", 2);
	at += (size_t)sprintf(text + at, "0]}}");
	cr_assert_eq(safetensors_parse((struct bytes){ (const uint8_t *)text, at }, 8 + at, arena, &st, &err), -EINVAL);
	cr_assert_not_null(strstr(err.msg, "more than 10000"), "%s", err.msg);
	free(text);
	arena_free(arena);
}
