/* SPDX-License-Identifier: Apache-2.0 */
/* The values of options that are sizes and paths: what a text means. */
#include <criterion/criterion.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/options/value.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

Test(value, sizes)
{
	static const struct {
		const char *text;
		int64_t bytes; /* -1: refused */
	} cases[] = {
		{ "0", 0 }, { "1", 1 }, { "4096", 4096 }, { "1K", 1024 }, { "1k", 1024 }, { "3G", INT64_C(3) << 30 }, { "2T", INT64_C(2) << 40 },
		{ "9223372036854775807", INT64_MAX }, { "9223372036854775808", -1 }, { "18446744073709551616", -1 }, { "8388608T", -1 },
		{ "17179869184G", -1 }, { "", -1 }, { "K", -1 }, { "1KB", -1 }, { "1 K", -1 }, { "1 ", -1 }, { "1\n", -1 }, { " 1", -1 }, { "-1", -1 }, { "+1", -1 },
		{ "0x10", -1 }, { "1E", -1 }, { "1.5G", -1 },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct error err;
		uint64_t bytes;
		int rc = value_size(cases[i].text, &bytes, &err);

		cr_assert_eq(rc, cases[i].bytes < 0 ? -EINVAL : 0, "\"%s\"", cases[i].text);
		if (rc == 0)
			cr_assert_eq(bytes, (uint64_t)cases[i].bytes, "\"%s\"", cases[i].text);
	}
}

/* A folder of our own: real/ , link -> real, real/file.safetensors, blob.safetensors -> real/file.safetensors. */
static void make_folder(char *dir)
{
	char base[] = "/tmp/gatherfs-options-XXXXXX";

	cr_assert_not_null(mkdtemp(base));
	cr_assert_not_null(realpath(base, dir));
	cr_assert_eq(chdir(dir), 0);
	cr_assert_eq(mkdir("real", 0700), 0);
	fclose(fopen("real/file.safetensors", "w"));
	cr_assert_eq(symlink("real", "link"), 0);
	cr_assert_eq(symlink("real/file.safetensors", "blob.safetensors"), 0);
}

static void remove_folder(const char *dir)
{
	cr_assert_eq(chdir(dir), 0);
	cr_assert(unlink("blob.safetensors") == 0 && unlink("link") == 0 && unlink("real/file.safetensors") == 0);
	cr_assert(rmdir("real") == 0 && chdir("/") == 0 && rmdir(dir) == 0);
}

/* Folders are resolved, files keep the name they were given, mount points keep their last name unless it is a dot. */
Test(value, paths)
{
	static const struct {
		const char *text, *path, *point; /* want, behind the folder */
	} cases[] = {
		{ "real", "/real", "/real" },
		{ "link", "/real", "/link" },
		{ "link/", "/real", "/link" },
		{ "./link/../real//", "/real", "/real" },
		{ "link/file.safetensors", "/real/file.safetensors", "/real/file.safetensors" },
		{ "blob.safetensors", "/blob.safetensors", "/blob.safetensors" },
		{ "real/.", "/real", "/real" },
		{ "real/..", "", "" },
		{ ".", "", "" },
		{ "new", "/new", "/new" },
		{ "link/new", "/real/new", "/real/new" },
		{ "no/such", "/no/such", "/no/such" },
	};
	char dir[PATH_MAX], want[PATH_MAX + 64];
	struct arena *arena = arena_new();

	make_folder(dir);
	for (size_t i = 0; i < COUNT(cases); i++) {
		const char *path, *point;
		struct error err;

		cr_assert_eq(value_path(cases[i].text, arena, &path, &err), 0);
		snprintf(want, sizeof(want), "%s%s", dir, cases[i].path);
		cr_assert_str_eq(path, want);
		cr_assert_eq(value_point(cases[i].text, arena, &point, &err), 0);
		snprintf(want, sizeof(want), "%s%s", dir, cases[i].point);
		cr_assert_str_eq(point, want);
	}
	remove_folder(dir);
	arena_free(arena);
}
