/* SPDX-License-Identifier: Apache-2.0 */
/* See npy.h. numpy leaves blanks in the header for the first axis to grow to 21 digits; so do we, to have the same bytes. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "layout/values/values.h"
#include "layout/view/npy.h"

#define ALIGN 64
#define GROWTH 21 /* digits */
#define BEFORE 10 /* bytes before the text: magic, version, length */

const char *npy_type(enum dtype dtype)
{
	const char *own = values_numpy(dtype);

	return own ? own : dtype_bits(dtype) == 16 ? "<u2" : "|u1";
}

void npy_shape(const struct tensor *t, struct text *text)
{
	if (dtype_bits(t->dtype) < 8) {
		text_add(text, "(%" PRIu64 ",)", t->bytes);
		return;
	}
	text_add(text, "(");
	for (uint32_t a = 0; a < t->axes; a++)
		text_add(text, a ? ", %" PRIu64 : "%" PRIu64, t->shape[a]);
	text_add(text, t->axes == 1 ? ",)" : ")");
}

/* Digits that the first axis may still grow by. */
static uint64_t growth(const struct tensor *t)
{
	bool packed = dtype_bits(t->dtype) < 8;

	if (t->axes == 0 && !packed)
		return 0;
	return (uint64_t)(GROWTH - snprintf(NULL, 0, "%" PRIu64, packed ? t->bytes : t->shape[0]));
}

int npy_header(const struct tensor *t, struct arena *arena, struct bytes *out)
{
	struct text text = TEXT_EMPTY;
	uint64_t len;

	text_add_bytes(&text, "\x93NUMPY\x01\x00??", BEFORE);
	text_add(&text, "{'descr': '%s', 'fortran_order': False, 'shape': ", npy_type(t->dtype));
	npy_shape(t, &text);
	text_add(&text, ", }");
	text_pad(&text, ' ', growth(t));
	text_pad(&text, ' ', ALIGN - (text.len + 1) % ALIGN);
	text_pad(&text, '\n', 1);
	if (!text.failed) {
		len = text.len - BEFORE;
		text.ptr[8] = (char)(len & 0xff);
		text.ptr[9] = (char)(len >> 8);
	}
	return text_finish(&text, arena, out);
}

/* The tensor behind `before`. */
static const struct image *image_of(const struct tensor *t, struct bytes before, struct arena *arena)
{
	struct grid *whole = arena_alloc(arena, 1, sizeof(*whole));
	struct image *image = image_new(arena, 2);

	if (!whole || !image)
		return NULL;
	*whole = box_uncut(t->axes);
	image_add_literal(image, before);
	image_add_block(image, t, whole, 0);
	return image;
}

const struct image *npy_image(const struct tensor *t, struct arena *arena)
{
	struct bytes header;

	return npy_header(t, arena, &header) < 0 ? NULL : image_of(t, header, arena);
}

const struct image *npy_raw_image(const struct tensor *t, struct arena *arena)
{
	return image_of(t, (struct bytes){ .len = 0 }, arena);
}
