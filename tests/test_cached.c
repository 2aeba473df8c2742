/* SPDX-License-Identifier: Apache-2.0 */
/* Bringing parts of a file into the page cache. Needs a file on a disk: memory is a tmpfs's only place. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "fs/source/cached.h"

#define SIZE ((3 << 20) + 777)

static void fill(const char *path)
{
	FILE *f = fopen(path, "w");

	for (int i = 0; i < SIZE; i++)
		fputc(i % 251, f);
	cr_assert_eq(fclose(f), 0);
}

static void drop(int fd)
{
	fsync(fd);
	posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
}

/* What may not work: before Linux 6.5 nothing is known, and on a tmpfs nothing can be dropped. */
Test(cached, parts)
{
	char path[] = "tests-cached-XXXXXX";
	struct sources *sources = source_list_new();
	const struct source *s;
	struct error err;
	uint32_t number;

	close(mkstemp(path));
	fill(path);
	cr_assert_eq(source_open(sources, path, &number, &err), 0, "%s", err.msg);
	unlink(path);
	s = &sources->list[number];
	drop(s->fd);
	if (cached_has(s, 0, SIZE) == 0) {
		cached_bring(s, 200000, 200001);
		cr_assert_eq(cached_has(s, 200000, 200001), 1);
		cached_bring(s, 1000000, 1500001);
		cr_assert_eq(cached_has(s, 1000000, 1500001), 1);
		cr_assert_eq(cached_has(s, 0, SIZE), 0, "a part is not all of it");
	}
	cached_bring(s, 0, SIZE);
	cr_assert_neq(cached_has(s, 0, SIZE), 0);
	cached_bring(s, SIZE - 10, SIZE + 10000000); /* past the end: nothing comes of it */
	cr_assert_leq(cached_has(s, SIZE, SIZE + 10000000), 0);
	source_list_free(sources);
}
