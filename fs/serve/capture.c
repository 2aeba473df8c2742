/* SPDX-License-Identifier: Apache-2.0 */
/* A file in memory, not a pipe, because nobody reads while it is written. */
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fs/serve/capture.h"

void capture_begin(struct capture *c)
{
	fflush(stderr);
	c->saved = -1;
	c->file = memfd_create("gatherfs-stderr", MFD_CLOEXEC);
	if (c->file < 0)
		return;
	c->saved = dup(STDERR_FILENO);
	dup2(c->file, STDERR_FILENO);
}

/* Skips the name of a writer. */
static const char *behind_name(const char *line)
{
	static const char *const names[] = { "fuse: ", "fusermount3: ", "fusermount: " };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strncmp(line, names[i], strlen(names[i])) == 0)
			return line + strlen(names[i]);
	return line;
}

/* Joins the lines of `raw` into `text` [room]. */
static void join(char *raw, char *text, size_t room)
{
	char *rest = raw, *line;
	size_t at = 0;

	text[0] = '\0';
	while ((line = strsep(&rest, "\n")) != NULL && at < room) {
		if (*line)
			at += (size_t)snprintf(text + at, room - at, "%s%s", at ? "; " : "", behind_name(line));
	}
}

void capture_end(struct capture *c, char *text, size_t room)
{
	char raw[1024];
	ssize_t n = 0;

	fflush(stderr);
	if (c->saved >= 0) {
		dup2(c->saved, STDERR_FILENO);
		close(c->saved);
	}
	if (c->file >= 0) {
		n = pread(c->file, raw, sizeof(raw) - 1, 0);
		close(c->file);
	}
	raw[n > 0 ? n : 0] = '\0';
	join(raw, text, room);
}
