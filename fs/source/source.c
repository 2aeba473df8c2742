/* SPDX-License-Identifier: Apache-2.0 */
/* Reading source files; opening them is source_open.c, what they are known by source_stamp.c. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "fs/source/source.h"

int source_splice(struct sources *s, uint32_t index, const struct ckpt_splice *splices, uint64_t count, struct error *err)
{
	struct ckpt_splice *own = arena_alloc(s->arena, count, sizeof(*own));

	if (!own)
		return error_nomem(err);
	if (count)
		memcpy(own, splices, count * sizeof(*own));
	s->list[index].splices = own;
	s->list[index].splice_count = count;
	return 0;
}

static int read_held(const struct source *source, int fd, uint64_t offset, void *buf, uint64_t len, struct error *err)
{
	uint64_t done = 0;

	while (done < len) {
		ssize_t n = pread(fd, (char *)buf + done, len - done, (off_t)(offset + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return error_set(err, -errno, "%s: reading at %" PRIu64 ": %s", source->path, offset + done, strerror(errno));
		if (n == 0)
			return error_set(err, -EIO, "%s: ends at byte %" PRIu64 ", expected %" PRIu64 " or more", source->path,
					 offset + done, offset + len);
		done += (uint64_t)n;
	}
	return 0;
}

static int read_file(const struct source *source, uint64_t offset, void *buf, uint64_t len, struct error *err)
{
	int fd, code;

	if (offset > INT64_MAX || len > INT64_MAX - offset)
		return error_set(err, -EIO, "%s: a read beyond what a file can hold", source->path);
	fd = source_hold(source, err);
	if (fd < 0)
		return fd;
	code = read_held(source, fd, offset, buf, len, err);
	source_release(source);
	return code;
}

/* The splice that `address` lies in, or NULL. */
static const struct ckpt_splice *find_splice(const struct source *source, uint64_t address)
{
	uint64_t lo = 0, hi = source->splice_count; /* those before lo begin at or before the address, those from hi on behind it */

	while (lo < hi) {
		uint64_t mid = lo + (hi - lo) / 2;

		if (source->splices[mid].logical <= address)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo == 0 || address - source->splices[lo - 1].logical >= source->splices[lo - 1].len)
		return NULL;
	return &source->splices[lo - 1];
}

uint64_t source_byte(const struct source *source, uint64_t address)
{
	const struct ckpt_splice *s = address < source->stamp.size ? NULL : find_splice(source, address);

	return address < source->stamp.size ? address : s ? s->physical + (address - s->logical) : UINT64_MAX;
}

static int read_spliced(const struct source *source, uint64_t address, char *buf, uint64_t len, struct error *err)
{
	uint64_t skip, n;
	int code = 0;

	for (; code == 0 && len > 0; address += n, buf += n, len -= n) {
		const struct ckpt_splice *s = find_splice(source, address);

		if (!s)
			return error_set(err, -EIO, "%s: address %" PRIu64 " stands for nothing", source->path, address);
		skip = address - s->logical;
		n = len < s->len - skip ? len : s->len - skip;
		code = read_file(source, s->physical + skip, buf, n, err);
	}
	return code;
}

int source_read(const struct source *source, uint64_t offset, void *buf, uint64_t len, struct error *err)
{
	if (source->splice_count && offset >= source->stamp.size)
		return read_spliced(source, offset, buf, len, err);
	return read_file(source, offset, buf, len, err);
}

/* Whether one call brought all of it. */
static bool scatter_at_once(const struct source *source, uint64_t offset, const struct iovec *to, int count)
{
	uint64_t len = 0;
	struct error err;
	ssize_t got;
	int fd;

	for (int i = 0; i < count; i++)
		len += to[i].iov_len;
	if (offset >= source->stamp.size || len > source->stamp.size - offset)
		return false;
	fd = source_hold(source, &err);
	if (fd < 0)
		return false;
	got = preadv(fd, to, count, (off_t)offset);
	source_release(source);
	return got == (ssize_t)len;
}

/* One by one where one call does not bring all: that also tells why. */
int source_scatter(const struct source *source, uint64_t offset, const struct iovec *to, int count, struct error *err)
{
	int rc = 0;

	if (count > 1 && scatter_at_once(source, offset, to, count))
		return 0;
	for (int i = 0; i < count && rc == 0; offset += to[i++].iov_len)
		rc = source_read(source, offset, to[i].iov_base, to[i].iov_len, err);
	return rc;
}

int source_unchanged(const struct source *source, struct error *err)
{
	int fd = source_hold(source, err), code;

	if (fd < 0)
		return fd;
	code = source_check(source, fd, err);
	source_release(source);
	return code;
}
