/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files in memory, and the bytes of images over them. Planned bytes are copied by the simplest loop there is, so that a wrong run
 * cannot be hidden by a clever copy.
 */
#ifndef TESTS_PROP_GATHER_H
#define TESTS_PROP_GATHER_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "layout/view/plan.h"
#include "layout/view/view.h"

#define RANGES 12 /* ranges of each image to compare with the whole */

struct file {
	uint64_t tag; /* a strategy's kind (0 protobuf, 1 JSON), or a rank */
	struct bytes bytes;
	const char *path; /* of an image */
};

struct files {
	struct file *at;
	uint64_t count;
};

static inline void *must(void *ptr)
{
	if (!ptr)
		abort();
	return ptr;
}

/* Copies [offset, offset + len) of the image to `dst`; the number of bytes that the runs claim, or UINT64_MAX for one outside its file. */
static inline uint64_t gather(const struct image *image, const struct files *files, uint64_t offset, uint64_t len, uint8_t *dst)
{
	uint64_t total = 0, last = 0;
	struct plan plan;
	struct run r;

	plan_begin(&plan, image, offset, len);
	while (plan_next(&plan, &r)) {
		if (r.len == 0 || r.rows == 0 || r.dst < last)
			return UINT64_MAX;
		last = r.dst;
		for (uint64_t row = 0; row < r.rows; row++) {
			uint64_t src = r.src + row * r.src_stride, to = r.dst + row * r.dst_stride;

			if (to > len || r.len > len - to)
				return UINT64_MAX;
			if (r.literal)
				memcpy(dst + to, r.literal, r.len);
			else if (r.source >= files->count || src > files->at[r.source].bytes.len || r.len > files->at[r.source].bytes.len - src)
				return UINT64_MAX;
			else
				memcpy(dst + to, files->at[r.source].bytes.ptr + src, r.len);
			total += r.len;
		}
	}
	return total;
}

static inline uint64_t draw(uint64_t *state, uint64_t below)
{
	*state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (*state >> 33) % below;
}

/* Ranges of 1 byte, of a page, to the end, and of any size: each must equal the same range of the whole, and be claimed exactly once. */
static inline int compare_ranges(const struct image *image, const struct files *files, const uint8_t *whole, uint64_t *seed)
{
	for (int i = 0; i < RANGES; i++) {
		uint64_t at = draw(seed, image->size), left = image->size - at, len = left;
		uint8_t *part;

		if (i % 4 == 1 && (at = at / 4096 * 4096, left = image->size - at) > 0)
			len = left < 4096 ? left : 4096;
		else if (i % 4 != 0)
			len = i % 4 == 2 ? 1 : 1 + draw(seed, left < 600 ? left : 600);
		part = must(malloc(len));
		for (uint64_t b = 0; b < len; b++)
			part[b] = (uint8_t)~whole[at + b];
		bool same = gather(image, files, at, len, part) == len && memcmp(part, whole + at, len) == 0;
		free(part);
		if (!same)
			return i + 1;
	}
	return 0;
}

/* All bytes of a view over `sources`; ranges of each image are compared with the whole. False when one differs. */
static inline bool gather_view(const struct view *view, const struct files *sources, uint64_t seed, struct arena *arena, struct files *out)
{
	*out = (struct files){ must(arena_alloc(arena, view->count, sizeof(*out->at))), view->count };
	for (uint64_t i = 0; i < view->count; i++) {
		const struct image *image = view->files[i].image;
		uint8_t *whole = must(arena_alloc(arena, image->size, 1));
		unsigned int rank = 0;

		out->at[i] = (struct file){ .bytes = { whole, image->size }, .path = view->files[i].path };
		if (sscanf(view->files[i].path, "rank_%u/", &rank) == 1)
			out->at[i].tag = rank;
		if (gather(image, sources, 0, image->size, whole) != image->size)
			return false;
		if (image->size && compare_ranges(image, sources, whole, &seed))
			return false;
	}
	return true;
}

#endif
