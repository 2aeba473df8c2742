/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Another process, which asks the kernel to read ahead (readahead(2)) in files of the mount. Whoever asks a mount waits for the daemon that
 * answers it, and a daemon that waited for itself could not be stopped, nor be looked at by a debugger, nor leave a core when it crashes.
 *
 * It is this program once more, as `gatherfs read-ahead`, which nobody else has a use for. It holds a socket, the daemon's other two
 * standard streams and, for the time of a task, one file. It ends with that socket, and so with the daemon, however that ends: an answer
 * of the mount that it waits for then comes by the end of the connection, and it is of a group of its own, which the kernel wakes and
 * hangs up where it is stopped and its parent ends.
 */
#ifndef FS_READER_H
#define FS_READER_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define READER_VERB "read-ahead"

/* Bytes [offset, offset + len) of the file that has this path; of no other file that has it by now. */
struct reader_task {
	uint64_t device, file; /* its numbers */
	uint64_t offset, len;
	char path[PATH_MAX];
};

struct reader {
	pid_t pid; /* 0: there is none */
	int socket;
};

/* 0, or a negative errno: it has not begun. */
int reader_start(struct reader *r);

/* Gives it a task, and waits until it is done: 1. 0 where it cannot be done, -EPIPE when there is no such process any more, or no answer. */
int reader_ask(const struct reader *r, const struct reader_task *task);

/* Wakes whoever waits in reader_ask(): to him the process has ended. From any thread. */
void reader_wake(const struct reader *r);

/* Ends it, and takes its exit code. */
void reader_end(struct reader *r);

/* The other process: does what it is told on its standard input, until that ends. Its exit code. */
int reader_main(void);

#endif
