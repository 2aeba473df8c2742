/* SPDX-License-Identifier: Apache-2.0 */
/* See findings.h. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "fs/verbs/findings.h"
#include "layout/base/error.h"

struct findings findings_new(struct arena *arena)
{
	return (struct findings){ .arena = arena };
}

const char *findings_name(enum findings_kind kind)
{
	static const char *const names[] = {
		[FINDINGS_FILE] = "file", [FINDINGS_INDEX] = "index", [FINDINGS_COVERAGE] = "coverage", [FINDINGS_MISSING] = "missing",
		[FINDINGS_META] = "meta", [FINDINGS_CRC] = "crc", [FINDINGS_READ] = "read", [FINDINGS_REPLICA] = "replica", [FINDINGS_STAGE] = "stage",
		[FINDINGS_OUTSIDE] = "outside", [FINDINGS_VALUE] = "value", [FINDINGS_LOAD] = "load",
	};

	return names[kind];
}

/* The next entry; NULL without memory. */
static struct finding *next(struct findings *f)
{
	if (f->count == f->room) {
		uint64_t room = f->room ? f->room * 2 : 16;
		struct finding *bigger = arena_alloc(f->arena, room, sizeof(*bigger));

		if (!bigger)
			return NULL;
		if (f->count)
			memcpy(bigger, f->list, f->count * sizeof(*bigger));
		f->list = bigger;
		f->room = room;
	}
	return &f->list[f->count];
}

struct finding *findings_add(struct findings *f, enum findings_kind kind, bool fault, const char *format, ...)
{
	char raw[sizeof(((struct error *)0)->msg)];
	struct finding *one = next(f);
	struct error line;
	va_list args;

	va_start(args, format);
	vsnprintf(raw, sizeof(raw), format, args);
	va_end(args);
	error_set(&line, 0, "%s", raw);
	f->faults += fault;
	if (!one) {
		f->failed = true;
		return &f->spare;
	}
	*one = (struct finding){ .kind = kind, .fault = fault, .message = arena_strndup(f->arena, line.msg, strlen(line.msg)) };
	f->failed |= !one->message;
	f->count += one->message != NULL;
	return one;
}
