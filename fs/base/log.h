/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a mount's messages go: to syslog once it is a daemon, to the standard error stream with -f. A line is one line: names
 * from files cannot forge a second one, control characters become \xNN.
 */
#ifndef FS_LOG_H
#define FS_LOG_H

#include <stdbool.h>

struct log {
	bool to_syslog;
};

/* Opens syslog unless the mount stays in the foreground. What libfuse has to say goes the same way from then on. */
void log_init(struct log *log, bool foreground);

void log_error(const struct log *log, const char *format, ...) __attribute__((format(printf, 2, 3)));
void log_warn(const struct log *log, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
