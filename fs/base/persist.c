/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <unistd.h>

#include "fs/base/persist.h"

int persist_bytes(int fd, struct bytes b)
{
	while (b.len > 0) {
		ssize_t n = write(fd, b.ptr, b.len);

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0) {
			b.ptr += n;
			b.len -= (uint64_t)n;
		}
	}
	return fsync(fd) < 0 ? -errno : 0;
}
