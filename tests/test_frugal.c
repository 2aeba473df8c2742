/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a read does not do, once its memory is there: allocate, lock, open a file. The functions that would are our own here and
 * count; they go on to the library's. (A sanitizer has its own memory functions, so under one only the others are counted.)
 */
#include <criterion/criterion.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fs/serve/pieces.h"

#define ROWS 3000

static __thread bool counting;
static __thread uint64_t counted;

int pthread_mutex_lock(pthread_mutex_t *lock)
{
	static int (*_Atomic real)(pthread_mutex_t *);

	if (!real)
		real = (int (*)(pthread_mutex_t *))dlsym(RTLD_NEXT, "pthread_mutex_lock");
	counted += counting;
	return real(lock);
}

#ifndef __SANITIZE_ADDRESS__
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *ptr, size_t size);

void *malloc(size_t size)
{
	counted += counting;
	return __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
	counted += counting;
	return __libc_calloc(count, size);
}

void *realloc(void *ptr, size_t size)
{
	counted += counting;
	return __libc_realloc(ptr, size);
}

int open(const char *path, int flags, ...)
{
	counted += counting;
	return openat(AT_FDCWD, path, flags, 0600);
}
#endif

/* A tensor of bytes, cut in `down` x `across`, and shown as block 0 of `image_down` x `image_across`. */
struct shape {
	const char *what;
	uint64_t columns;
	uint32_t down, across, image_down, image_across;
};

static const struct shape shapes[] = {
	{ "blocks", 1000, 4, 1, 1, 1 },       { "rows of 250 bytes", 1000, 1, 4, 1, 1 },
	{ "long rows", 80000, 1, 4, 1, 1 },   { "rows of 1,000 bytes, far apart", 8000, 1, 1, 1, 8 },
	{ "long rows, far apart", 160000, 1, 1, 1, 2 }, { "elements, far apart", 800, 1, 1, 1, 800 },
	{ "a block across pieces", 1200, 3, 4, 2, 2 },
};

static struct grid *grid_of(struct arena *arena, uint32_t down, uint32_t across)
{
	struct grid *grid = arena_alloc(arena, 1, sizeof(*grid));
	uint32_t *cuts = arena_alloc(arena, 2, sizeof(*cuts));

	cuts[0] = down;
	cuts[1] = across;
	*grid = (struct grid){ .axes = 2, .blocks = down * across, .cuts = cuts };
	return grid;
}

/* The tensor, each of whose pieces is a sparse file of its own. */
static struct tensor *make_tensor(struct model *m, const struct shape *s)
{
	struct tensor *t = arena_alloc(m->arena, 1, sizeof(*t));
	struct piece *pieces = arena_alloc(m->arena, s->down * s->across, sizeof(*pieces));
	uint64_t *shape = arena_alloc(m->arena, 2, sizeof(*shape));
	struct error err;

	shape[0] = ROWS;
	shape[1] = s->columns;
	for (uint32_t i = 0; i < s->down * s->across; i++) {
		char path[] = "/tmp/gatherfs-frugal-XXXXXX";
		int fd = mkstemp(path);

		cr_assert_eq(ftruncate(fd, (off_t)(ROWS * s->columns / (s->down * s->across))), 0);
		close(fd);
		cr_assert_eq(source_open(m->sources, path, &pieces[i].source, &err), 0, "%s", err.msg);
		unlink(path);
	}
	*t = (struct tensor){ .name = "t", .shape = shape, .pieces = pieces, .grid = *grid_of(m->arena, s->down, s->across), .axes = 2,
			      .bytes = ROWS * s->columns, .dtype = DTYPE_U8 };
	return t;
}

/* Gathers all of the image in reads of 1 MiB, and finds the pieces of each. */
static void read_all(struct gather *g, struct pieces *pieces, struct gather_range range)
{
	struct error err;
	uint32_t source;

	for (; range.offset < range.image->size; range.offset += range.len) {
		if (range.len > range.image->size - range.offset)
			range.len = range.image->size - range.offset;
		if (gather_bytes(g, &range, &source, &err) < 0)
			abort();
		pieces_find(pieces, &range);
	}
}

Test(frugal, no_allocation_no_lock_no_open)
{
	static struct pieces pieces;

	for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
		struct model *m = model_new();
		struct image *image = image_new(m->arena, 1);
		struct gather *g = gather_new();
		struct gather_range range = { m, image, 0, 1 << 20, malloc(1 << 20) };

		image_add_block(image, make_tensor(m, &shapes[i]), grid_of(m->arena, shapes[i].image_down, shapes[i].image_across), 0);
		read_all(g, &pieces, range);
		counted = 0;
		counting = true;
		read_all(g, &pieces, range);
		counting = false;
		cr_assert_eq(counted, 0, "%s: %lu", shapes[i].what, counted);
		free(range.dst);
		gather_free(g);
		model_free(m);
	}
}

/* Or nothing above means anything. */
Test(frugal, counting_counts)
{
	pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	struct gather *g;

	counted = 0;
	counting = true;
	pthread_mutex_lock(&lock);
	counting = false;
	cr_assert_eq(counted, 1);
	counting = true;
	g = gather_new();
	counting = false;
#ifndef __SANITIZE_ADDRESS__
	cr_assert_eq(counted, 2);
#endif
	gather_free(g);
}
