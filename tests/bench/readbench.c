/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads files from end to end and says how fast: readbench WAY ROUNDS FILE... [+ FILE...]
 *
 * WAY is how a program reads: `direct` (pread of 1 MiB with O_DIRECT), `cold` (the same through the page cache, emptied before),
 * `warm` (likewise, filled before), `mapped` (mapped, empty page cache, every byte touched in order, as a loader does that maps
 * and then copies). Files behind a `+` are plain ones, on no FUSE mount: they come from the page cache whatever WAY is, since the
 * disk is not what is to be measured. All files are read once in a round, one after the other, so that whatever else the machine
 * does meets all of them. Prints a line for each file with its GB/s of every round.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define BLOCK (UINT64_C(1) << 20) /* bytes a read asks for */
#define ROUNDS_MAX 1000
#define FILES_MAX 16

enum way { DIRECT, COLD, WARM, MAPPED, WAYS };

static const char *const way_names[WAYS] = { "direct", "cold", "warm", "mapped" };

struct target {
	const char *path;
	bool plain;
	int fd;
	uint64_t size;
	double rates[ROUNDS_MAX]; /* GB/s */
};

struct bench {
	enum way way;
	uint8_t *buf; /* [BLOCK], on a page */
	uint64_t sum; /* of what was mapped: keeps the compiler from leaving the reading out */
	uint32_t count;
	struct target targets[FILES_MAX]; /* [count] */
};

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int fail(const struct target *t, const char *what)
{
	fprintf(stderr, "readbench: %s: %s: %s\n", t->path, what, errno ? strerror(errno) : "short");
	return -1;
}

static int open_target(struct target *t, enum way way)
{
	struct stat st;

	t->fd = open(t->path, O_RDONLY | (way == DIRECT && !t->plain ? O_DIRECT : 0));
	if (t->fd < 0 || fstat(t->fd, &st) < 0)
		return fail(t, "opening");
	t->size = (uint64_t)st.st_size;
	return 0;
}

static int read_all(struct bench *b, const struct target *t)
{
	for (uint64_t at = 0; at < t->size;) {
		ssize_t n = pread(t->fd, b->buf, BLOCK, (off_t)at);

		if (n <= 0) {
			errno = n < 0 ? errno : 0;
			return fail(t, "reading");
		}
		at += (uint64_t)n;
	}
	return 0;
}

/* Four sums, so that adding never waits for the addition before: memory is what limits it. */
static uint64_t sum_words(const uint64_t *words, uint64_t count)
{
	uint64_t a = 0, b = 0, c = 0, d = 0;

	for (uint64_t i = 0; i + 4 <= count; i += 4) {
		a += words[i];
		b += words[i + 1];
		c += words[i + 2];
		d += words[i + 3];
	}
	return a + b + c + d;
}

static int map_all(struct bench *b, const struct target *t)
{
	void *ptr = mmap(NULL, t->size, PROT_READ, MAP_PRIVATE, t->fd, 0);

	if (ptr == MAP_FAILED)
		return fail(t, "mapping");
	b->sum += sum_words(ptr, t->size / sizeof(uint64_t));
	munmap(ptr, t->size);
	return 0;
}

/* How many pages of the file are in the page cache. */
static int count_cached(const struct target *t, uint64_t *cached)
{
	uint64_t pages = (t->size + 4095) / 4096;
	void *ptr = mmap(NULL, t->size, PROT_READ, MAP_SHARED, t->fd, 0);
	uint8_t *vec = malloc(pages);
	int rc = ptr == MAP_FAILED || !vec ? -1 : mincore(ptr, t->size, vec);

	*cached = 0;
	for (uint64_t i = 0; rc == 0 && i < pages; i++)
		*cached += vec[i] & 1;
	free(vec);
	if (ptr != MAP_FAILED)
		munmap(ptr, t->size);
	return rc < 0 ? fail(t, "asking for its cached pages") : 0;
}

/* Empties the page cache of the file, and makes sure. */
static int drop(const struct target *t)
{
	uint64_t cached;

	if ((errno = posix_fadvise(t->fd, 0, 0, POSIX_FADV_DONTNEED)) != 0)
		return fail(t, "dropping its pages");
	if (count_cached(t, &cached) < 0)
		return -1;
	if (cached <= 64)
		return 0;
	fprintf(stderr, "readbench: %s: %" PRIu64 " pages stay in the page cache\n", t->path, cached);
	return -1;
}

/* Reads a file once, as `way` says, and notes the rate. */
static int measure(struct bench *b, struct target *t, uint32_t round)
{
	double start;
	int rc = 0;

	if (t->plain || b->way == WARM)
		rc = round == 0 ? read_all(b, t) : 0;
	else if (b->way != DIRECT)
		rc = drop(t);
	if (rc < 0)
		return rc;
	start = now();
	rc = b->way == MAPPED ? map_all(b, t) : read_all(b, t);
	t->rates[round] = (double)t->size / (now() - start) / 1e9;
	return rc;
}

static int run(struct bench *b, uint32_t rounds)
{
	for (uint32_t i = 0; i < b->count; i++)
		if (open_target(&b->targets[i], b->way) < 0)
			return -1;
	for (uint32_t round = 0; round < rounds; round++)
		for (uint32_t i = 0; i < b->count; i++)
			if (measure(b, &b->targets[i], round) < 0)
				return -1;
	for (uint32_t i = 0; i < b->count; i++)
		for (uint32_t round = 0; round < rounds; round++)
			printf("%.4f%c", b->targets[i].rates[round], round + 1 < rounds ? ' ' : '\n');
	return 0;
}

static enum way way_of(const char *name)
{
	enum way way = 0;

	while (way < WAYS && strcmp(name, way_names[way]) != 0)
		way++;
	return way;
}

static void add_targets(struct bench *b, int count, char **paths)
{
	bool plain = false;

	for (int i = 0; i < count; i++) {
		if (strcmp(paths[i], "+") == 0)
			plain = true;
		else
			b->targets[b->count++] = (struct target){ .path = paths[i], .plain = plain };
	}
}

int main(int argc, char **argv)
{
	struct bench *b = calloc(1, sizeof(*b));
	long rounds = argc > 2 ? strtol(argv[2], NULL, 10) : 0;
	int rc;

	if (!b || argc < 4 || argc - 3 > FILES_MAX || rounds < 1 || rounds > ROUNDS_MAX || way_of(argv[1]) == WAYS) {
		fprintf(stderr, "usage: readbench direct|cold|warm|mapped ROUNDS FILE... [+ FILE...]\n");
		free(b);
		return 2;
	}
	b->way = way_of(argv[1]);
	b->buf = aligned_alloc(4096, BLOCK);
	add_targets(b, argc - 3, argv + 3);
	if (b->buf)
		memset(b->buf, 0, BLOCK);
	rc = b->buf ? run(b, (uint32_t)rounds) : -1;
	if (b->sum == 1)
		printf("\n");
	free(b->buf);
	free(b);
	return rc < 0 ? 1 : 0;
}
