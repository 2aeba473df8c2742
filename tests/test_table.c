/* SPDX-License-Identifier: Apache-2.0 */
/* Tables and wrapped messages, in a pipe and on terminals of some widths; patterns. */
#include <criterion/criterion.h>

#include "fs/base/table.h"
#include "fs/options/pattern.h"

static const struct table_column columns[] = { { "N", true, 0 }, { "SHAPE", false, 6 }, { "NAME", false, 0 } };

static void shows(uint32_t width, bool titled, const char *want)
{
	struct table t = table_new(columns, 3);
	struct term term = { .is_terminal = width > 0, .columns = width };
	struct text out = TEXT_EMPTY;

	table_add(&t, "%d", 1);
	table_add(&t, "[8]");
	table_add(&t, "a.weight");
	table_add(&t, "%d", 100);
	table_add(&t, "[8, 16]");
	table_add(&t, "%s\n", "model.layers.0.attention.weight");
	table_write(&t, &term, titled, &out);
	cr_expect_str_eq(out.ptr, want, "got:\n%swant:\n%s", out.ptr, want);
	table_free(&t);
	text_free(&out);
}

Test(table, pipe_and_terminal)
{
	shows(0, true, "  N  SHAPE    NAME\n  1  [8]      a.weight\n100  [8, 16]  model.layers.0.attention.weight\\x0A\n");
	shows(0, false, "  1  [8]      a.weight\n100  [8, 16]  model.layers.0.attention.weight\\x0A\n");
	shows(40, false, "  1  [8]     a.weight\n100  [8, 16  model.layers...n.weight\\x0A\n");
	shows(80, false, "  1  [8]     a.weight\n100  [8, 16  model.layers.0.attention.weight\\x0A\n");
}

Test(table, empty)
{
	struct table t = table_new(columns, 3);
	struct term term = { .columns = 0 };
	struct text out = TEXT_EMPTY;

	table_write(&t, &term, true, &out);
	cr_expect_str_eq(out.ptr, "N  SHAPE  NAME\n");
	text_free(&out);
	table_free(&t);
}

static void wraps(const char *message, uint32_t width, uint32_t indent, const char *want)
{
	struct text out = TEXT_EMPTY;

	term_wrap(&out, message, width, indent);
	cr_expect_str_eq(out.ptr ? out.ptr : "", want, "got:\n%s\nwant:\n%s", out.ptr, want);
	text_free(&out);
}

Test(table, wrap)
{
	wraps("one two three", 0, 4, "one two three");
	wraps("one two three", 11, 4, "one two\n    three");
	wraps("one two three", 10, 4, "one\n    two\n    three");
	wraps("one /a/very/long/path two", 12, 2, "one\n  /a/very/long/path\n  two");
	wraps("", 10, 2, "");
}

Test(table, patterns)
{
	cr_expect(pattern_matches(NULL, "a"));
	cr_expect(pattern_matches("b.c", "a.b.c.d"));
	cr_expect(!pattern_matches("b.x", "a.b.c.d"));
	cr_expect(pattern_matches("a*d", "a.b.c.d"));
	cr_expect(!pattern_matches("b*", "a.b.c.d"));
	cr_expect(pattern_matches("a.[bc].?.d", "a.b.c.d"));
}
