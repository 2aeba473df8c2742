/* SPDX-License-Identifier: Apache-2.0 */
/* Log lines; error_set() already knows how to make a text safe for one line, so it is used for that. */
#include <fuse_lowlevel.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>

#include "fs/base/log.h"
#include "layout/base/error.h"

static void format_line(struct error *line, const char *format, va_list args)
{
	char raw[sizeof(line->msg)];
	size_t len;

	vsnprintf(raw, sizeof(raw), format, args);
	len = strlen(raw);
	if (len && raw[len - 1] == '\n')
		raw[len - 1] = '\0';
	error_set(line, 0, "%s", raw);
}

static void put(const struct log *log, int priority, const char *format, va_list args)
{
	struct error line;

	format_line(&line, format, args);
	if (log->to_syslog)
		syslog(priority, "%s", line.msg);
	else
		fprintf(stderr, "gatherfs: %s%s\n", priority == LOG_WARNING ? "warning: " : "", line.msg);
}

/* libfuse's levels are syslog's. */
static void log_of_libfuse(enum fuse_log_level level, const char *format, va_list args)
{
	struct error line;

	format_line(&line, format, args);
	syslog((int)level, "%s", line.msg);
}

static void say_of_libfuse(enum fuse_log_level level, const char *format, va_list args)
{
	struct error line;

	(void)level;
	format_line(&line, format, args);
	fprintf(stderr, "%s\n", line.msg);
}

void log_init(struct log *log, bool foreground)
{
	log->to_syslog = !foreground;
	if (log->to_syslog)
		openlog("gatherfs", LOG_PID, LOG_DAEMON);
	fuse_set_log_func(foreground ? say_of_libfuse : log_of_libfuse);
}

void log_error(const struct log *log, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	put(log, LOG_ERR, format, args);
	va_end(args);
}

void log_warn(const struct log *log, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	put(log, LOG_WARNING, format, args);
	va_end(args);
}
