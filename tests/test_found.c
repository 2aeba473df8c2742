/* SPDX-License-Identifier: Apache-2.0 */
/* Steps among the names of rank folders, against a table; and files that are seen to change. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/source/seen.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* "NAME: PATH - PATH" for each step, a line each. */
static void print(const struct found *found, uint64_t ranks, char *out)
{
	*out = '\0';
	for (uint64_t i = 0; i < found->count; i++) {
		const struct found_step *s = &found->steps[i];

		sprintf(out + strlen(out), "%s %d%s:", s->name, (int)s->count, s->problem ? "!" : "");
		for (uint64_t r = 0; r < ranks; r++)
			sprintf(out + strlen(out), " %s", s->paths[r] ? s->paths[r] : "-");
		strcat(out, "\n");
	}
}

Test(found, steps)
{
	static const char *const zero[] = { "net_rank_0-1_10.safetensors", "net_rank_0-1_9.safetensors", "net_rank_0_1-1_9.safetensors" };
	static const char *const two[] = { "net.safetensors", "net_rank_2-1_9.safetensors", "net_rank_2-2_1.safetensors", "x-2_1.safetensors" };
	static const struct ranks_folder folders[] = { { 0, "/r0", zero, COUNT(zero) }, { 1, "/r1", NULL, 0 }, { 2, "/r2", two, COUNT(two) } };
	static const struct ranks ranks = { folders, COUNT(folders) };
	struct arena *arena = arena_new();
	struct found found;
	struct error err;
	char out[1024];

	cr_assert_eq(found_steps(&ranks, arena, &found, &err), 0);
	print(&found, ranks.count, out);
	cr_assert_str_eq(out, "2_1 1!: - - /r2/net_rank_2-2_1.safetensors\n"
			      "1_10 1: /r0/net_rank_0-1_10.safetensors - -\n"
			      "_1-1_9 1: /r0/net_rank_0_1-1_9.safetensors - -\n"
			      "1_9 2: /r0/net_rank_0-1_9.safetensors - /r2/net_rank_2-1_9.safetensors\n"
			      "(uncounted) 1!: - - /r2/net.safetensors\n");
	cr_assert(strstr(found.steps[0].problem, "net_rank_2-2_1.safetensors and x-2_1.safetensors in /r2"), "%s", found.steps[0].problem);
	arena_free(arena);
}

Test(found, nothing)
{
	static const struct ranks none = { NULL, 0 };
	struct arena *arena = arena_new();
	struct found found;
	struct error err;

	cr_assert_eq(found_steps(&none, arena, &found, &err), 0);
	cr_assert_eq(found.count, 0);
	arena_free(arena);
}

/* A folder of files, each made with a size. */
static void make(const char *folder, const char *name, const char *text)
{
	char path[256];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	f = fopen(path, "w");
	fputs(text, f);
	fclose(f);
}

Test(found, seen)
{
	char folder[] = "/tmp/gatherfs-seen-XXXXXX", a[64], b[64], c[64], b2[64];
	const char *all[3] = { a, b, c }, *fewer[3] = { a, NULL, c }, *none[3] = { NULL };
	struct found_step now = { .paths = all, .count = 3 };
	struct arena *arena = arena_new();
	struct seen seen, two;
	struct stat st;
	struct error err;

	cr_assert(mkdtemp(folder));
	snprintf(a, sizeof(a), "%s/a", folder);
	snprintf(b, sizeof(b), "%s/b", folder);
	snprintf(c, sizeof(c), "%s/c", folder);
	snprintf(b2, sizeof(b2), "%s/b2", folder);
	make(folder, "a", "1");
	make(folder, "b", "22");
	make(folder, "c", "333");
	cr_assert_eq(seen_note(&now, 3, arena, &seen, &err), 0);
	cr_assert_eq(seen.count, 3);
	cr_assert(seen_has(&seen, &now, 3));
	now = (struct found_step){ .paths = fewer, .count = 2 };
	cr_assert(seen_has(&seen, &now, 3), "fewer files are nothing new");
	cr_assert_eq(seen_note(&now, 3, arena, &two, &err), 0);
	now.paths = none;
	cr_assert(seen_has(&seen, &now, 3));
	now.paths = all;
	cr_assert_not(seen_has(&two, &now, 3), "b is new");
	make(folder, "b2", "22");
	cr_assert_eq(rename(b2, b), 0);
	cr_assert_not(seen_has(&seen, &now, 3), "b is another file");
	cr_assert_eq(stat(c, &st), 0);
	now.paths = fewer;
	make(folder, "c", "4444");
	cr_assert_not(seen_has(&seen, &now, 3), "c has another size");
	unlink(c);
	cr_assert_not(seen_has(&seen, &now, 3), "c is gone");
	unlink(a);
	unlink(b);
	rmdir(folder);
	arena_free(arena);
}
