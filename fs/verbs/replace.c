/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/verbs/replace.h"

/* The first bytes of the file; none where they cannot be read. */
static uint64_t read_start(const char *path, uint8_t *to, uint64_t most)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	ssize_t n = 0;
	uint64_t len = 0;

	while (fd >= 0 && len < most && (n = pread(fd, to + len, most - len, (off_t)len)) > 0)
		len += (uint64_t)n;
	if (fd >= 0)
		close(fd);
	return n < 0 ? 0 : len;
}

static int check_content(const char *path, uint64_t size, bool (*is_one)(struct bytes content), const char *what, struct error *err)
{
	uint8_t *content = malloc(size);
	bool is = content && is_one((struct bytes){ content, read_start(path, content, size) });

	free(content);
	return is ? 0 : error_set(err, -EEXIST, "%s: it is there already, and no %s: nothing else is replaced", path, what);
}

int replace_check(const char *path, bool (*is_one)(struct bytes content), uint64_t most, const char *what, struct error *err)
{
	struct stat st;

	if (lstat(path, &st) < 0)
		return 0; /* there is none, or writing tells why not */
	if (S_ISDIR(st.st_mode))
		return error_set(err, -EISDIR, "%s: cannot write: Is a directory", path);
	if (!S_ISREG(st.st_mode))
		return error_set(err, -EEXIST, "%s: it is there already, and no regular file: nothing else is replaced", path);
	return st.st_size == 0 ? 0 : check_content(path, (uint64_t)st.st_size < most ? (uint64_t)st.st_size : most, is_one, what, err);
}
