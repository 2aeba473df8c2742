/* SPDX-License-Identifier: Apache-2.0 */
/* What is suggested for a mistyped word, and when nothing is. */
#include <criterion/criterion.h>
#include <string.h>

#include "fs/options/suggest.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

Test(suggest, suggestions)
{
	static const struct {
		const char *typed, *want;
	} cases[] = {
		{ "mont", "mount" }, { "umont", "umount" }, { "mount", "mount" }, { "hlep", "help" }, { "xyzzy", NULL }, { "", NULL },
		{ "m", NULL }, { "mount-and-a-very-long-name-that-nobody-has-mistyped", NULL },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct suggest s = suggest_begin(cases[i].typed);

		suggest_offer(&s, "mount");
		suggest_offer(&s, "umount");
		suggest_offer(&s, "help");
		if (cases[i].want)
			cr_assert(s.best && strcmp(s.best, cases[i].want) == 0, "\"%s\": \"%s\"", cases[i].typed, s.best ? s.best : "");
		else
			cr_assert_null(s.best, "\"%s\": \"%s\"", cases[i].typed, s.best);
	}
}
