/* SPDX-License-Identifier: Apache-2.0 */
/* What is read ahead of which reads: a reader in order, one that jumps about, several at once, and steps given back. */
#include <criterion/criterion.h>

#include "fs/serve/streams.h"

#define MIB (UINT64_C(1) << 20)
#define SIZE (UINT64_C(1) << 30)

static const int images[64]; /* their addresses stand for images */

static struct stream *note(struct streams *s, const void *image, uint64_t offset, uint64_t len)
{
	struct streams_read read = { image, SIZE, offset, len };
	struct stream *stream = streams_find(s, &read);

	streams_note(s, stream, &read);
	return stream;
}

/* Takes all that is wanted; how much it was. Each step must go on where the one before ended. */
static uint64_t drain(struct streams *s)
{
	uint64_t sum = 0, from, to, last = 0;
	struct stream *stream;

	while ((stream = streams_next(s))) {
		streams_take(stream, &from, &to);
		cr_assert(from < to && to - from <= STREAMS_STEP);
		cr_assert(sum == 0 || from == last, "from %lu after %lu", (unsigned long)from, (unsigned long)last);
		sum += to - from;
		last = to;
	}
	return sum;
}

Test(streams, a_reader_in_order)
{
	uint64_t asked = 0, at = 0, len = 128 << 10;
	struct streams s;

	streams_init(&s, 256 * MIB);
	cr_assert_eq(s.count, STREAMS_MOST);
	cr_assert_eq(s.share, 16 * MIB);
	for (int i = 0; i < 400; i++, at += len) {
		struct stream *stream = note(&s, &images[0], at, len);

		cr_assert(i > 0 || !streams_wants(stream), "one read is no reader in order");
		cr_assert(i != 1 || stream->ahead == 2 * len + 4 * len, "the first window");
		asked += drain(&s);
		cr_assert_leq(stream->ahead, stream->at + s.share, "never more than the share");
		cr_assert(i < 160 || stream->ahead >= stream->at + s.share / 2, "never less than half of it");
	}
	cr_assert_leq(asked, at + s.share);
}

Test(streams, the_window_doubles)
{
	uint64_t windows[8], n = 0;
	struct streams s;

	streams_init(&s, 64 * MIB);
	for (uint64_t at = 0; at < 32 * MIB; at += MIB / 8) {
		struct stream *stream = note(&s, &images[0], at, MIB / 8);

		drain(&s);
		if (stream->window && (n == 0 || windows[n - 1] != stream->window))
			windows[n++] = stream->window;
	}
	cr_assert_eq(n, 4);
	for (uint64_t i = 0; i < n; i++)
		cr_assert_eq(windows[i], MIB / 2 << i);
}

Test(streams, the_end_of_an_image)
{
	struct streams s;
	struct stream *stream;

	streams_init(&s, 256 * MIB);
	note(&s, &images[0], SIZE - 4 * MIB, MIB);
	note(&s, &images[0], SIZE - 3 * MIB, MIB);
	cr_assert_eq(drain(&s), 2 * MIB);
	stream = note(&s, &images[0], SIZE - MIB, 4 * MIB);
	cr_assert_eq(stream->at, SIZE);
	cr_assert_eq(drain(&s), 0);
}

/* Far apart, or the same bytes again. */
Test(streams, no_reader_in_order)
{
	struct streams s;

	streams_init(&s, 256 * MIB);
	for (uint64_t i = 0; i < 100; i++)
		note(&s, &images[0], i * 37 % 100 * 10 * MIB, 4096);
	cr_assert_eq(drain(&s), 0);
	for (uint64_t i = 0; i < 100; i++)
		note(&s, &images[2], 5 * MIB, MIB);
	cr_assert_eq(drain(&s), 0);
}

/* From the end of a tensor to its beginning, tensor after tensor: as much is asked for as of one who reads in order. */
Test(streams, a_reader_that_goes_down)
{
	uint64_t len = 512 << 10, from, to;
	struct streams s;
	struct stream *stream;

	streams_init(&s, 256 * MIB);
	for (uint64_t tensor = 0; tensor < 4; tensor++) {
		uint64_t end = (tensor + 1) * 64 * MIB, asked = 0;

		for (uint64_t at = end - len; at >= end - 40 * MIB; at -= len) {
			stream = note(&s, &images[0], at, len);
			cr_assert_eq(stream->down, at <= end - 8 * len, "a fall of 4 MiB shows it");
			cr_assert(!stream->down || stream->at == SIZE - at, "places count from the end");
			if (at == end - 8 * len) {
				cr_assert(streams_next(&s) == stream);
				streams_take(stream, &from, &to);
				cr_assert_eq(from, SIZE - at);
				asked += to - from;
			}
			asked += drain(&s);
			cr_assert(at > end - 20 * MIB || stream->ahead >= stream->at + s.share / 2, "never less than half of the share");
		}
		cr_assert_leq(asked, 36 * MIB + s.share);
	}
}

/* The kernel's windows of read-ahead are several requests each, in order in themselves. */
Test(streams, goes_down_by_windows)
{
	struct streams s;
	struct stream *stream = NULL;

	streams_init(&s, 256 * MIB);
	for (uint64_t window = 64; window-- > 32;)
		for (uint64_t i = 0; i < 4; i++)
			stream = note(&s, &images[0], window * 4 * MIB + i * MIB, MIB);
	cr_assert(stream->down);
	cr_assert_geq(stream->ahead, stream->at + s.share / 2);
}

/* Each copied from its end, but all in order, as a whole: that is a reader in order. */
Test(streams, small_tensors_from_their_ends)
{
	uint64_t len = 64 << 10, asked = 0;
	struct streams s;

	streams_init(&s, 256 * MIB);
	for (uint64_t tensor = 1; tensor <= 64; tensor++)
		for (uint64_t at = tensor * 3 * MIB - len; at > (tensor - 1) * 3 * MIB; at -= len) {
			struct stream *stream = note(&s, &images[0], at, len);

			asked += drain(&s);
			cr_assert(!stream->down);
			cr_assert(tensor < 16 || stream->ahead >= stream->at + s.share / 2);
		}
	cr_assert_leq(asked, 64 * 3 * MIB + s.share);
}

/* A tensor from its end, and then on from where that was. */
Test(streams, down_and_up)
{
	struct streams s;
	struct stream *stream = NULL;

	streams_init(&s, 256 * MIB);
	for (uint64_t i = 100; i-- > 60;)
		stream = note(&s, &images[0], i * MIB, MIB);
	cr_assert(stream->down);
	for (uint64_t i = 100; i < 140; i++)
		stream = note(&s, &images[0], i * MIB, MIB);
	cr_assert(!stream->down);
	cr_assert_eq(stream->at, 140 * MIB);
	cr_assert(streams_wants(stream));
}

/* Reads in disorder, as several threads answer them, are one stream, and nothing is wanted twice. */
Test(streams, in_disorder)
{
	static const uint64_t order[] = { 1, 0, 3, 2, 5, 4, 7, 6 };
	uint64_t asked = 0;
	struct streams s;

	streams_init(&s, 256 * MIB);
	for (uint64_t i = 0; i < 400; i++) {
		note(&s, &images[0], (i / 8 * 8 + order[i % 8]) * MIB / 8, MIB / 8);
		asked += drain(&s);
	}
	cr_assert_eq(s.list[1].used, 0, "a second stream");
	cr_assert_geq(asked, 49 * MIB);
	cr_assert_leq(asked, 50 * MIB + s.share);
}

/* Each has a stream, up to the most; one more takes the place of the one that rested longest. */
Test(streams, several_readers)
{
	struct streams s;
	struct stream *first, *other;

	streams_init(&s, 256 * MIB);
	for (uint64_t at = 0; at < 4 * MIB; at += MIB)
		for (int i = 0; i < STREAMS_MOST; i++)
			note(&s, &images[i], at, MIB);
	for (uint32_t i = 0; i < 2 * STREAMS_MOST; i++) {
		uint64_t from, to;
		struct stream *next = streams_next(&s);

		cr_assert_not_null(next);
		cr_assert_eq(next, &s.list[(i + 1) % STREAMS_MOST], "in turn");
		streams_take(next, &from, &to);
	}
	first = note(&s, &images[0], 4 * MIB, MIB);
	other = note(&s, &images[40], 0, MIB);
	cr_assert_neq(first, other);
	cr_assert_eq(other->image, &images[40]);
	cr_assert_eq(other - s.list, 1, "the second had rested longest");
	cr_assert(!streams_wants(other));
}

/* Two readers of one image, far apart, are two streams. */
Test(streams, two_places)
{
	struct streams s;
	struct stream *a = NULL, *b = NULL;

	streams_init(&s, 256 * MIB);
	for (uint64_t at = 0; at < 4 * MIB; at += MIB) {
		a = note(&s, &images[0], at, MIB);
		b = note(&s, &images[0], SIZE / 2 + at, MIB);
	}
	cr_assert_neq(a, b);
	cr_assert(streams_wants(a) && streams_wants(b));
}

Test(streams, a_reader_that_overtakes)
{
	struct streams s;
	struct stream *stream;

	streams_init(&s, 256 * MIB);
	note(&s, &images[0], 0, MIB);
	stream = note(&s, &images[0], MIB, MIB);
	cr_assert_eq(stream->taken, 2 * MIB);
	note(&s, &images[0], 4 * MIB, MIB);
	cr_assert_eq(stream->taken, 5 * MIB, "what he has read is wanted no more");
}

/* A storage that drops steps is asked for less than it took, and then slowly for more. */
Test(streams, a_busy_storage)
{
	uint64_t from, to, at = 0, before;
	struct streams s;
	struct stream *stream = NULL;

	streams_init(&s, 256 * MIB);
	for (; at < 32 * MIB || !streams_wants(stream); at += MIB)
		stream = note(&s, &images[0], at, MIB);
	cr_assert_eq(stream->window, 16 * MIB);
	streams_take(stream, &from, &to);
	streams_shrink(stream, &images[1], from);
	cr_assert_eq(stream->window, 16 * MIB, "of another image");
	while (from < at + 8 * MIB)
		streams_take(stream, &from, &to);
	streams_shrink(stream, &images[0], from);
	cr_assert_eq(stream->window, (from - at) / 4 * 3);
	cr_assert(!streams_wants(stream));
	cr_assert_eq(stream->ahead, from, "what was dropped is not ahead of the reader");
	for (int i = 0; i < 40; i++, at += MIB) {
		before = stream->window;
		note(&s, &images[0], at, MIB);
		cr_assert_leq(stream->window, before + before / 8, "it does not double");
		drain(&s);
	}
	cr_assert_gt(stream->window, 6 * MIB);
}

/* One that takes next to nothing beside the reader is left alone for a while. */
Test(streams, a_storage_without_room)
{
	uint64_t from, to, at = 0, tries = 0;
	struct streams s;

	streams_init(&s, 256 * MIB);
	for (; at < 512 * MIB; at += MIB) {
		struct stream *stream = note(&s, &images[0], at, MIB);

		if (!streams_wants(stream))
			continue;
		streams_take(stream, &from, &to);
		streams_shrink(stream, &images[0], from);
		tries++;
	}
	cr_assert_geq(tries, 4);
	cr_assert_leq(tries, 9, "tried %lu times in 512 MiB", (unsigned long)tries);
}

Test(streams, small_budgets)
{
	static const struct {
		uint64_t budget, share;
		uint32_t count;
	} cases[] = { { 1, 1, 1 }, { MIB, MIB, 1 }, { 3 * MIB, MIB, 3 }, { 16 * MIB, MIB, 16 }, { 64 * MIB, 4 * MIB, 16 }, { INT64_MAX, INT64_MAX / 16, 16 } };

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct streams s;

		streams_init(&s, cases[i].budget);
		cr_assert_eq(s.share, cases[i].share, "case %zu", i);
		cr_assert_eq(s.count, cases[i].count, "case %zu", i);
		for (uint64_t at = 0; at < 20 * MIB; at += MIB) {
			struct stream *stream = note(&s, &images[0], at, MIB);

			cr_assert_leq(stream->ahead - stream->at, cases[i].budget);
		}
	}
}
