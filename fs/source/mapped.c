/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel sends SIGBUS to the thread that touches a page of a mapping that the file no longer has, or that cannot be read from
 * the disk. The handler is installed once and stays; it jumps back when the address belongs to the mapping of this thread, and
 * gives every other SIGBUS its default action.
 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>

#include "fs/source/mapped.h"

#define SMALL (UINT64_C(16) << 20) /* bytes: a smaller file is read along as the kernel thinks best */

/* The mapping that a thread works on. */
struct guard {
	sigjmp_buf back;
	struct bytes file;
};

/* A signal handler has no argument of ours: this is how it finds what its thread does. */
static __thread struct guard *volatile active;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void on_sigbus(int sig, siginfo_t *info, void *context)
{
	struct guard *g = active;

	(void)context;
	if (g && info->si_code > 0 && (uintptr_t)info->si_addr - (uintptr_t)g->file.ptr < g->file.len)
		siglongjmp(g->back, 1);
	signal(sig, SIG_DFL);
	if (info->si_code <= 0) /* sent by somebody; a fault comes again by itself */
		raise(sig);
}

static void install(void)
{
	struct sigaction action = { .sa_sigaction = on_sigbus, .sa_flags = SA_SIGINFO };

	sigemptyset(&action.sa_mask);
	sigaction(SIGBUS, &action, NULL);
}

/* A mapping of the whole file, which outlives the descriptor. It is a private one, for there are files that have no others. */
static int map_file(const struct source *s, void **out, struct error *err)
{
	int fd = source_hold(s, err), code = 0;

	if (fd < 0)
		return fd;
	*out = mmap(NULL, s->stamp.size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (*out == MAP_FAILED)
		code = error_set(err, -errno, "%s: mapping it: %s", s->path, strerror(errno));
	source_release(s);
	return code;
}

/* True when fn came to its end, with its result in *code. */
static bool guarded(struct bytes file, int (*fn)(struct bytes, void *), void *arg, int *code)
{
	struct guard g = { .file = file };

	if (sigsetjmp(g.back, 1) != 0) {
		active = NULL;
		return false;
	}
	active = &g;
	*code = fn(file, arg);
	active = NULL;
	return true;
}

int mapped_call(const struct source *s, int (*fn)(struct bytes, void *), void *arg, struct error *err)
{
	static const uint8_t nothing;
	struct error change;
	void *map = NULL;
	int code = 0;
	bool done;

	pthread_once(&once, install);
	if (s->stamp.size && (code = map_file(s, &map, err)) < 0)
		return code;
	if (s->stamp.size >= SMALL)
		madvise(map, s->stamp.size, MADV_RANDOM); /* or each page would bring its neighbours, which nobody wants */
	done = guarded((struct bytes){ map ? map : &nothing, s->stamp.size }, fn, arg, &code);
	if (map)
		munmap(map, s->stamp.size);
	if (source_unchanged(s, &change) < 0)
		return error_set(err, -EIO, "%s", change.msg);
	return done ? code : error_set(err, -EIO, "%s: reading it failed while it was mapped", s->path);
}

/* Two threads may make the mapping at the same time; one of them wins. */
int mapped_whole(const struct source *s, struct bytes *out, struct error *err)
{
	void *map = atomic_load(s->map), *none = NULL;
	int code;

	if (!map) {
		code = map_file(s, &map, err);
		if (code < 0)
			return code;
		if (!atomic_compare_exchange_strong(s->map, &none, map)) {
			munmap(map, s->stamp.size);
			map = none;
		}
	}
	*out = (struct bytes){ map, s->stamp.size };
	return 0;
}

/* What copying rows needs. */
struct copying {
	const struct rows_block *block;
	uint8_t *dst;
};

static int copy(struct bytes file, void *arg)
{
	const struct copying *c = arg;

	rows_copy_block(c->dst, file.ptr + c->block->run.src, c->block);
	return 0;
}

int mapped_rows(const struct source *s, const struct rows_block *block, uint8_t *dst, struct error *err)
{
	const struct run *run = &block->run;
	struct copying c = { block, dst };
	struct bytes file = { 0 };
	int code = mapped_whole(s, &file, err);

	if (code < 0)
		return code;
	pthread_once(&once, install);
	if (!guarded(file, copy, &c, &code))
		return error_set(err, -EIO, "%s: ends before byte %llu, or cannot be read there", s->path,
				 (unsigned long long)(run->src + (run->rows - 1) * run->src_stride + block->columns * run->len));
	return code;
}
