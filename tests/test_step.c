/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names and steps. The tables of file_suffix marked MindSpore are what MindSpore 2.10 chose in a run (oracle case `suffix`);
 * the others are read from its rules in transform_safetensors.py.
 */
#include <criterion/criterion.h>
#include <string.h>

#include "layout/formats/step.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

Test(step, rank_folders)
{
	static const struct {
		const char *name;
		bool good;
		uint64_t rank;
	} cases[] = {
		{ "rank_0", true, 0 }, { "rank_7", true, 7 }, { "rank_12", true, 12 }, { "rank_007", true, 7 }, { "rank_3_rank_5", true, 5 },
		{ "rank_18446744073709551615", true, UINT64_MAX }, { "rank_18446744073709551616", true, UINT64_MAX },
		{ "rank_8_bak", false, 0 }, { "rank_", false, 0 }, { "rank_x", false, 0 }, { "rank_0a", false, 0 }, { "rank_0 ", false, 0 },
		{ "rank_-1", false, 0 }, { "rank0", false, 0 }, { "Rank_0", false, 0 }, { "xrank_0", false, 0 }, { "", false, 0 },
		{ "rank_3_rank_", false, 0 }, { "rank_rank_3", false, 0 }, { ".rank_0", false, 0 },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		uint64_t rank = 0;

		cr_assert_eq(step_rank_of_dir(cases[i].name, &rank), cases[i].good, "\"%s\"", cases[i].name);
		cr_assert_eq(rank, cases[i].rank, "\"%s\"", cases[i].name);
	}
}

Test(step, weights_files)
{
	static const char *const good[] = { "a.safetensors", "net_rank_0-1_10.safetensors", "x.tmp.safetensors", "tmpx.safetensors", "x.ckpt" };
	static const char *const bad[] = { "", ".safetensors", ".tmpXXXXXX", ".x.safetensors", "x.safetensors.tmp", "x.tmp", "safetensors",
					   "x.safetensor", "x.SAFETENSORS", "notes.txt", ".x.ckpt", "x.ckpt.tmp", ".ckpt", "meta.json", "xsafetensors" };

	for (size_t i = 0; i < COUNT(good); i++)
		cr_assert(step_is_weights(good[i]), "\"%s\"", good[i]);
	for (size_t i = 0; i < COUNT(bad); i++)
		cr_assert_not(step_is_weights(bad[i]), "\"%s\"", bad[i]);
}

Test(step, steps_of_names)
{
	static const struct {
		const char *name;
		struct step want;
	} cases[] = {
		{ "net_rank_0-1_10.safetensors", { true, 1, 10, 0 } },
		{ "net_rank_0_2-1_10.safetensors", { true, 1, 10, 2 } },
		{ "llama_7b_rank_13_104-3_20000.safetensors", { true, 3, 20000, 104 } },
		{ "net_rank_0-1_10", { true, 1, 10, 0 } },
		{ "rank_0_2-1_10.safetensors", { true, 1, 10, 0 } },     /* no prefix: not MindSpore's form */
		{ "_rank_0_2-1_10.safetensors", { true, 1, 10, 0 } },
		{ "x_rank_0_2-1_10.safetensors", { true, 1, 10, 2 } },
		{ "x_rank_5_rank_3-1_2.safetensors", { true, 1, 2, 0 } },
		{ "x_rank_5_rank_3_4-1_2.safetensors", { true, 1, 2, 4 } },
		{ "x_rank_5_3_4-1_2.safetensors", { true, 1, 2, 0 } },
		{ "x_rank__4-1_2.safetensors", { true, 1, 2, 0 } },
		{ "x_rank_1_2_-1_2.safetensors", { true, 1, 2, 0 } },
		{ "x_rank_1_2-1_2b.safetensors", { false, 0, 0, 0 } },   /* numbers, but not at the end */
		{ "x_rank_1_2-1-2.safetensors", { false, 0, 0, 0 } },
		{ "model-00001-of-00002.safetensors", { false, 0, 0, 0 } },
		{ "epoch3step77.safetensors", { false, 0, 0, 0 } },
		{ "qwen2_rank_3.safetensors", { false, 0, 0, 0 } },      /* a rank's number is no counter */
		{ "net_rank_3_1.safetensors", { false, 0, 0, 0 } },      /* nor is its task */
		{ "net_3_40.safetensors", { true, 3, 40, 0 } },
		{ "net-7_08.safetensors", { true, 7, 8, 0 } },
		{ "model.safetensors", { false, 0, 0, 0 } },
		{ "model7.safetensors", { false, 0, 0, 0 } },
		{ "", { false, 0, 0, 0 } },
		{ "rank_0/net-5.safetensors", { false, 0, 0, 0 } },      /* the folder's number is none of the name's */
		{ "n_rank_0-18446744073709551615_99999999999999999999.safetensors", { true, UINT64_MAX, UINT64_MAX, 0 } },
		{ "n_rank_0_30000000000000000000-1_2.safetensors", { true, 1, 2, UINT64_MAX } },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct step got = step_parse(cases[i].name);

		cr_assert_eq(got.counted, cases[i].want.counted, "\"%s\"", cases[i].name);
		cr_assert_eq(got.epoch, cases[i].want.epoch, "\"%s\"", cases[i].name);
		cr_assert_eq(got.step, cases[i].want.step, "\"%s\"", cases[i].name);
		cr_assert_eq(got.task, cases[i].want.task, "\"%s\"", cases[i].name);
	}
}

Test(step, order)
{
	static const char *const ascending[] = {
		"model", "n_rank_0-0_0", "n_rank_0_1-0_0", "n_rank_0-0_1", "n_rank_0-1_0", "n_rank_0-9_100", "n_rank_0-10_3", "n_rank_0-10_20",
		"n_rank_0_2-10_20", "n_rank_0_10-10_20", "n_rank_0-10_100", "n_rank_0-11_1",
	};

	for (size_t i = 0; i < COUNT(ascending); i++)
		for (size_t j = 0; j < COUNT(ascending); j++) {
			struct step a = step_parse(ascending[i]), b = step_parse(ascending[j]);
			int r = step_compare(&a, &b);

			cr_assert_eq((r > 0) - (r < 0), (i > j) - (i < j), "\"%s\" and \"%s\"", ascending[i], ascending[j]);
		}

	struct step a = step_parse("a_rank_0-2_3"), b = step_parse("other_rank_9-2_03");

	cr_assert_eq(step_compare(&a, &b), 0, "the rank and the prefix are no part of a step");
}

/* Puts ".safetensors" behind each name; `want` is the name chosen, NULL for none, "?" for an error of several. */
static void check_choice(const char *const *stems, const char *suffix, const char *want)
{
	char full[8][64];
	const char *names[8];
	uint64_t count = 0;

	for (; stems[count]; count++) {
		names[count] = strcat(strcpy(full[count], stems[count]), ".safetensors");
		cr_assert_lt(count, 8);
	}
	for (uint64_t turn = 0; turn < count; turn++) { /* in any order of the directory */
		const char *first = names[0];
		int64_t got = step_choose(names, count, suffix);

		cr_assert_lt(got, (int64_t)count);
		if (!want)
			cr_assert_eq(got, -1, "suffix \"%s\": %d", suffix, (int)got);
		else if (strcmp(want, "?") == 0)
			cr_assert_eq(got, -2, "suffix \"%s\": %d", suffix, (int)got);
		else
			cr_assert(got >= 0 && strncmp(names[got], want, strlen(want)) == 0 && names[got][strlen(want)] == '.',
				  "suffix \"%s\": %d", suffix, (int)got);
		memmove(names, names + 1, (count - 1) * sizeof(names[0]));
		names[count - 1] = first;
	}
}

Test(step, suffix_as_mindspore_ran)
{
	static const char *const names[] = { "net_rank_0-2_3", "net_rank_0-9_9", "net_rank_0_1-1_10", "net_rank_0-1_5", "net_rank_0-1_10", NULL };

	check_choice(names, "1_5", "net_rank_0-1_5");
	check_choice(names, "-1_10", "net_rank_0-1_10");
	check_choice(names, "_1-1_10", "net_rank_0_1-1_10");
	check_choice(names, "2_3", "net_rank_0-2_3");
	check_choice(names, "7_7", NULL);
	check_choice(names, "10", "net_rank_0-1_10");
	check_choice(names, "3", "net_rank_0-2_3");
}

Test(step, suffix_by_rule)
{
	static const char *const ranks[] = { "net_rank_1-1_10", "net_rank_0_1-1_10", "net_rank_0_11-1_10", NULL };
	static const char *const digits[] = { "a-1_10", "a-2_110", "a-3_210", NULL };
	static const char *const longer[] = { "a-2_110", "a-3_210", NULL };
	static const char *const twins[] = { "a-1_10", "b-1_10", "long-1_10", NULL };
	static const char *const lone[] = { "a-1_10", "a-1_9", NULL };
	static const char *const words[] = { "a_final", "b_x_final", NULL };

	check_choice(ranks, "_1-1_10", "net_rank_0_1-1_10");  /* rank_1-1_10 is a rank, no task */
	check_choice(ranks, "1-1_10", "net_rank_0_1-1_10");   /* and _11-1_10 another task */
	check_choice(ranks, "-1_10", "net_rank_1-1_10");      /* the shortest */
	check_choice(ranks, "2-1_10", NULL);
	check_choice(digits, "10", "a-1_10");
	check_choice(digits, "_10", "a-1_10");
	check_choice(digits, "110", "a-2_110");
	check_choice(longer, "10", "?");                      /* several end in it, none in _10 */
	check_choice(twins, "1_10", "?");                     /* two shortest */
	check_choice(lone, "0", "a-1_10");                    /* one match needs no form */
	check_choice(lone, "a-1_9", "a-1_9");
	check_choice(lone, "", "?");
	check_choice(words, "final", "?");                    /* a form that MindSpore does not know */
	check_choice(words, "x_final", "b_x_final");
	check_choice(words, "_rank_0-1_10", NULL);
	cr_assert_eq(step_choose(NULL, 0, "1_1"), -1);
}
