/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Strategy files for tests, made byte by byte without nanopb. Layouts are written as text: map "0,-1" is plain, "1,0;" and
 * "1,0;-1" are nested.
 */
#ifndef TESTS_WIRE_H
#define TESTS_WIRE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "layout/base/bytes.h"

struct wire {
	uint8_t b[16384];
	size_t len;
};

struct lay {
	const char *name, *dev, *map; /* NULL: the field is left out */
	int step, size;
};

static inline struct bytes wire_bytes(const struct wire *w)
{
	return (struct bytes){ .ptr = w->b, .len = w->len };
}

static inline void wire_varint(struct wire *w, uint64_t v)
{
	for (; v > 127; v >>= 7)
		w->b[w->len++] = (uint8_t)(v & 127) | 128;
	w->b[w->len++] = (uint8_t)v;
}

static inline void wire_number(struct wire *w, unsigned field, int64_t v)
{
	wire_varint(w, field << 3);
	wire_varint(w, (uint64_t)v);
}

static inline void wire_block(struct wire *w, unsigned field, const void *ptr, size_t len)
{
	wire_varint(w, field << 3 | 2);
	wire_varint(w, len);
	memcpy(w->b + w->len, ptr, len);
	w->len += len;
}

/* A list of numbers, "2,4", ended by NUL or ';', as a message in `field`; what follows it. */
static inline const char *wire_list(struct wire *w, unsigned field, const char *numbers, bool packed)
{
	struct wire list = { .len = 0 }, values = { .len = 0 };
	char *end = (char *)(uintptr_t)numbers;

	while (*end && *end != ';') {
		long long v = strtoll(end + (*end == ','), &end, 10);

		if (packed)
			wire_varint(&values, (uint64_t)v);
		else
			wire_number(&list, 1, v);
	}
	if (packed && values.len)
		wire_block(&list, 1, values.b, values.len);
	wire_block(w, field, list.b, list.len);
	return end;
}

static inline void wire_layout_item(struct wire *w, const struct lay *lay, bool packed)
{
	struct wire item = { .len = 0 }, body = { .len = 0 };

	if (lay->dev)
		wire_list(&body, 1, lay->dev, packed);
	for (const char *p = lay->map; p; p = *p ? p + 1 : NULL)
		p = wire_list(&body, 2, p, packed);
	wire_block(&body, 3, "", 0);
	wire_block(&body, 4, "", 0);
	wire_number(&body, 5, 0);
	wire_number(&body, 6, lay->step);
	wire_number(&body, 7, lay->size);
	if (lay->name)
		wire_block(&item, 1, lay->name, strlen(lay->name));
	wire_block(&item, 2, body.b, body.len);
	wire_block(w, 3, item.b, item.len);
}

static inline void wire_strategy_item(struct wire *w, int64_t stage)
{
	struct wire item = { .len = 0 }, body = { .len = 0 };

	wire_number(&body, 1, stage);
	wire_list(&body, 2, "2,1", false);
	wire_block(&item, 1, "MatMul_op0", 10);
	wire_block(&item, 2, body.b, body.len);
	wire_block(w, 2, item.b, item.len);
}

/* A file of one stage, or with current_stage 1 the form of a merged one. `lays` ends with a NULL name. */
static inline struct wire wire_file(int64_t current_stage, int64_t stage, const struct lay *lays)
{
	struct wire w = { .len = 0 };

	wire_number(&w, 1, current_stage);
	wire_strategy_item(&w, stage);
	for (; lays->name; lays++)
		wire_layout_item(&w, lays, false);
	return w;
}

/* A whole file of the source tree, to be freed; NULL when it is not there. */
static inline uint8_t *wire_read(const char *path, size_t *len)
{
	FILE *f = fopen(path, "rb");
	uint8_t *all = malloc(1 << 20);

	*len = f && all ? fread(all, 1, 1 << 20, f) : 0;
	if (f)
		fclose(f);
	if (*len > 0)
		return all;
	free(all);
	return NULL;
}

#endif
