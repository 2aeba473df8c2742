/* SPDX-License-Identifier: Apache-2.0 */
/* Fingerprints: XXH3-128 as xxhsum prints it, and views that are told apart by whatever makes their bytes others. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "layout/names/weave.h"
#include "layout/view/fingerprint.h"

Test(fingerprint, is_what_xxhsum_prints)
{
	static const char text[] = "The quick brown fox jumps over the lazy dog";
	struct fingerprint_state *state = fingerprint_begin();
	char out[FINGERPRINT_TEXT];

	fingerprint_add(state, text, 3);
	fingerprint_add(state, text + 3, sizeof(text) - 4);
	cr_assert_str_eq(fingerprint_write(fingerprint_end(state), out), "ddd650205ca3e7fa24a1cc2e3a8a7651");
	cr_assert_str_eq(fingerprint_write(fingerprint_end(fingerprint_begin()), out), "99aa06d3014798d86001c324468d497f");
}

Test(fingerprint, is_read_back)
{
	struct fingerprint f = { UINT64_C(0x00ff00ff12345678), 1 }, back;
	char out[FINGERPRINT_TEXT];

	cr_assert(fingerprint_parse(fingerprint_write(f, out), &back) && fingerprint_equal(f, back));
	cr_assert(!fingerprint_equal(f, (struct fingerprint){ f.high, 2 }) && !fingerprint_equal(f, (struct fingerprint){ 1, f.low }));
	for (int i = 0; i < FINGERPRINT_TEXT - 1; i++) {
		char bad[FINGERPRINT_TEXT];

		for (const char *c = "gA -\n"; ; c++) {
			memcpy(bad, out, sizeof(bad));
			bad[i] = *c;
			cr_assert(!fingerprint_parse(bad, &back), "\"%s\"", bad);
			if (!*c)
				break;
		}
	}
}

/* A view with everything in it, by which tests change one thing at a time. */
struct made {
	struct piece pieces[4], copy;
	uint32_t cuts[2], view_cuts[2];
	uint64_t shape[2];
	struct weave_part part;
	struct weave weave;
	struct tensor tensors[2], outside;
	const struct tensor *of;
	struct woven woven;
	struct grid grid;
	struct checkpoint ckpt;
	struct extent extents[4];
	struct image image;
	struct view_file file;
	struct view view;
};

static void make(struct made *m)
{
	*m = (struct made){ .pieces = { { 100, 1 }, { 200, 2 }, { 300, 3 }, { 400, 4 } }, .copy = { 5, 6 }, .cuts = { 2, 2 }, .view_cuts = { 1, 4 },
			    .shape = { 4, 8 } };
	m->grid = (struct grid){ 2, 4, m->view_cuts };
	m->tensors[0] = (struct tensor){ .name = "a", .shape = m->shape, .pieces = m->pieces, .grid = { 2, 4, m->cuts }, .bytes = 128, .dtype = DTYPE_F32,
					 .axes = 2 };
	m->outside = (struct tensor){ .name = "o", .pieces = &m->copy, .grid = { 0, 1, NULL }, .bytes = 4, .dtype = DTYPE_I32 };
	m->part = (struct weave_part){ .count = { 4, 8 }, .step = { 1, 1 }, .axis = { 0, 1 } };
	m->of = &m->tensors[0];
	m->woven = (struct woven){ &m->weave, &m->of };
	m->weave = (struct weave){ .factors = 2, .shape = { 4, 8 }, .of = { 0, 1 }, .parts = &m->part, .count = 1 };
	m->tensors[1] = (struct tensor){ .name = "w", .shape = m->shape, .woven = &m->woven, .grid = box_uncut(2), .bytes = 128, .dtype = DTYPE_F32, .axes = 2 };
	m->ckpt = (struct checkpoint){ .tensors = m->tensors, .count = 2, .outside = &m->outside, .outside_count = 1 };
	m->extents[0] = (struct extent){ .kind = EXTENT_LITERAL, .literal = (const uint8_t *)"12345678" };
	m->extents[1] = (struct extent){ .offset = 8, .kind = EXTENT_BLOCK, .block = 1, .tensor = &m->tensors[0], .grid = &m->grid };
	m->extents[2] = (struct extent){ .offset = 40, .kind = EXTENT_BLOCK, .block = 1, .tensor = &m->tensors[1], .grid = &m->grid };
	m->extents[3] = (struct extent){ .offset = 72, .kind = EXTENT_RANGE, .range = { 9, 9 } };
	m->image = (struct image){ .extents = m->extents, .count = 4, .capacity = 4, .size = 80 };
	m->file = (struct view_file){ "f", &m->image };
	m->view = (struct view){ &m->file, 1, 1 };
}

static struct fingerprint print(const struct made *m)
{
	struct fingerprint_state *state = fingerprint_begin();

	fingerprint_add_view(state, &m->view, &m->ckpt);
	return fingerprint_end(state);
}

#define CHANGES(what) \
	do { \
		make(m); \
		what; \
		cr_assert(!fingerprint_equal(print(m), same), "no change: " #what); \
	} while (0)

Test(fingerprint, tells_views_apart)
{
	struct made *m = malloc(sizeof(*m)), *again = malloc(sizeof(*again));
	struct fingerprint same;

	make(m);
	make(again);
	same = print(m);
	cr_assert(fingerprint_equal(print(again), same), "addresses do not matter");
	CHANGES(m->pieces[3].offset++);
	CHANGES(m->pieces[2].source++);
	CHANGES(m->copy.offset++);
	CHANGES(m->cuts[0] = 4; m->cuts[1] = 1);
	CHANGES(m->view_cuts[0] = 4; m->view_cuts[1] = 1);
	CHANGES(m->shape[0] = 8; m->shape[1] = 4);
	CHANGES(m->tensors[0].dtype = DTYPE_I32);
	CHANGES(m->tensors[0].name = "b");
	CHANGES(m->part.base[0] = 1);
	CHANGES(m->part.axis[0] = 1);
	CHANGES(m->part.step[1] = 2);
	CHANGES(m->weave.of[1] = 0);
	CHANGES(m->of = &m->outside);
	CHANGES(m->extents[0].literal = (const uint8_t *)"12345679");
	CHANGES(m->extents[1].block = 2);
	CHANGES(m->extents[1].tensor = &m->tensors[1]);
	CHANGES(m->extents[3].range.offset++);
	CHANGES(m->extents[3].range.source++);
	CHANGES(m->image.size++);
	CHANGES(m->file.path = "g");
	CHANGES(m->view.count = 0);
	CHANGES(m->ckpt.outside_count = 0);
	free(m);
	free(again);
}
