/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses beyond a source's end, against a copy put together by hand; and what cannot be a source. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "fs/source/source.h"

#define SIZE 1000
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static uint8_t content[SIZE];

/* Two tensors: one of three parts, one of a single byte and two; none in the order in which they lie in the file. */
static const struct ckpt_splice splices[] = {
	{ 2000, 700, 50 }, { 2050, 10, 1 }, { 2051, 0, 9 }, { 3000, 999, 1 }, { 3001, 500, 100 }, { 3101, 500, 100 },
};

static struct sources *open_source(void)
{
	char path[] = "/tmp/gatherfs-source-XXXXXX";
	struct sources *s = source_list_new();
	int fd = mkstemp(path);
	uint32_t number;
	struct error err;

	for (int i = 0; i < SIZE; i++)
		content[i] = (uint8_t)(i * 31 + i / 256);
	cr_assert_eq(write(fd, content, SIZE), SIZE);
	close(fd);
	cr_assert_eq(source_open(s, path, &number, &err), 0);
	unlink(path);
	return s;
}

/* The byte at an address, or -1. */
static int byte_at(uint64_t address)
{
	if (address < SIZE)
		return content[address];
	for (size_t i = 0; i < COUNT(splices); i++)
		if (address >= splices[i].logical && address < splices[i].logical + splices[i].len)
			return content[splices[i].physical + (address - splices[i].logical)];
	return -1;
}

static void check_range(const struct source *s, uint64_t at, uint64_t len)
{
	uint8_t *buf = malloc(len + 1); /* nothing may be written behind it */
	bool good = true;
	struct error err;

	buf[len] = 0xee;
	for (uint64_t i = 0; i < len; i++)
		good = good && byte_at(at + i) >= 0;
	cr_assert_eq(source_read(s, at, buf, len, &err), good ? 0 : -EIO, "[%lu, %lu)", at, at + len);
	for (uint64_t i = 0; i < len && good; i++)
		cr_assert_eq(buf[i], byte_at(at + i), "[%lu, %lu) at %lu", at, at + len, i);
	cr_assert_eq(buf[len], 0xee);
	free(buf);
}

Test(source, splices)
{
	struct sources *s = open_source();
	struct ckpt_splice copy[COUNT(splices)];
	struct error err;

	memcpy(copy, splices, sizeof(copy));
	cr_assert_eq(source_splice(s, 0, copy, COUNT(splices), &err), 0);
	memset(copy, 0xee, sizeof(copy)); /* it has its own */
	for (uint64_t at = 990; at < 3210; at += at < 1010 || (at > 1990 && at < 2070) || (at > 2990 && at < 3010) || at > 3090 ? 1 : 7)
		for (uint64_t len = 0; len < 220; len++)
			check_range(&s->list[0], at, len);
	cr_assert_eq(source_read(&s->list[0], 2060, copy, 1, &err), -EIO);
	cr_assert_not_null(strstr(err.msg, ": address 2060 stands for nothing"), "%s", err.msg);
	source_list_free(s);
}

/* Without splices there is nothing beyond the end. */
Test(source, plain)
{
	struct sources *s = open_source();
	struct error err;
	char byte;

	cr_assert_eq(source_splice(s, 0, NULL, 0, &err), 0);
	cr_assert_eq(source_read(&s->list[0], SIZE, &byte, 1, &err), -EIO);
	cr_assert_not_null(strstr(err.msg, "ends at byte 1000"), "%s", err.msg);
	cr_assert_eq(source_read(&s->list[0], SIZE, &byte, 0, &err), 0);
	source_list_free(s);
}

Test(source, what_is_no_source)
{
	static const struct {
		const char *path;
		int code;
		const char *says;
	} cases[] = {
		{ "/tmp", -EINVAL, "/tmp: expected a regular file, found a directory" },
		{ "/dev/null", -EINVAL, "/dev/null: expected a regular file, found a device" },
		{ "/nowhere/at/all", -ENOENT, "/nowhere/at/all: No such file" },
	};
	struct sources *sources = source_list_new();
	char fifo[] = "/tmp/gatherfs-fifo-XXXXXX";
	struct error err;
	uint32_t number;

	for (size_t i = 0; i < COUNT(cases); i++) {
		cr_assert_eq(source_open(sources, cases[i].path, &number, &err), cases[i].code, "%s", err.msg);
		cr_assert(strstr(err.msg, cases[i].says), "%s", err.msg);
	}
	cr_assert_not_null(mkdtemp(fifo));
	rmdir(fifo);
	cr_assert_eq(mkfifo(fifo, 0600), 0);
	cr_assert_eq(source_open(sources, fifo, &number, &err), -EINVAL); /* and not for ever */
	cr_assert(strstr(err.msg, "found a named pipe"), "%s", err.msg);
	unlink(fifo);
	cr_assert_eq(sources->count, 0);
	source_list_free(sources);
}

/* A change in the tick of the clock in which a file was stamped would leave no trace. */
Test(source, a_file_that_was_just_written)
{
	char path[] = "/tmp/test_source_XXXXXX";
	struct source source;
	struct timespec now;
	struct error err;
	int fd = mkstemp(path);

	cr_assert_eq(write(fd, "abc", 3), 3);
	cr_assert_eq(source_open_file(path, NULL, &source, &err), 0, "%s", err.msg);
	clock_gettime(CLOCK_REALTIME, &now);
	cr_assert_geq((now.tv_sec - source.stamp.mtime.tv_sec) * 1000000000 + now.tv_nsec - source.stamp.mtime.tv_nsec, 10000000);
	source_close(&source);
	close(fd);
	unlink(path);
}
