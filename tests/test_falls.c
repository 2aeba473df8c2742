/* SPDX-License-Identifier: Apache-2.0 */
/* What is read for which readers: one who goes down, tensor by tensor, one who overtakes, and those for whom nothing is. */
#include <criterion/criterion.h>

#include "fs/serve/falls.h"

#define PAGE UINT64_C(4096)
#define MIB (UINT64_C(1) << 20)
#define TENSOR (64 * MIB)
#define LEN (128 * PAGE + PAGE) /* what the kernel asks for, for a reader who goes down */

/* A read of a file of tensors of 64 MiB. */
static bool note(struct falls *f, uint64_t file, uint64_t offset, uint64_t len)
{
	uint64_t start = offset / TENSOR * TENSOR;

	return falls_note(f, &(struct falls_read){ file, offset, len, start, start + TENSOR });
}

/* Takes all that is wanted, which must be of `file` and lie together, downwards; where it begins, and where it ends. */
static void drain(struct falls *f, uint64_t file, uint64_t *from, uint64_t *to)
{
	uint64_t got, offset, len;

	*from = *to = 0;
	while (falls_take(f, &got, &offset, &len)) {
		cr_assert_eq(got, file);
		cr_assert(len > 0 && len <= FALLS_STEP && offset % PAGE == 0);
		cr_assert(*to == 0 || offset + len == *from, "a hole");
		*to = *to ? *to : offset + len;
		*from = offset;
	}
}

/* Goes down from `at` until something is wanted; the place of the read that did it. */
static uint64_t go_down(struct falls *f, uint64_t file, uint64_t at)
{
	for (int i = 0; i < 8; i++) {
		at -= LEN;
		if (note(f, file, at, LEN))
			return at;
	}
	cr_assert_fail("nothing is wanted");
	return 0;
}

Test(falls, a_reader_who_goes_down)
{
	uint64_t at, from, to, window = FALLS_FIRST, file = 7;
	struct falls f;

	falls_init(&f, PAGE);
	at = go_down(&f, file, TENSOR);
	cr_assert_eq(at, TENSOR - 4 * LEN, "three reads, each below the one before");
	for (; window < FALLS_WINDOW; window *= 2) {
		drain(&f, file, &from, &to);
		cr_assert_eq(from, at - window, "the window doubles");
		cr_assert_eq(to, at - 2 * LEN, "he reads himself what is next to him");
		cr_assert_not(note(&f, file, at - LEN, LEN));
		cr_assert_not(note(&f, file, at - 2 * LEN, LEN));
		at = from - LEN;
		cr_assert(note(&f, file, at, LEN), "the end of the window");
	}
}

Test(falls, never_below_the_tensor)
{
	uint64_t from, to, file = 7;
	struct falls f;

	falls_init(&f, PAGE);
	go_down(&f, file, TENSOR + 5 * MIB);
	drain(&f, file, &from, &to);
	cr_assert(from == TENSOR && to >= TENSOR + MIB && to <= TENSOR + 3 * MIB);
	cr_assert_not(note(&f, file, TENSOR, LEN));
}

Test(falls, the_next_tensor_needs_one_read)
{
	uint64_t from, to, file = 7;
	struct falls f;

	falls_init(&f, PAGE);
	go_down(&f, file, TENSOR);
	drain(&f, file, &from, &to);
	cr_assert_not(note(&f, file, TENSOR, 127 * PAGE), "what the kernel asks for above the first place");
	cr_assert_not(note(&f, file, 3 * TENSOR - 128 * PAGE, LEN), "the first page of the tensor at 3, and what is before it");
	cr_assert(note(&f, file, 2 * TENSOR - LEN, LEN));
	drain(&f, file, &from, &to);
	cr_assert_eq(to, 2 * TENSOR - 3 * LEN);
	cr_assert_eq(from, 2 * TENSOR - LEN - FALLS_FIRST);
	cr_assert_not(note(&f, 8, 3 * TENSOR - LEN, LEN), "another file");
}

Test(falls, a_window_of_the_kernel_in_several_reads)
{
	uint64_t at = TENSOR, from, to;
	bool wants = false;
	struct falls f;

	falls_init(&f, PAGE);
	for (int i = 0; i < 5 && !wants; i++) {
		at -= 2 * LEN + PAGE;
		wants = note(&f, 7, at, LEN);
		wants = note(&f, 7, at + 2 * LEN, PAGE) || wants;
		wants = note(&f, 7, at + LEN, LEN) || wants;
	}
	cr_assert(wants);
	drain(&f, 7, &from, &to);
	cr_assert(from < to && to <= at);
}

Test(falls, one_who_overtakes)
{
	uint64_t file, offset, len, at, from, to;
	struct falls f;

	falls_init(&f, PAGE);
	at = go_down(&f, 7, TENSOR);
	cr_assert(falls_take(&f, &file, &offset, &len));
	cr_assert_eq(offset + len, at - 2 * LEN);
	at = offset - LEN; /* below what was taken */
	cr_assert(note(&f, 7, at, LEN));
	drain(&f, 7, &from, &to);
	cr_assert_eq(to, at - 2 * LEN);
}

Test(falls, readers_who_go_up_or_jump)
{
	uint64_t file, offset, len, at = 0;
	struct falls f;

	falls_init(&f, PAGE);
	for (int i = 0; i < 400; i++, at += LEN)
		cr_assert_not(note(&f, 7, i & 1 ? at - LEN : at + LEN, LEN), "two threads answer, in the wrong order");
	for (int i = 0; i < 400; i++)
		cr_assert_not(note(&f, 7, (uint64_t)i * 7919 % 4000 * LEN, LEN), "all over the file");
	for (int i = 400; i-- > 0;)
		cr_assert_not(note(&f, 7, (uint64_t)i * 4 * MIB, LEN), "beginnings, from the last one on");
	for (uint64_t i = 400; i-- > 0;)
		cr_assert_not(note(&f, 7, i * MIB, PAGE), "a page of each MiB, from the last one on");
	for (uint64_t i = 400; i-- > 0;)
		cr_assert_not(falls_note(&f, &(struct falls_read){ 7, i * LEN, LEN, i * LEN, (i + 1) * LEN }), "whole tensors, from the last one on");
	cr_assert_not(falls_take(&f, &file, &offset, &len));
}

Test(falls, more_readers_than_there_is_room_for)
{
	uint64_t file, offset, len;
	struct falls f;

	falls_init(&f, PAGE);
	for (uint64_t i = 1; i <= 3 * FALLS_MOST; i++)
		go_down(&f, i, TENSOR);
	cr_assert(falls_take(&f, &file, &offset, &len));
	cr_assert_eq(file, 3 * FALLS_MOST, "who has read last");
	falls_drop(&f, file);
	cr_assert(falls_take(&f, &file, &offset, &len));
	cr_assert_eq(file, 3 * FALLS_MOST - 1);
}
