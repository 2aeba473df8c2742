/* SPDX-License-Identifier: Apache-2.0 */
/* term: names that are harmless and as wide as they should be, sizes, numbers. */
#include <criterion/criterion.h>
#include <string.h>
#include <unistd.h>

#include "fs/base/term.h"

static void shows(const char *name, uint32_t width, const char *want)
{
	struct text t = TEXT_EMPTY;

	term_name(&t, name, width);
	cr_assert_str_eq(t.ptr ? t.ptr : "", want, "\"%s\" in %u: got \"%s\", want \"%s\"", name, width, t.ptr, want);
	text_free(&t);
}

Test(term, names)
{
	shows("model.wq.weight", 0, "model.wq.weight");
	shows("", 0, "");
	shows("a", 4, "a   ");
	shows("abcdefgh", 8, "abcdefgh");
	shows("abcdefghijkl", 9, "abc...jkl");
	shows("abcdefghijkl", 10, "abc...ijkl");
	shows("abcdefghijkl", 4, "abcd");
	shows("\xe5\xb1\x82.1", 6, "\xe5\xb1\x82.1  ");                                    /* a wide character */
	shows("\xe5\xb1\x82\xe5\xb1\x82\xe5\xb1\x82\xe5\xb1\x82\xe5\xb1\x82", 8, "\xe5\xb1\x82...\xe5\xb1\x82 "); /* a half does not fit */
	shows("e\xcc\x81", 3, "e\xcc\x81  ");                                              /* a combining mark */
}

Test(term, control_characters_are_escaped)
{
	shows("a\033[31mb\r\n\tc\x7f", 0, "a\\x1B[31mb\\x0D\\x0A\\x09c\\x7F");
	shows("\xc2\x9b" "2J", 0, "\\xC2\\x9B2J");                                         /* C1: CSI in one character */
	shows("a\xff\xc3", 0, "a\\xFF\\xC3");                                              /* no UTF-8, cut off */
	shows("\xe2\x80\xae" "x", 0, "\\xE2\\x80\\xAEx");                                  /* right-to-left override */
	shows("\033\033\033\033", 9, "...\\x1B  ");                                        /* an escape is not cut in two */
}

Test(term, widths)
{
	cr_expect_eq(term_width(""), 0);
	cr_expect_eq(term_width("\xe5\xb1\x82" "ab"), 4);
	cr_expect_eq(term_width("\033"), 4);
	cr_expect_eq(term_width("\xe2\x80\xae"), 12);
}

Test(term, sizes)
{
	static const struct {
		uint64_t bytes;
		const char *text;
	} cases[] = {
		{ 0, "0 B" }, { 1023, "1023 B" }, { 1024, "1.00 KiB" }, { 1536, "1.50 KiB" }, { 102400, "100.0 KiB" },
		{ (UINT64_C(1) << 20) - 1, "1.00 MiB" }, { UINT64_C(3) << 30, "3.00 GiB" }, { UINT64_MAX, "16.00 EiB" },
	};
	char out[TERM_TEXT];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		cr_expect_str_eq(term_size(out, cases[i].bytes), cases[i].text, "%s", out);
}

Test(term, numbers)
{
	char out[TERM_TEXT];

	cr_expect_str_eq(term_number(out, 0), "0");
	cr_expect_str_eq(term_number(out, 999), "999");
	cr_expect_str_eq(term_number(out, 1000), "1,000");
	cr_expect_str_eq(term_number(out, 12345678), "12,345,678");
	cr_expect_str_eq(term_number(out, UINT64_MAX), "18,446,744,073,709,551,615");
}

Test(term, a_pipe_is_plain)
{
	int ends[2];
	FILE *f;
	struct term t;

	cr_assert_eq(pipe(ends), 0);
	f = fdopen(ends[1], "w");
	t = term_of(f);
	cr_expect(!t.is_terminal && !t.colour && !t.utf8 && t.columns == 0);
	cr_expect_str_eq(term_style(&t, TERM_RED), "");
}
