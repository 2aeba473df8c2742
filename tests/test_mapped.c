/* SPDX-License-Identifier: Apache-2.0 */
/* Mapped sources: their bytes, files that change or are cut off while they are mapped, several threads, and faults of others. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/source/mapped.h"

#define SIZE 20000 /* bytes: five pages, the last not whole */
#define THREADS 8

struct world {
	char path[64];
	struct sources *sources;
	struct error err;
	uint64_t calls;
};

static void begin(struct world *w, uint64_t size)
{
	uint32_t number;
	int fd;

	*w = (struct world){ .path = "/tmp/gatherfs-mapped-XXXXXX", .sources = source_list_new() };
	fd = mkstemp(w->path);
	cr_assert_geq(fd, 0);
	for (uint64_t i = 0; i < size; i++) {
		uint8_t byte = (uint8_t)(i * 7 + (i >> 8));

		cr_assert_eq(write(fd, &byte, 1), 1);
	}
	close(fd);
	cr_assert_eq(source_open(w->sources, w->path, &number, &w->err), 0, "%s", w->err.msg);
}

static void end(struct world *w)
{
	unlink(w->path);
	source_list_free(w->sources);
}

static int call(struct world *w, int (*fn)(struct bytes, void *))
{
	return mapped_call(&w->sources->list[0], fn, w, &w->err);
}

static int compare(struct bytes file, void *arg)
{
	struct world *w = arg;

	w->calls++;
	cr_assert_eq(file.len, w->sources->list[0].stamp.size);
	cr_assert_not_null(file.ptr);
	for (uint64_t i = 0; i < file.len; i++)
		cr_assert_eq(file.ptr[i], (uint8_t)(i * 7 + (i >> 8)));
	return -7;
}

Test(mapped, bytes)
{
	static const uint64_t sizes[] = { 0, 1, 4096, SIZE };

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct world w;

		begin(&w, sizes[i]);
		cr_assert_eq(call(&w, compare), -7);
		cr_assert_eq(w.calls, 1);
		end(&w);
	}
}

static int sum(struct bytes file, void *arg)
{
	volatile uint8_t total = 0;

	(void)arg;
	for (uint64_t i = 0; i < file.len; i++)
		total = (uint8_t)(total + file.ptr[i]);
	return 0;
}

static int cut_then_sum(struct bytes file, void *arg)
{
	struct world *w = arg;

	w->calls++;
	cr_assert_eq(truncate(w->path, 4096), 0);
	sum(file, arg);
	cr_assert_fail("no fault came");
	return 0;
}

Test(mapped, cut_off_under_the_mapping)
{
	struct world w;

	begin(&w, SIZE);
	for (int i = 0; i < 3; i++) { /* the guard works again after a jump */
		cr_assert_eq(call(&w, cut_then_sum), -EIO);
		cr_assert_not_null(strstr(w.err.msg, w.path));
		cr_assert_not_null(strstr(w.err.msg, "size: expected 20000, found 4096"), "%s", w.err.msg);
	}
	cr_assert_eq(w.calls, 3);
	end(&w);
}

/* What the kernel fills the last page with is no fault, and no content either. */
static int cut_last_page(struct bytes file, void *arg)
{
	struct world *w = arg;

	cr_assert_eq(truncate(w->path, SIZE - 1), 0);
	return sum(file, arg);
}

static int rewrite(struct bytes file, void *arg)
{
	static const struct timespec times[2] = { { 1000, 0 }, { 1000, 0 } };
	struct world *w = arg;

	cr_assert_eq(utimensat(AT_FDCWD, w->path, times, 0), 0);
	return sum(file, arg);
}

Test(mapped, changed_meanwhile)
{
	struct world w;

	begin(&w, SIZE);
	cr_assert_eq(call(&w, sum), 0);
	cr_assert_eq(call(&w, cut_last_page), -EIO);
	cr_assert_not_null(strstr(w.err.msg, "size"), "%s", w.err.msg);
	end(&w);
	begin(&w, SIZE);
	cr_assert_eq(call(&w, rewrite), -EIO);
	cr_assert_not_null(strstr(w.err.msg, "mtime"), "%s", w.err.msg);
	end(&w);
}

static void *work(void *arg)
{
	struct world *w = arg;

	cr_assert_eq(call(w, compare), -7);
	for (int i = 0; i < 50; i++)
		cr_assert_eq(call(w, sum), 0, "%s", w->err.msg);
	cr_assert_eq(call(w, cut_then_sum), -EIO);
	return NULL;
}

Test(mapped, threads)
{
	struct world w[THREADS];
	pthread_t thread[THREADS];

	for (int i = 0; i < THREADS; i++)
		begin(&w[i], SIZE);
	for (int i = 0; i < THREADS; i++)
		cr_assert_eq(pthread_create(&thread[i], NULL, work, &w[i]), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	for (int i = 0; i < THREADS; i++) {
		cr_assert_eq(w[i].calls, 2);
		end(&w[i]);
	}
}

/* Touches a page that another file does not have. */
static int fault_elsewhere(struct bytes file, void *arg)
{
	struct world *w = arg;
	int fd = open(w->path, O_RDWR);
	volatile uint8_t *map = mmap(NULL, SIZE, PROT_READ, MAP_SHARED, fd, 0);

	(void)file;
	cr_assert_eq(ftruncate(fd, 0), 0);
	unlink(w->path);
	return map[0];
}

Test(mapped, fault_of_another_mapping, .signal = SIGBUS)
{
	struct world w;

	begin(&w, SIZE);
	call(&w, fault_elsewhere);
}

Test(mapped, fault_outside, .signal = SIGBUS)
{
	struct world w;

	begin(&w, SIZE);
	cr_assert_eq(call(&w, sum), 0);
	fault_elsewhere((struct bytes){ 0 }, &w);
}

static int sent(struct bytes file, void *arg)
{
	(void)file;
	(void)arg;
	raise(SIGBUS);
	return 0;
}

Test(mapped, sent_by_somebody, .signal = SIGBUS)
{
	struct world w;

	begin(&w, SIZE);
	unlink(w.path);
	call(&w, sent);
}
