/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/base/buffer.h"
#include "fs/source/equal.h"
#include "fs/source/source.h"

#define CHUNK (UINT64_C(1) << 20) /* bytes compared at a time */

/* Compares bytes [at, at + len) of both; buf has room for 2 * CHUNK. */
static int compare(const struct source *s, uint64_t at, uint64_t len, uint8_t *buf, struct error *err)
{
	int code = source_read(&s[0], at, buf, len, err);

	if (code == 0)
		code = source_read(&s[1], at, buf + CHUNK, len, err);
	for (uint64_t i = 0; code == 0 && memcmp(buf, buf + CHUNK, len) != 0 && i < len; i++)
		if (buf[i] != buf[CHUNK + i])
			return error_set(err, -EINVAL, "one rank, but two different files: %s and %s differ at byte %llu", s[0].path,
					 s[1].path, (unsigned long long)(at + i));
	return code;
}

static int compare_all(const struct source *s, uint8_t *buf, struct error *err)
{
	uint64_t size = s[0].stamp.size;
	int code = 0;

	if (size != s[1].stamp.size)
		return error_set(err, -EINVAL, "one rank, but two different files: %s has %llu bytes, %s has %llu", s[0].path,
				 (unsigned long long)size, s[1].path, (unsigned long long)s[1].stamp.size);
	for (uint64_t at = 0; code == 0 && at < size; at += CHUNK)
		code = compare(s, at, size - at < CHUNK ? size - at : CHUNK, buf, err);
	return code;
}

int equal_check(const char *a, const char *b, const struct fence *fence, struct error *err)
{
	struct sources *two = source_list_new();
	uint8_t *buf = buffer_new(2 * CHUNK);
	uint32_t i;
	int code = two && buf ? 0 : error_nomem(err);

	if (code == 0) {
		two->fence = fence;
		code = source_open(two, a, &i, err);
	}
	if (code == 0)
		code = source_open(two, b, &i, err);
	if (code == 0)
		code = compare_all(two->list, buf, err);
	free(buf);
	source_list_free(two);
	return code;
}
