/* SPDX-License-Identifier: Apache-2.0 */
/* Values of options. Numbers are read by hand: strtoull takes blanks, signs and wraps around. */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/options/value.h"
#include "layout/base/bytes.h"

/* Reads the digits of `base` at the start of `text`; their end, or NULL when there are none or too many. */
static const char *digits(const char *text, uint64_t base, uint64_t *out)
{
	uint64_t v = 0;
	const char *p = text;

	for (; *p >= '0' && *p < '0' + (char)base; p++)
		if (!bytes_mul(v, base, &v) || !bytes_add(v, (uint64_t)(*p - '0'), &v))
			return NULL;
	*out = v;
	return p > text ? p : NULL;
}

int value_size(const char *text, uint64_t *bytes, struct error *err)
{
	static const char units[] = "KMGTkmgt";
	const char *end = digits(text, 10, bytes), *unit = end && *end ? strchr(units, *end) : NULL;
	uint64_t factor = unit ? UINT64_C(1) << 10 * ((unit - units) % 4 + 1) : 1;

	if (!end || (*end && (!unit || end[1])) || !bytes_mul(*bytes, factor, bytes) || *bytes > INT64_MAX)
		return error_set(err, -EINVAL, "expected bytes such as 4096, 64K, 500M or 3G, found \"%s\"", text);
	return 0;
}

int value_number(const char *text, uint64_t min, uint64_t max, uint64_t *out, struct error *err)
{
	const char *end = digits(text, 10, out);

	if (!end || *end || *out < min || *out > max)
		return error_set(err, -EINVAL, "expected a number from %" PRIu64 " to %" PRIu64 ", found \"%s\"", min, max, text);
	return 0;
}

/* "7" or "0-7" at the start of `text`; its end, or NULL. */
static const char *range(const char *text, struct value_range *out)
{
	uint64_t first = 0, last;
	const char *end = digits(text, 10, &first);

	last = first;
	if (end && *end == '-')
		end = digits(end + 1, 10, &last);
	if (!end || first > last || last > INT32_MAX)
		return NULL;
	*out = (struct value_range){ (uint32_t)first, (uint32_t)last };
	return end;
}

int value_ranges(const char *text, struct arena *arena, struct value_range **out, uint32_t *count, struct error *err)
{
	struct value_range *list = arena_alloc(arena, strlen(text) + 1, sizeof(*list));
	const char *at = text;
	uint32_t n = 0;

	if (!list)
		return error_nomem(err);
	do {
		at = range(n ? at + 1 : at, &list[n]);
		if (!at || (n && list[n].first <= list[n - 1].last))
			return error_set(err, -EINVAL, "expected ascending ranks such as 0-7+16, found \"%s\"", text);
		n++;
	} while (*at == '+');
	if (*at)
		return error_set(err, -EINVAL, "expected ranks such as 0-7+16, found \"%s\"", text);
	*out = list;
	*count = n;
	return 0;
}

int value_mode(const char *text, uint32_t *mode, struct error *err)
{
	uint64_t v = 0;
	const char *end = digits(text, 8, &v);

	if (!end || *end || v > 0777)
		return error_set(err, -EINVAL, "expected permissions in octal, such as 0444, found \"%s\"", text);
	*mode = (uint32_t)v;
	return 0;
}

/* `text` behind the working directory, when it is not absolute yet. */
static int absolute(const char *text, struct arena *arena, const char **path, struct error *err)
{
	char cwd[PATH_MAX];

	if (text[0] != '/' && !getcwd(cwd, sizeof(cwd)))
		return error_set(err, -EINVAL, "\"%s\": the working directory is gone: %s", text, strerror(errno));
	*path = text[0] == '/' ? arena_strndup(arena, text, strlen(text)) : arena_printf(arena, "%s/%s", cwd, text);
	return *path ? 0 : error_nomem(err);
}

/* Where the last name of an absolute path begins, without slashes at the end; *len is its length, 0 for the root. */
static const char *last_name(const char *path, size_t *len)
{
	const char *end = path + strlen(path), *name;

	while (end > path && end[-1] == '/')
		end--;
	for (name = end; name > path && name[-1] != '/'; name--)
		;
	*len = (size_t)(end - name);
	return name;
}

/* Resolves the folders of *path, an absolute path; the last name stays as it is. A path that leads nowhere stays whole. */
static int resolve_folders(const char **path, struct arena *arena, struct error *err)
{
	char real[PATH_MAX];
	size_t len;
	const char *name = last_name(*path, &len);
	const char *dir = arena_strndup(arena, *path, (size_t)(name - *path));

	if (!dir)
		return error_nomem(err);
	if (len == 0 || !realpath(dir, real))
		return 0;
	*path = arena_printf(arena, "%s/%.*s", strcmp(real, "/") == 0 ? "" : real, (int)len, name);
	return *path ? 0 : error_nomem(err);
}

static int resolve_all(const char **path, struct arena *arena, struct error *err)
{
	char real[PATH_MAX];

	if (!realpath(*path, real))
		return 0;
	*path = arena_strndup(arena, real, strlen(real));
	return *path ? 0 : error_nomem(err);
}

int value_path(const char *text, struct arena *arena, const char **path, struct error *err)
{
	struct stat st;
	int rc = text[0] ? absolute(text, arena, path, err) : error_set(err, -EINVAL, "expected a path, found \"\"");

	if (rc < 0)
		return rc;
	if (stat(*path, &st) == 0 && S_ISDIR(st.st_mode))
		return resolve_all(path, arena, err);
	return resolve_folders(path, arena, err);
}

int value_point(const char *text, struct arena *arena, const char **path, struct error *err)
{
	size_t len;
	const char *name;
	int rc = text[0] ? absolute(text, arena, path, err) : error_set(err, -EINVAL, "expected a path, found \"\"");

	if (rc < 0)
		return rc;
	name = last_name(*path, &len);
	if (len == 0 || (len <= 2 && strncmp(name, "..", len) == 0))
		return resolve_all(path, arena, err);
	return resolve_folders(path, arena, err);
}
