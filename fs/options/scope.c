/* SPDX-License-Identifier: Apache-2.0 */
/* See scope.h. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "fs/options/scope.h"

/* In the order of the bits. */
static const char *const verbs[] = { "mount", "export", "info", "ls", "explain", "stats", "check", "diff", "digest", "status", "bench",
				     "merge-strategy", "index" };

#define VERBS (sizeof(verbs) / sizeof(verbs[0]))
_Static_assert(SCOPE_ALL == (1 << VERBS) - 1, "a name for each bit");

uint32_t scope_of(const char *verb)
{
	for (uint32_t i = 0; i < VERBS; i++)
		if (strcmp(verb, verbs[i]) == 0)
			return UINT32_C(1) << i;
	return 0;
}

int scope_refuse(const char *option, uint32_t scope, const char *verb, struct error *err)
{
	char list[256] = "";
	size_t len = 0;

	for (uint32_t i = 0; i < VERBS; i++)
		if (scope >> i & 1)
			len += (size_t)snprintf(list + len, sizeof(list) - len, "%s%s", len ? ", " : "", verbs[i]);
	return error_set(err, -EINVAL, "option \"%s\" does not apply to %s; it belongs to %s", option, verb, list);
}
