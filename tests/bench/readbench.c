/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads files and says how fast: readbench [-p PROCESSES] [-w] WAY ROUNDS FILE... [+ FILE...]
 *
 * WAY is how a program reads: `direct` (pread of 1 MiB with O_DIRECT), `cold` (the same through the page cache, emptied before),
 * `warm` (likewise, filled anew before: where the pages come to lie makes a difference), `mapped` (mapped, empty page cache, every
 * byte touched in order, as a loader does that maps and then copies), from end to end; `random` and `random-cold` are reads of 4 KiB
 * all over the file, like direct and cold. Files behind a `+` are plain ones, on no FUSE mount: they come from the page cache
 * whatever WAY is, since the disk is not what is to be measured. All files are read once in a round, one after the other, so that
 * whatever else the machine does meets all of them.
 *
 * With -p so many processes read at once, each a part of the file, or all of it with -w. Prints a line for each file with the GB/s
 * of all of them together in every round; of random reads two lines, the median and the 99th percentile of their latency in
 * microseconds.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define BLOCK (UINT64_C(1) << 20) /* bytes a read asks for */
#define PAGE UINT64_C(4096)       /* bytes a random read asks for */
#define RANDOM_READS 4000         /* of all processes in a round */
#define ROUNDS_MAX 1000
#define FILES_MAX 16
#define PROCESSES_MAX 64

enum way { DIRECT, COLD, WARM, MAPPED, RANDOM, RANDOM_COLD, WAYS };

static const char *const way_names[WAYS] = { "direct", "cold", "warm", "mapped", "random", "random-cold" };

struct target {
	const char *path;
	bool plain;
	int fd;
	uint64_t size;
	double rates[ROUNDS_MAX];                   /* GB/s */
	double median[ROUNDS_MAX], tail[ROUNDS_MAX]; /* of random reads: microseconds */
};

/* What the processes of a round share. */
struct shared {
	pthread_barrier_t begin, end; /* of those that read, and the one that takes the time */
	double took[RANDOM_READS];    /* seconds of each random read; each process has a part of its own */
};

struct bench {
	enum way way;
	bool whole;         /* -w */
	uint32_t processes; /* -p */
	uint32_t count;
	uint8_t *buf;       /* [BLOCK], on a page */
	struct shared *shared;
	volatile uint64_t sum; /* of what was mapped: keeps the compiler from leaving the reading out */
	struct target targets[FILES_MAX]; /* [count] */
};

/* The part of a file, or of the random reads, that one process has. */
struct part {
	uint64_t from, to;
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

static bool is_random(const struct bench *b)
{
	return b->way == RANDOM || b->way == RANDOM_COLD;
}

static int open_target(struct target *t, enum way way)
{
	struct stat st;

	t->fd = open(t->path, O_RDONLY | ((way == DIRECT || way == RANDOM) && !t->plain ? O_DIRECT : 0));
	if (t->fd < 0 || fstat(t->fd, &st) < 0)
		return fail(t, "opening");
	t->size = (uint64_t)st.st_size;
	return 0;
}

static int read_at(const struct bench *b, const struct target *t, uint64_t len, uint64_t at)
{
	ssize_t n = pread(t->fd, b->buf, len, (off_t)at);

	errno = n < 0 ? errno : 0;
	return n == (ssize_t)len || (n > 0 && at + (uint64_t)n == t->size) ? 0 : fail(t, "reading");
}

static int read_part(const struct bench *b, const struct target *t, struct part part)
{
	int rc = 0;

	for (uint64_t at = part.from; at < part.to && rc == 0; at += BLOCK)
		rc = read_at(b, t, BLOCK, at);
	return rc;
}

/* The next place for a random read; the same ones in every file, but others in every round. */
static uint64_t next_place(const struct target *t, uint64_t *seed)
{
	*seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (*seed >> 20) % (t->size / PAGE) * PAGE;
}

static int read_randomly(const struct bench *b, const struct target *t, struct part reads, uint64_t seed)
{
	int rc = 0;

	for (uint64_t i = reads.from; i < reads.to && rc == 0; i++) {
		uint64_t at = next_place(t, &seed);
		double start = now();

		rc = read_at(b, t, PAGE, at);
		b->shared->took[i] = now() - start;
	}
	return rc;
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

static int map_part(struct bench *b, const struct target *t, struct part part)
{
	const uint8_t *ptr = mmap(NULL, t->size, PROT_READ, MAP_PRIVATE, t->fd, 0);

	if (ptr == MAP_FAILED)
		return fail(t, "mapping");
	b->sum += sum_words((const uint64_t *)(const void *)(ptr + part.from), (part.to - part.from) / sizeof(uint64_t));
	munmap((void *)(uintptr_t)ptr, t->size);
	return 0;
}

/* How many pages of the file are in the page cache. */
static int count_cached(const struct target *t, uint64_t *cached)
{
	uint64_t pages = (t->size + 4095) / 4096;
	void *ptr = mmap(NULL, t->size, PROT_READ, MAP_PRIVATE, t->fd, 0);
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

/* `whole` divided among the processes, in steps of `step`. */
static struct part part_of(const struct bench *b, uint32_t process, uint64_t whole, uint64_t step)
{
	uint64_t each = (whole / b->processes + step - 1) / step * step;
	struct part p = { process * each, (process + 1) * each };

	p.from = p.from < whole ? p.from : whole;
	p.to = p.to < whole && process + 1 < b->processes ? p.to : whole;
	return p;
}

/* What one process does in a round. */
static int read_as_one(struct bench *b, const struct target *t, uint32_t process, uint32_t round)
{
	struct part part = b->whole ? (struct part){ 0, t->size } : part_of(b, process, t->size, BLOCK);

	if (is_random(b))
		return read_randomly(b, t, part_of(b, process, RANDOM_READS, 1), (uint64_t)round * PROCESSES_MAX + process);
	return b->way == MAPPED ? map_part(b, t, part) : read_part(b, t, part);
}

static void be_process(struct bench *b, const struct target *t, uint32_t process, uint32_t round)
{
	int rc;

	memset(b->buf, 0, BLOCK); /* a page that was shared becomes its own now */
	pthread_barrier_wait(&b->shared->begin);
	rc = read_as_one(b, t, process, round);
	pthread_barrier_wait(&b->shared->end);
	_exit(rc < 0 ? 1 : 0);
}

/* Has all processes read the file once; how many seconds they took. */
static int read_as_all(struct bench *b, const struct target *t, uint32_t round, double *seconds)
{
	int rc = 0, status;

	for (uint32_t i = 0; i < b->processes; i++) {
		pid_t child = fork();

		if (child == 0)
			be_process(b, t, i, round);
		if (child < 0) {
			fail(t, "a process");
			exit(1); /* the others wait for it */
		}
	}
	pthread_barrier_wait(&b->shared->begin);
	*seconds = now();
	pthread_barrier_wait(&b->shared->end);
	*seconds = now() - *seconds;
	while (wait(&status) > 0)
		rc = status ? -1 : rc;
	return rc;
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Reads a file once, as `way` says, and notes the rate. */
static int measure(struct bench *b, struct target *t, uint32_t round)
{
	double *took = b->shared->took, seconds = 0;
	int rc = 0;

	if (!t->plain && b->way != DIRECT && b->way != RANDOM)
		rc = drop(t);
	if (rc == 0 && (t->plain ? round == 0 : b->way == WARM))
		rc = read_part(b, t, (struct part){ 0, t->size });
	if (rc == 0)
		rc = read_as_all(b, t, round, &seconds);
	if (rc < 0)
		return rc;
	t->rates[round] = (double)t->size * (b->whole ? b->processes : 1) / seconds / 1e9;
	qsort(took, RANDOM_READS, sizeof(*took), by_size);
	t->median[round] = took[RANDOM_READS / 2] * 1e6;
	t->tail[round] = took[RANDOM_READS * 99 / 100] * 1e6;
	return 0;
}

static void print_line(const double *values, uint32_t rounds)
{
	for (uint32_t round = 0; round < rounds; round++)
		printf("%.4f%c", values[round], round + 1 < rounds ? ' ' : '\n');
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
	for (uint32_t i = 0; i < b->count; i++) {
		print_line(is_random(b) ? b->targets[i].median : b->targets[i].rates, rounds);
		if (is_random(b))
			print_line(b->targets[i].tail, rounds);
	}
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

/* Memory that every process of a round has. */
static bool make_shared(struct bench *b)
{
	pthread_barrierattr_t attr;

	b->shared = mmap(NULL, sizeof(*b->shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	b->buf = aligned_alloc(PAGE, BLOCK);
	if (b->shared == MAP_FAILED || !b->buf)
		return false;
	pthread_barrierattr_init(&attr);
	pthread_barrierattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
	pthread_barrier_init(&b->shared->begin, &attr, b->processes + 1);
	pthread_barrier_init(&b->shared->end, &attr, b->processes + 1);
	return true;
}

/* The options before WAY; where WAY is among the arguments, or 0. */
static int take_options(struct bench *b, int argc, char **argv)
{
	int c;

	b->processes = 1;
	while ((c = getopt(argc, argv, "p:w")) >= 0) {
		if (c == '?')
			return 0;
		if (c == 'w')
			b->whole = true;
		else
			b->processes = (uint32_t)strtoul(optarg, NULL, 10);
	}
	return b->processes >= 1 && b->processes <= PROCESSES_MAX ? optind : 0;
}

int main(int argc, char **argv)
{
	struct bench *b = calloc(1, sizeof(*b));
	int at = b ? take_options(b, argc, argv) : 0, files = argc - at - 2;
	long rounds = at && files > 0 ? strtol(argv[at + 1], NULL, 10) : 0;
	int rc;

	if (files < 1 || files > FILES_MAX || rounds < 1 || rounds > ROUNDS_MAX || way_of(argv[at]) == WAYS) {
		fprintf(stderr, "usage: readbench [-p PROCESSES] [-w] direct|cold|warm|mapped|random|random-cold ROUNDS FILE... [+ FILE...]\n");
		free(b);
		return 2;
	}
	b->way = way_of(argv[at]);
	add_targets(b, files, argv + at + 2);
	rc = make_shared(b) ? run(b, (uint32_t)rounds) : -1;
	free(b->buf);
	free(b);
	return rc < 0 ? 1 : 0;
}
