/* SPDX-License-Identifier: Apache-2.0 */
/* See speed.h. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "fs/base/pool.h"
#include "fs/verbs/speed.h"

#define BLOCK (UINT64_C(1) << 20) /* bytes of a read in order */
#define SMALL UINT64_C(4096)      /* of one at random */
#define SAMPLES 20000             /* most random reads */

/* A file that is being read. */
struct reading {
	const char *path;
	int fd;
	uint64_t size;
	double end; /* on now()'s clock */
};

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

const char *speed_name(enum speed_way way)
{
	static const char *const names[SPEED_WAYS] = { "direct", "direct, two threads", "buffered, cold", "buffered, warm", "mapped, cold",
						       "random 4 KiB" };

	return names[way];
}

static int failed(const struct reading *r, const char *what, struct error *err)
{
	int code = errno ? -errno : -EIO;

	return error_set(err, code, "%s: %s: %s", r->path, what, strerror(-code));
}

static int open_file(struct reading *r, bool direct, struct error *err)
{
	struct stat st;

	r->fd = open(r->path, O_RDONLY | O_CLOEXEC | (direct ? O_DIRECT : 0));
	if (r->fd < 0 || fstat(r->fd, &st) < 0)
		return failed(r, "opening", err);
	r->size = (uint64_t)st.st_size;
	return r->size ? 0 : error_set(err, -EINVAL, "%s: is empty", r->path);
}

static int read_one(const struct reading *r, void *buf, uint64_t len, uint64_t offset, struct error *err)
{
	ssize_t n;

	errno = 0;
	n = pread(r->fd, buf, len, (off_t)offset);
	return n > 0 ? 0 : failed(r, "reading", err);
}

/* Reads [from, to) in order until time is up; adds what it read to *bytes. */
static int read_range(const struct reading *r, uint64_t from, uint64_t to, uint64_t *bytes, struct error *err)
{
	void *buf = aligned_alloc(SMALL, BLOCK);
	uint64_t at = from;
	int code = buf ? 0 : error_nomem(err);

	for (; code == 0 && at < to && now() < r->end; at += BLOCK)
		code = read_one(r, buf, BLOCK, at, err);
	*bytes = (at < to ? at : to) - from;
	free(buf);
	return code;
}

struct halves {
	const struct reading *r;
	uint64_t bytes[2];
};

static int read_half(uint64_t index, void *state, void *arg, struct error *err)
{
	struct halves *h = arg;
	uint64_t middle = h->r->size / 2 / BLOCK * BLOCK;

	(void)state;
	return read_range(h->r, index ? middle : 0, index ? h->r->size : middle, &h->bytes[index], err);
}

static int read_halves(const struct reading *r, struct speed *out, struct error *err)
{
	struct halves halves = { .r = r };
	struct pool_work work = { .count = 2, .threads = 2, .task = read_half, .arg = &halves };
	int code = pool_run(&work, err);

	out->bytes = halves.bytes[0] + halves.bytes[1];
	return code;
}

/* Adds up a megabyte at a time, so that every byte is looked at. */
static int read_mapped(const struct reading *r, struct speed *out, struct error *err)
{
	const uint64_t *words = mmap(NULL, r->size, PROT_READ, MAP_PRIVATE, r->fd, 0);
	volatile uint64_t seen;
	uint64_t sum = 0;

	if (words == MAP_FAILED)
		return failed(r, "mapping", err);
	while (out->bytes + sizeof(*words) <= r->size && now() < r->end) {
		uint64_t left = r->size - out->bytes, len = left < BLOCK ? left : BLOCK;

		for (uint64_t i = 0; i < len / sizeof(*words); i++)
			sum += words[out->bytes / sizeof(*words) + i];
		out->bytes += len;
	}
	seen = sum;
	(void)seen;
	munmap((void *)words, r->size);
	return 0;
}

static int ascending(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static int read_samples(const struct reading *r, double *took, void *buf, struct speed *out, struct error *err)
{
	uint64_t state = UINT64_C(0x9e3779b97f4a7c15), places = (r->size + SMALL - 1) / SMALL;
	int code = 0;

	for (; code == 0 && out->reads < SAMPLES && now() < r->end; out->reads++) {
		double began = now();

		state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
		code = read_one(r, buf, SMALL, (state >> 33) % places * SMALL, err);
		took[out->reads] = now() - began;
	}
	if (code < 0 || out->reads == 0)
		return code;
	qsort(took, out->reads, sizeof(*took), ascending);
	out->bytes = out->reads * SMALL;
	out->p50 = took[out->reads / 2];
	out->p99 = took[out->reads * 99 / 100];
	return 0;
}

static int read_random(const struct reading *r, struct speed *out, struct error *err)
{
	double *took = malloc(SAMPLES * sizeof(*took));
	void *buf = aligned_alloc(SMALL, SMALL);
	int code = took && buf ? read_samples(r, took, buf, out, err) : error_nomem(err);

	free(took);
	free(buf);
	return code;
}

static int read_as(struct reading *r, enum speed_way way, struct speed *out, struct error *err)
{
	switch (way) {
	case SPEED_DIRECT_2:
		return read_halves(r, out, err);
	case SPEED_MAPPED:
		return read_mapped(r, out, err);
	case SPEED_RANDOM:
		return read_random(r, out, err);
	default:
		return read_range(r, 0, r->size, &out->bytes, err);
	}
}

/* Empties the page cache of the file, or fills it with what can be read in the time. */
static int prepare(struct reading *r, enum speed_way way, double seconds, struct error *err)
{
	uint64_t read;

	if (way == SPEED_COLD || way == SPEED_MAPPED) {
		errno = posix_fadvise(r->fd, 0, 0, POSIX_FADV_DONTNEED);
		return errno ? failed(r, "dropping its pages", err) : 0;
	}
	if (way != SPEED_WARM)
		return 0;
	r->end = now() + seconds;
	if (read_range(r, 0, r->size, &read, err) < 0)
		return -EIO;
	r->size = read;
	return 0;
}

int speed_measure(const char *path, enum speed_way way, double seconds, struct speed *out, struct error *err)
{
	struct reading r = { .path = path, .fd = -1 };
	bool direct = way == SPEED_DIRECT || way == SPEED_DIRECT_2 || way == SPEED_RANDOM;
	int code = open_file(&r, direct, err);
	double began;

	*out = (struct speed){ 0 };
	if (code == 0)
		code = prepare(&r, way, seconds, err);
	began = now();
	r.end = began + seconds;
	if (code == 0)
		code = read_as(&r, way, out, err);
	out->seconds = now() - began;
	if (r.fd >= 0)
		close(r.fd);
	return code;
}
