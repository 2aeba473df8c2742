/* SPDX-License-Identifier: Apache-2.0 */
/* What is refused of an expression before the C library may see it, and that it compiles what is at the bounds. */
#include <criterion/criterion.h>
#include <errno.h>
#include <regex.h>
#include <stdlib.h>
#include <string.h>

#include "layout/base/regexp.h"

#define TEN(x) x x x x x x x x x x

static const struct {
	const char *expression, *message; /* NULL: taken */
} cases[] = {
	{ "", NULL },
	{ "^model\\.layers\\.([0-9]+)\\.(wq|wk)[a-z]{1,3}$", NULL },
	{ "a{255}", NULL },
	{ "a{1025}", "too large" },
	{ "a{1,1025}", "too large" },
	{ "a{1024,}", "too large" },
	{ "a{99999999999999999999}", "too large" },
	{ "(a{30}){30}", NULL },
	{ "(a{30}){34}", "too large" },
	{ "(a{30}b{4}){30}", "too large" },
	{ "a{500}|b{500}", NULL },
	{ "a{500}|b{500}|c{25}", "too large" },
	{ "x|(a{30}){,34}", "too large" },
	{ "a+?", "a repeat sign behind another" },
	{ "(a|b){2}*", "a repeat sign behind another" },
	{ "a+\\+(a*)*a{1}\\{", NULL },
	{ "((((((((a+)?)?)?)?)?)?)?)?", NULL },
	{ "((((((((((a+)+)+)+)+)+)+)+)+)+)+", "too large" },
	{ TEN("([0-9]+)\\.") TEN("(a+)*"), NULL },
	{ "[{]{3}[a{9999}]", NULL },
	{ "\\{9999}", NULL },
	{ TEN("(") TEN("(") TEN("(") "((a))" TEN(")") TEN(")") TEN(")"), NULL },
	{ TEN("(") TEN("(") TEN("(") "(((a)))" TEN(")") TEN(")") TEN(")"), "deeper than 32" },
	{ TEN("(a)") TEN("(a)") TEN("(a)") TEN("(a)"), NULL },
	{ TEN("[(]") TEN("[(]") TEN("[(]") TEN("[(]"), NULL },
	{ TEN("[](]") TEN("[^](]") TEN("[[:alpha:](]") TEN("[a[.(.]]"), NULL },
	{ TEN("\\(") TEN("\\(") TEN("\\(") TEN("\\("), NULL },
	{ "(a)\\1", "\\1 is a back-reference" },
	{ "(a)[\\1]", NULL },
	{ "(a)\\\\1", NULL },
};

Test(regexp, bounds)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct error err = { "" };
		regex_t re;
		int code = regexp_check(cases[i].expression, &err);

		cr_assert_eq(code, cases[i].message ? -EINVAL : 0, "%s: %d %s", cases[i].expression, code, err.msg);
		cr_assert(!cases[i].message || strstr(err.msg, cases[i].message), "%s: %s", cases[i].expression, err.msg);
		if (code == 0) {
			cr_assert_eq(regcomp(&re, cases[i].expression, REG_EXTENDED), 0, "%s", cases[i].expression);
			regfree(&re);
		}
	}
}

/* What ends without its last bracket or brace is read to its end and no further; regcomp() refuses it. */
Test(regexp, cut_off)
{
	static const char whole[] = "[^][:alpha:]a]{1,2}(\\x)";
	struct error err;

	for (size_t n = 0; n < sizeof(whole); n++) {
		char *cut = strndup(whole, n);

		cr_assert_eq(regexp_check(cut, &err), 0, "%s: %s", cut, err.msg);
		free(cut);
	}
}

Test(regexp, length)
{
	static char text[REGEXP_BYTES + 2];
	struct error err;

	memset(text, 'a', REGEXP_BYTES);
	cr_assert_eq(regexp_check(text, &err), 0);
	text[REGEXP_BYTES] = 'a';
	cr_assert_eq(regexp_check(text, &err), -EINVAL);
	cr_assert_str_eq(err.msg, "1025 bytes are too long for an expression: at most 1024");
}
