/* SPDX-License-Identifier: Apache-2.0 */
/* For programs that try system calls: what each should end with, and how many did not. */
#ifndef TESTS_CALLS_H
#define TESTS_CALLS_H

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

struct calls {
	unsigned tried, failed;
};

static inline void calls_count(struct calls *c, bool good, const char *call, const char *found)
{
	c->tried++;
	if (good)
		return;
	c->failed++;
	printf("%s: %s\n", call, found);
}

/* A call that must fail with one of the errors; the first thing that is done here is to look at errno. */
static inline void calls_fail(struct calls *c, const char *call, long outcome, const int *wanted)
{
	int found = errno;
	bool good = false;

	for (; *wanted && outcome == -1; wanted++)
		good |= found == *wanted;
	calls_count(c, good, call, outcome == -1 ? strerrorname_np(found) : "it went through");
}

/* What must be true. */
static inline void calls_hold(struct calls *c, const char *what, bool holds)
{
	int found = errno;

	calls_count(c, holds, what, found ? strerrorname_np(found) : "is not so");
}

static inline int calls_end(const struct calls *c)
{
	printf("%u calls, %u failed\n", c->tried, c->failed);
	return c->failed > 0;
}

#define TRY(call, ...) calls_fail(&p->calls, #call, (errno = 0, (long)(call)), (const int[]){ __VA_ARGS__, 0 })
#define HOLDS(what) calls_hold(&p->calls, #what, (errno = 0, (what)))

#endif
