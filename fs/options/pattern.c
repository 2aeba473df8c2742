/* SPDX-License-Identifier: Apache-2.0 */
/* See pattern.h. */
#include <fnmatch.h>
#include <string.h>

#include "fs/options/pattern.h"

bool pattern_matches(const char *pattern, const char *name)
{
	if (!pattern)
		return true;
	return strpbrk(pattern, "*?[") ? fnmatch(pattern, name, 0) == 0 : strstr(name, pattern) != NULL;
}
