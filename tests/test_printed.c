/* SPDX-License-Identifier: Apache-2.0 */
/* Arrays as numpy prints them: compared with what numpy 1.26 printed (tests/printed/arrays.txt, written by make.py). */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "layout/values/printed.h"

#define BYTES_MAX 40000 /* of an array */
#define TEXT_MAX 200000 /* bytes of a line, and of what numpy printed */

struct memory {
	const uint8_t *ptr;
	uint64_t len, reads;
};

static int read_memory(void *arg, uint64_t offset, uint64_t len, uint8_t *dst, struct error *err)
{
	struct memory *m = arg;

	if (offset > m->len || len > m->len - offset)
		return error_set(err, -ERANGE, "%zu beyond the end", (size_t)(offset + len - m->len));
	m->reads++;
	memcpy(dst, m->ptr + offset, len);
	return 0;
}

/* Prints an array; the text is malloc'ed. */
static char *print(const struct corners_array *array, struct memory *memory)
{
	struct corners_reader reader = { .read = read_memory, .arg = memory };
	struct arena *arena = arena_new();
	struct text text = TEXT_EMPTY;
	struct corners corners;
	struct error err;

	cr_assert_eq(corners_read(array, &reader, arena, &corners, &err), 0, "%s", err.msg);
	printed_array(&corners, &text);
	arena_free(arena);
	cr_assert_not(text.failed);
	return text.ptr;
}

/* 0, 1, 2 ... as the type has them; returns the bytes of one. */
static void count_up(enum dtype dtype, uint64_t count, uint8_t *out)
{
	for (uint64_t i = 0; i < count; i++) {
		uint64_t bits = i;
		float f = (float)i;
		double d = (double)i;

		if (dtype == DTYPE_F32)
			memcpy(&bits, &f, 4);
		if (dtype == DTYPE_F64)
			memcpy(&bits, &d, 8);
		memcpy(out + i * dtype_bits(dtype) / 8, &bits, dtype_bits(dtype) / 8);
	}
}

static uint32_t parse_head(char *line, enum dtype *dtype, uint64_t *shape)
{
	char *save, *word = strtok_r(line, " \n", &save);
	uint32_t axes = 0;

	cr_assert(word && dtype_parse(word, dtype));
	while ((word = strtok_r(NULL, " \n", &save)))
		shape[axes++] = strtoull(word, NULL, 10);
	return axes;
}

Test(printed, arrays_are_numpys)
{
	static char line[TEXT_MAX], want[TEXT_MAX];
	static uint8_t data[BYTES_MAX];
	FILE *f = fopen("tests/printed/arrays.txt", "r");
	unsigned arrays = 0;
	char *more;

	cr_assert_not_null(f);
	for (more = fgets(line, sizeof(line), f); more; arrays++) {
		uint64_t shape[BOX_AXES], count = 1;
		struct corners_array array = { .shape = shape };
		struct memory memory = { .ptr = data };
		char *got;

		array.axes = parse_head(line, &array.dtype, shape);
		for (uint32_t a = 0; a < array.axes; a++)
			count *= shape[a];
		memory.len = count * dtype_bits(array.dtype) / 8;
		cr_assert_leq(memory.len, BYTES_MAX);
		cr_assert(fgets(line, sizeof(line), f));
		if (strcmp(line, "arange\n") == 0)
			count_up(array.dtype, count, data);
		else
			for (uint64_t i = 0; i < memory.len; i++)
				cr_assert_eq(sscanf(line + 2 * i, "%2hhx", &data[i]), 1);
		for (want[0] = '\0'; (more = fgets(line, sizeof(line), f)) && line[0] == '|';)
			strcat(want, line + 1);
		want[strlen(want) - 1] = '\0';
		got = print(&array, &memory);
		cr_assert_str_eq(got, want, "array %u (%s): got\n%s\nwant\n%s", arrays, dtype_name(array.dtype), got, want);
		free(got);
	}
	cr_assert_gt(arrays, 350);
	fclose(f);
}

/* Types that numpy lacks are shown like those that it has. */
Test(printed, other_types)
{
	static const struct {
		enum dtype dtype;
		uint64_t shape[2];
		uint8_t data[12];
		const char *want;
	} cases[] = {
		{ DTYPE_BF16, { 2, 2 }, { 0x80, 0x3f, 0xcd, 0x3d, 0x49, 0xc0, 0xc0, 0x7f }, "[[ 1.    0.1 ]\n [-3.14   nan]]" },
		{ DTYPE_BF16, { 1, 2 }, { 0x80, 0x7f, 0xcd, 0x3d }, "[[inf 0.1]]" },
		{ DTYPE_F4, { 2, 4 }, { 0x21, 0x7f, 0x80, 0x30 }, "[[ 0.5  1.  -6.   6. ]\n [ 0.  -0.   0.   1.5]]" },
		{ DTYPE_F6_E2M3, { 1, 4 }, { 0x41, 0x20, 0xfc }, "[[ 0.125  0.125  0.25  -7.5  ]]" },
		{ DTYPE_F8_E5M2, { 1, 3 }, { 0x56, 0x7c, 0x3c }, "[[96. inf  1.]]" },
		{ DTYPE_F8_E8M0, { 1, 2 }, { 127, 131 }, "[[ 1. 16.]]" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct corners_array array = { .dtype = cases[i].dtype, .axes = 2, .shape = cases[i].shape };
		struct memory memory = { .ptr = cases[i].data, .len = (cases[i].shape[0] * cases[i].shape[1] * dtype_bits(cases[i].dtype)) / 8 };
		char *got = print(&array, &memory);

		cr_assert_str_eq(got, cases[i].want, "case %zu:\n%s", i, got);
		free(got);
	}
}

/* Corners of packed types are taken out of the middle of bytes: the same elements as when all is unpacked first. */
Test(printed, packed_corners)
{
	static uint8_t packed[9 * 4 * 333 * 6 / 8], bytes[9 * 4 * 333];
	uint64_t shape[] = { 9, 4 * 333 };

	srand(4);
	for (size_t i = 0; i < sizeof(packed); i++)
		packed[i] = (uint8_t)rand();
	for (uint32_t bits = 4; bits <= 6; bits += 2) {
		struct corners_array array = { .dtype = bits == 4 ? DTYPE_F4 : DTYPE_F6_E3M2, .axes = 2, .shape = shape };
		struct memory memory = { .ptr = packed, .len = 9 * 4 * 333 * bits / 8 };
		struct corners_reader reader = { .read = read_memory, .arg = &memory };
		struct arena *arena = arena_new();
		struct corners corners;
		struct error err;

		for (size_t i = 0; i < sizeof(bytes); i++) {
			bytes[i] = 0;
			for (size_t b = 0; b < bits; b++)
				bytes[i] = (uint8_t)(bytes[i] | (packed[(i * bits + b) / 8] >> (i * bits + b) % 8 & 1) << b);
		}
		cr_assert_eq(corners_read(&array, &reader, arena, &corners, &err), 0);
		cr_assert_eq(corners.count, 36);
		for (uint64_t i = 0; i < 36; i++) {
			uint64_t row = i / 6 < 3 ? i / 6 : 9 - 6 + i / 6, column = i % 6 < 3 ? i % 6 : 1332 - 6 + i % 6;

			cr_assert_eq(corners.elements[i], bytes[row * 1332 + column]);
		}
		arena_free(arena);
	}
}

/* Few ranges are read, and there is a limit to what is shown of a tensor of many axes. */
Test(printed, reads_little)
{
	static uint8_t data[1 << 20];
	uint64_t shape[20] = { 1024, 1024 };
	struct corners_array array = { .dtype = DTYPE_U8, .axes = 2, .shape = shape };
	struct memory memory = { .ptr = data, .len = sizeof(data) };
	struct corners corners;

	free(print(&array, &memory));
	cr_assert_leq(memory.reads, 12);
	memory.reads = 0;
	array.axes = 1;
	free(print(&array, &memory));
	cr_assert_eq(memory.reads, 2);
	for (array.axes = 4; array.axes <= 6; array.axes++) {
		for (uint32_t a = 0; a < array.axes; a++)
			shape[a] = 8;
		corners_choose(&array, &corners);
		cr_assert_eq(corners.edge, array.axes == 4 ? 3 : array.axes == 5 ? 2 : 2);
		cr_assert_leq(corners.count, CORNERS_MAX);
	}
	array.axes = 20;
	for (uint32_t a = 0; a < 20; a++)
		shape[a] = 7;
	corners_choose(&array, &corners);
	cr_assert_eq(corners.count, 0);
}
