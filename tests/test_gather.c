/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Gathering from real files. The reference writes every byte of a tensor into the piece that holds it, by index arithmetic, and
 * reads images off the tensor; it knows nothing of runs. The shapes are such that each way of reading is taken: straight, through
 * the staging buffer, row by row, and more than one batch of each bound.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/model/gather.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define RANGES 60

/* Tensors of bytes, all of one shape, cut in `down` x `across` by the sources and shown as block `block` of another grid. */
struct shape {
	const char *what;
	uint64_t tensors, rows, columns;
	uint32_t down, across, sources;
	uint32_t image_down, image_across, block;
};

struct world {
	struct shape s;
	struct model *model;
	struct image *image;
	uint8_t *want; /* [image->size] */
	char dir[64];
	uint64_t seed;
};

static uint64_t draw(struct world *w, uint64_t below)
{
	w->seed = w->seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (w->seed >> 33) % below;
}

/* The byte of tensor `t` at a row and a column. */
static uint8_t byte_at(uint64_t t, uint64_t row, uint64_t column)
{
	uint64_t x = (t * 1000003 + row) * 1000003 + column;

	return (uint8_t)((x * UINT64_C(0x9e3779b97f4a7c15)) >> 56);
}

static FILE *open_source(const struct world *w, uint32_t number, const char *mode)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%u", w->dir, number);
	return fopen(path, mode);
}

/* Appends the block of tensor `t` to its source, behind a gap; where it begins. */
static uint64_t write_piece(const struct world *w, FILE *f, uint64_t t, uint32_t block, uint64_t gap)
{
	uint64_t height = w->s.rows / w->s.down, width = w->s.columns / w->s.across, at;

	for (uint64_t i = 0; i < gap; i++)
		fputc(0xee, f);
	at = (uint64_t)ftell(f);
	for (uint64_t r = 0; r < height; r++)
		for (uint64_t c = 0; c < width; c++)
			putc_unlocked(byte_at(t, block / w->s.across * height + r, block % w->s.across * width + c), f);
	return at;
}

static struct grid grid_of(struct arena *arena, uint32_t down, uint32_t across)
{
	uint32_t *cuts = arena_alloc(arena, 2, sizeof(*cuts));

	cuts[0] = down;
	cuts[1] = across;
	return (struct grid){ .axes = 2, .blocks = down * across, .cuts = cuts };
}

/* Writes all tensors into the source files and describes them. */
static struct tensor *write_tensors(struct world *w)
{
	struct arena *arena = w->model->arena;
	struct tensor *tensors = arena_alloc(arena, w->s.tensors, sizeof(*tensors));
	uint64_t *shape = arena_alloc(arena, 2, sizeof(*shape));
	FILE **files = calloc(w->s.sources, sizeof(*files));

	shape[0] = w->s.rows;
	shape[1] = w->s.columns;
	for (uint32_t i = 0; i < w->s.sources; i++)
		files[i] = open_source(w, i, "w");
	for (uint64_t t = 0; t < w->s.tensors; t++) {
		struct grid grid = grid_of(arena, w->s.down, w->s.across);
		struct piece *pieces = arena_alloc(arena, grid.blocks, sizeof(*pieces));

		for (uint32_t b = 0; b < grid.blocks; b++) {
			uint32_t source = (uint32_t)((b + t) % w->s.sources);
			uint64_t gap = draw(w, 4) == 0 ? draw(w, 9000) : 0;

			pieces[b] = (struct piece){ write_piece(w, files[source], t, b, gap), source };
		}
		tensors[t] = (struct tensor){ .name = "t", .shape = shape, .pieces = pieces, .grid = grid, .axes = 2,
					      .bytes = w->s.rows * w->s.columns, .dtype = DTYPE_U8 };
	}
	for (uint32_t i = 0; i < w->s.sources; i++)
		fclose(files[i]);
	free(files);
	return tensors;
}

/* The image: the block of each tensor, and bytes of ours before every fourth. */
static void make_image(struct world *w, const struct tensor *tensors)
{
	static const uint8_t ours[] = "ours";
	struct grid *grid = arena_alloc(w->model->arena, 1, sizeof(*grid));
	uint64_t height = w->s.rows / w->s.image_down, width = w->s.columns / w->s.image_across;
	uint8_t *p;

	*grid = grid_of(w->model->arena, w->s.image_down, w->s.image_across);
	w->image = image_new(w->model->arena, 2 * w->s.tensors);
	w->want = p = malloc(w->s.tensors * (sizeof(ours) + height * width));
	for (uint64_t t = 0; t < w->s.tensors; t++) {
		if (t % 4 == 0) {
			image_add_literal(w->image, (struct bytes){ ours, sizeof(ours) });
			p = (uint8_t *)memcpy(p, ours, sizeof(ours)) + sizeof(ours);
		}
		image_add_block(w->image, &tensors[t], grid, w->s.block);
		for (uint64_t r = 0; r < height; r++)
			for (uint64_t c = 0; c < width; c++)
				*p++ = byte_at(t, w->s.block / w->s.image_across * height + r, w->s.block % w->s.image_across * width + c);
	}
	cr_assert_eq((uint64_t)(p - w->want), w->image->size);
}

static struct world make(struct shape shape)
{
	struct world w = { .s = shape, .model = model_new(), .dir = "/tmp/gatherfs-gather-XXXXXX", .seed = 7 };
	struct error err = { "" };

	cr_assert_not_null(mkdtemp(w.dir));
	make_image(&w, write_tensors(&w));
	for (uint32_t i = 0; i < shape.sources; i++) {
		char path[128];
		uint32_t number;

		snprintf(path, sizeof(path), "%s/%u", w.dir, i);
		cr_assert_eq(source_open(w.model->sources, path, &number, &err), 0, "%s", err.msg);
		cr_assert_eq(number, i);
	}
	return w;
}

static void unmake(struct world *w)
{
	char path[128];

	for (uint32_t i = 0; i < w->s.sources; i++) {
		snprintf(path, sizeof(path), "%s/%u", w->dir, i);
		unlink(path);
	}
	rmdir(w->dir);
	free(w->want);
	model_free(w->model);
}

/* Gathers one range; the bytes around it must stay as they were. */
static void check_range(struct world *w, struct gather *g, uint64_t offset, uint64_t len)
{
	uint8_t *dst = malloc(len + 16);
	struct gather_range range = { w->model, w->image, offset, len, dst + 8 };
	struct error err = { "" };
	uint32_t source;

	memset(dst, 0xaa, len + 16);
	cr_assert_eq(gather_bytes(g, &range, &source, &err), 0, "%s: %s", w->s.what, err.msg);
	cr_assert(memcmp(dst + 8, w->want + offset, len) == 0, "%s: [%lu, +%lu)", w->s.what, offset, len);
	for (int i = 0; i < 8; i++)
		cr_assert(dst[i] == 0xaa && dst[len + 8 + (uint64_t)i] == 0xaa, "%s: written outside [%lu, +%lu)", w->s.what, offset, len);
	free(dst);
}

Test(gather, every_way_of_reading)
{
	static const struct shape cases[] = {
		{ "rows of 16 bytes from 4 files", 1, 40000, 64, 1, 4, 4, 1, 1, 0 },
		{ "rows of 2 bytes", 3, 500, 8, 1, 4, 2, 1, 1, 0 },
		{ "rows of 4 bytes", 3, 500, 16, 1, 4, 2, 1, 1, 0 },
		{ "rows of 8 bytes", 3, 500, 32, 1, 4, 2, 1, 1, 0 },
		{ "rows of 32 bytes", 3, 500, 128, 1, 4, 2, 1, 1, 0 },
		{ "rows of 64 bytes", 3, 500, 256, 1, 4, 2, 1, 1, 0 },
		{ "more rows than the buffer takes", 1, 70000, 40, 1, 2, 2, 1, 1, 0 },
		{ "rows of odd lengths", 2, 30000, 63, 2, 7, 5, 1, 1, 0 },
		{ "rows that are read straight", 1, 50, 40000, 1, 2, 2, 1, 1, 0 },
		{ "long rows, one read a file", 3, 300, 36000, 1, 4, 4, 1, 1, 0 },
		{ "long rows of more parts than a read takes", 1, 500, 20000, 1, 2, 2, 1, 1, 0 },
		{ "blocks of tensor after tensor", 40, 16, 10000, 8, 1, 8, 1, 1, 0 },
		{ "more files than reads wait", 3, 100, 20000, 100, 1, 100, 1, 1, 0 },
		{ "blocks that follow one another", 1, 4096, 512, 16, 1, 16, 1, 1, 0 },
		{ "whole tensors of one file, in order", 50, 40, 500, 1, 1, 1, 1, 1, 0 },
		{ "many small tensors", 700, 3, 5, 3, 1, 3, 1, 1, 0 },
		{ "many small tensors, each in pieces", 700, 4, 6, 2, 3, 6, 1, 1, 0 },
		{ "more files than spans and stamps", 1, 2000, 600, 1, 200, 200, 1, 1, 0 },
		{ "more files than stamps, one after the other", 1, 600, 2000, 200, 1, 200, 1, 1, 0 },
		{ "a narrow block of wide rows", 2, 300, 20000, 1, 1, 1, 1, 50, 7 },
		{ "a narrow block of rows a little wider", 2, 3000, 800, 1, 1, 1, 1, 2, 1 },
		{ "a block that lies across pieces", 1, 600, 1200, 2, 4, 8, 3, 3, 4 },
		{ "one byte of each row", 1, 3000, 512, 1, 2, 2, 1, 512, 300 },
		{ "single bytes", 1, 500, 500, 1, 500, 9, 1, 1, 0 },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct world w = make(cases[i]);
		struct gather *g = gather_new();

		check_range(&w, g, 0, w.image->size);
		check_range(&w, g, 0, 1);
		check_range(&w, g, w.image->size - 1, 1);
		check_range(&w, g, w.image->size, 0);
		for (int k = 0; k < RANGES; k++) {
			uint64_t offset = draw(&w, w.image->size), left = w.image->size - offset;

			check_range(&w, g, offset, k % 2 ? draw(&w, left + 1) : draw(&w, (left < 5000 ? left : 5000) + 1));
		}
		gather_free(g);
		unmake(&w);
	}
}

static const struct shape stamped = { "70 files", 1, 700, 700, 1, 70, 70, 1, 1, 0 };

/* Gathers the whole image; what comes back, and the file at fault. */
static int gather_all(struct world *w, uint32_t *source, struct error *err)
{
	struct gather *g = gather_new();
	uint8_t *dst = malloc(w->image->size);
	struct gather_range range = { w->model, w->image, 0, w->image->size, dst };
	int rc = gather_bytes(g, &range, source, err);

	if (rc == 0)
		cr_assert(memcmp(dst, w->want, w->image->size) == 0);
	free(dst);
	gather_free(g);
	return rc;
}

static void truncate_it(const char *path)
{
	cr_assert_eq(truncate(path, 100), 0);
}

static void grow_it(const char *path)
{
	FILE *f = fopen(path, "a");

	fputc(0, f);
	fclose(f);
}

static void overwrite_it(const char *path)
{
	FILE *f = fopen(path, "r+");

	fputc(0x55, f);
	fclose(f);
}

static void touch_it(const char *path)
{
	const struct timespec times[2] = { { 1, 0 }, { 1, 5 } };

	cr_assert_eq(utimensat(AT_FDCWD, path, times, 0), 0);
}

static void chmod_it(const char *path)
{
	cr_assert_eq(chmod(path, 0400), 0);
}

static void unlink_it(const char *path)
{
	cr_assert_eq(unlink(path), 0);
}

/* A new file under the old name is another file: the open one still has its bytes. */
static void replace_it(const char *path)
{
	FILE *f;

	cr_assert_eq(unlink(path), 0);
	f = fopen(path, "w");
	fputs("other bytes", f);
	fclose(f);
}

/* What happens to a file, first or last of many, and whether its bytes may still be served. */
Test(gather, sources_that_change)
{
	static const struct {
		void (*happen)(const char *path);
		const char *says; /* NULL: it may be served */
	} cases[] = {
		{ truncate_it, "changed since it was mounted: size: expected 7" },
		{ grow_it, "changed since it was mounted: size: expected 7" },
		{ overwrite_it, "changed since it was mounted: mtime: expected" },
		{ touch_it, "found 1.000000005" },
		{ chmod_it, NULL },
		{ unlink_it, NULL },
		{ replace_it, NULL },
	};
	static const uint32_t which[] = { 0, 3, 69 };

	for (size_t i = 0; i < COUNT(cases); i++)
		for (size_t k = 0; k < COUNT(which); k++) {
			struct world w = make(stamped);
			struct error err = { "" };
			uint32_t source = 999;
			char path[128];

			snprintf(path, sizeof(path), "%s/%u", w.dir, which[k]);
			cr_assert_eq(gather_all(&w, &source, &err), 0, "%s", err.msg);
			usleep(5000); /* past the clock tick that stamped the file */
			cases[i].happen(path);
			cr_assert_eq(gather_all(&w, &source, &err), cases[i].says ? -EIO : 0, "case %zu: %s", i, err.msg);
			if (cases[i].says) {
				cr_assert(strstr(err.msg, path) == err.msg, "case %zu: %s", i, err.msg);
				cr_assert(strstr(err.msg, cases[i].says), "case %zu: %s", i, err.msg);
				cr_assert_eq(source, which[k]);
			}
			unmake(&w);
		}
}

/* A gather that has failed works again for another range. */
Test(gather, goes_on_after_an_error)
{
	struct world bad = make(stamped), good = make(stamped);
	struct gather *g = gather_new();
	uint8_t *dst = malloc(bad.image->size);
	struct gather_range range = { bad.model, bad.image, 0, bad.image->size, dst };
	struct error err;
	uint32_t source;
	char path[128];

	snprintf(path, sizeof(path), "%s/5", bad.dir);
	truncate_it(path);
	cr_assert_eq(gather_bytes(g, &range, &source, &err), -EIO);
	check_range(&good, g, 0, good.image->size);
	free(dst);
	gather_free(g);
	unmake(&bad);
	unmake(&good);
}

/* Rows that come from a mapping: a file cut off before them faults there, and one cut off just behind them still has changed. */
Test(gather, mapped_source_that_is_cut_off)
{
	static const struct shape strided = { "a narrow block of rows", 1, 3000, 8192, 1, 1, 1, 1, 4, 1 };
	static const off_t left[] = { 0, 100, 4096, 3000 * 8192 / 2 + 77, 3000 * 8192 - 1 };

	for (size_t i = 0; i < COUNT(left); i++) {
		struct world w = make(strided);
		struct error err = { "" };
		uint32_t source = 999;
		char path[128];

		snprintf(path, sizeof(path), "%s/0", w.dir);
		cr_assert_eq(gather_all(&w, &source, &err), 0, "%s", err.msg);
		cr_assert_not_null(atomic_load(w.model->sources->list[0].map), "a weak test: nothing was mapped");
		cr_assert_eq(truncate(path, left[i]), 0);
		cr_assert_eq(gather_all(&w, &source, &err), -EIO, "cut to %ld", (long)left[i]);
		cr_assert(strstr(err.msg, "changed since it was mounted: size"), "cut to %ld: %s", (long)left[i], err.msg);
		cr_assert_eq(source, 0);
		unmake(&w);
	}
}
