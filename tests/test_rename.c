/* SPDX-License-Identifier: Apache-2.0 */
/* Rules for names: tables of rules and what they make of a name, refusals with their whole messages, and renamed checkpoints. */
#include <errno.h>
#include <stdio.h>

#include "layout/names/rename.h"
#include "tests/small.h"

#define U8(name, n) { name, DTYPE_U8, 1, { n } }

static struct bytes text_of(const char *rules)
{
	return (struct bytes){ (const uint8_t *)rules, strlen(rules) };
}

static struct rename *parse(const char *rules)
{
	struct rename *r;
	struct error err;

	cr_assert_eq(rename_parse(text_of(rules), &r, &err), 0, "%s: %s", rules, err.msg);
	return r;
}

static const struct applied {
	const char *rules, *name, *out;
} applied[] = {
	{ "", "w", "w" },
	{ "# a b\n\n   \t \n#a b c", "a", "a" },
	{ "a b", "a", "b" },
	{ "a b", "xax", "xbx" },
	{ "a b", "aaa", "bbb" },
	{ "a b", "xyz", "xyz" },
	{ "a\tb\r\n", "a", "b" },
	{ "  a   b  ", "a", "b" },
	{ "a #", "a", "#" },
	{ "a b\nb c", "ab", "cc" },          /* in order, each on what the one before has made */
	{ "b c\na b", "ab", "bc" },
	{ "a b\nb a", "ab", "aa" },
	{ "ab ba", "aabb", "abab" },         /* what a match makes is not matched again */
	{ "a aa", "aba", "aabaa" },
	{ "^a b", "aaa", "baa" },            /* an anchor holds at the ends of the name alone */
	{ "^a b", "xa", "xa" },
	{ "(^a|b) c", "aaba", "caca" },
	{ "a$ b", "aaa", "aab" },
	{ "^a$ b", "a", "b" },
	{ "^a$ b", "aa", "aa" },
	{ "(a+)(b*) \\2\\1", "aab", "baa" },
	{ "(a)(b)? [\\1\\2]", "aab", "[a][ab]" }, /* a group that took no part is nothing */
	{ "a.c <\\0>", "abcadc", "<abc><adc>" },
	{ "layers\\.([0-9]+)\\. blocks.\\1.", "model.layers.10.wq", "model.blocks.10.wq" },
	{ "^model\\.(.*)$ \\1", "model.layers.0", "layers.0" },
	{ "(a)(b)(c)(d)(e)(f)(g)(h)(i)(j) \\9\\8\\1", "abcdefghij", "iha" },
	{ "a \\\\", "xa", "x\\" },
	{ "a \\\\1", "a", "\\1" },
	{ "\\. _", "a.b.c", "a_b_c" },
	{ "x* -", "abc", "-a-b-c-" },        /* empty matches: one before each byte and one at the end */
	{ "$ !", "abc", "abc!" },
	{ "^ !", "abc", "!abc" },
	{ "b* -", "abc", "-a--c-" },         /* as Python's re.sub since 3.7 */
	{ "x{2,3} y", "xxxxx", "yy" },
	{ "[[:digit:]]+ N", "l.12.x3", "l.N.xN" },
	{ "[[:space:]] _", "a b\tc", "a_b_c" },
	{ "wq 嵌入", "m.wq", "m.嵌入" },
	{ "嵌 embed", "嵌入", "embed入" },
	{ "表 \\0\\0", "表.é", "表表.é" },
	{ "\\.b$ .bias", "a.b.b", "a.b.bias" },
	{ "A b", "a", "a" },
};

Test(rename, applied)
{
	for (size_t i = 0; i < sizeof(applied) / sizeof(*applied); i++) {
		struct rename *r = parse(applied[i].rules);
		struct arena *arena = arena_new();
		const char *out = rename_apply(r, applied[i].name, arena);

		cr_expect_str_eq(out, applied[i].out, "%s on %s: %s, want %s", applied[i].rules, applied[i].name, out, applied[i].out);
		arena_free(arena);
		rename_free(r);
	}
}

static const struct refused {
	const char *rules, *message; /* how it begins */
} refused[] = {
	{ "a", "line 1: expected FROM and TO, found one field" },
	{ "a b c", "line 1: expected FROM and TO, found more" },
	{ "a b\n\n# x\nq", "line 4: expected FROM and TO, found one field" },
	{ "a b #c", "line 1: expected FROM and TO, found more" },
	{ "( b", "line 1: FROM \"(\": " },
	{ "a b\n[a b", "line 2: FROM \"[a\": " },
	{ "a{2,1} b", "line 1: FROM \"a{2,1}\": " },
	{ "*a( b", "line 1: FROM \"*a(\": " },
	{ "a \\1", "line 1: TO: \\1, but FROM has 0 groups" },
	{ "a b\n(a)\\1 b", "line 2: FROM: \"(a)\\1\": \\1 is a back-reference, which extended expressions do not have" },
	{ "(a)(b) \\9", "line 1: TO: \\9, but FROM has 2 groups" },
	{ "(a) \\1\\2", "line 1: TO: \\2, but FROM has 1 groups" },
	{ "(a) \\n", "line 1: TO: \"\\\" must be followed by a digit or \"\\\"" },
	{ "(a) x\\", "line 1: TO: \"\\\" must be followed by a digit or \"\\\"" },
	{ "a \\\\\\", "line 1: TO: \"\\\" must be followed by a digit or \"\\\"" },
};

Test(rename, refused)
{
	for (size_t i = 0; i < sizeof(refused) / sizeof(*refused); i++) {
		struct rename *r;
		struct error err;

		cr_expect_eq(rename_parse(text_of(refused[i].rules), &r, &err), -EINVAL, "%s", refused[i].rules);
		cr_expect_eq(strncmp(err.msg, refused[i].message, strlen(refused[i].message)), 0, "%s: %s", refused[i].rules, err.msg);
	}
}

Test(rename, a_nul_is_no_text)
{
	struct bytes text = { (const uint8_t *)"a b\n\0c d", 8 };
	struct rename *r;
	struct error err;

	cr_assert_eq(rename_parse(text, &r, &err), -EINVAL);
	cr_assert_str_eq(err.msg, "a NUL at byte 4");
}

Test(rename, many_rules)
{
	char *text = malloc(10001 * 16), *at = text;
	struct rename *r;
	struct error err;

	for (int i = 0; i < 10000; i++)
		at += sprintf(at, "^n%d$ n%d\n", i, i + 1);
	r = parse(text);
	struct arena *arena = arena_new();
	cr_assert_str_eq(rename_apply(r, "n0", arena), "n10000");
	cr_assert_str_eq(rename_apply(r, "n9999x", arena), "n9999x");
	arena_free(arena);
	rename_free(r);
	strcpy(at, "a b\n");
	cr_assert_eq(rename_parse(text_of(text), &r, &err), -E2BIG);
	cr_assert_str_eq(err.msg, "line 10001: more than 10000 rules");
	free(text);
}

/* A name that grows and grows ends as a refusal, not in memory. */
Test(rename, names_do_not_grow_for_ever, .timeout = 20)
{
	char rules[41 * 16], wide[200000], *at = rules;
	struct small small = { .kind = CHECKPOINT_UNIFIED, .file = { { "in", 0, { U8("ab", 1) } } } };

	for (int i = 0; i < 40; i++)
		at += sprintf(at, ".* \\0\\0\n");
	memset(wide, 0, sizeof(wide));
	strcpy(wide, "(.*) ");
	for (size_t i = 5; i < sizeof(wide) - 3; i += 2)
		memcpy(wide + i, "\\1", 2);
	for (int i = 0; i < 2; i++) {
		struct arena *arena = arena_new();
		struct rename *r = parse(i ? wide : rules);
		struct checkpoint *ckpt;
		struct error err;

		cr_assert_eq(small_build(&small, arena, &ckpt, &err), 0, "%s", err.msg);
		cr_assert_eq(rename_checkpoint(ckpt, r, arena, &err), -EINVAL);
		cr_assert(strstr(err.msg, "tensor \"ab\" would get the name \"abab") && strstr(err.msg, "too long"), "%s", err.msg);
		rename_free(r);
		arena_free(arena);
	}
}

static const struct renamed {
	const char *rules, *names; /* of the tensors, a blank between, or what the message has */
	int code;
	struct small_tensor t[SMALL_MOST];
} renamed[] = {
	{ "w v", "v0 v1", 0, { U8("w0", 1), U8("w1", 2) } },
	{ "^w(.)$ \\1", "0 1", 0, { U8("w0", 1), U8("w1", 2) } },
	{ "^a$ x\n^b$ a\n^x$ b", "a b", 0, { U8("a", 1), U8("b", 2) } },                  /* two names change places */
	{ "l\\.10$ l.1a\nl\\.9 l.11", "l.1a l.2 l.11", 0, { U8("l.2", 1), U8("l.9", 2), U8("l.10", 3) } }, /* natural order of the new names */
	{ "^b$ a", "tensor \"b\" would get the name \"a\", which another tensor has", -EINVAL, { U8("a", 1), U8("b", 2) } },
	{ "^a$ b", "tensor \"b\" would get the name \"b\", which another tensor has", -EINVAL, { U8("a", 1), U8("b", 2) } },
	{ ".* x", "would get the name \"xx\"", -EINVAL, { U8("a", 1), U8("b", 2) } },
	{ "^(x*)a$ \\1", "tensor \"a\" would get the name \"\", which is none", -EINVAL, { U8("a", 1) } },
	{ "^(.).*$ \\1", "which is none: empty, too long or not UTF-8", -EINVAL, { U8("嵌入", 1) } }, /* half a character */
	{ "a \xff", "not UTF-8", -EINVAL, { U8("a", 1) } },
	{ "w step_num", "which a parameter outside the strategy has", -EINVAL, { U8("w", 1) } },
	{ "step_num w", "w", 0, { U8("w", 1) } },                                         /* those outside keep their names */
};

static const char *names_of(const struct checkpoint *ckpt, struct arena *arena)
{
	const char *all = "";

	for (uint64_t i = 0; i < ckpt->count; i++)
		all = arena_printf(arena, "%s%s%s", all, i ? " " : "", ckpt->tensors[i].name);
	return all;
}

Test(rename, checkpoints)
{
	for (size_t i = 0; i < sizeof(renamed) / sizeof(*renamed); i++) {
		const struct renamed *x = &renamed[i];
		struct small small = { .kind = CHECKPOINT_UNIFIED, .file = { { "in", 0 }, { "hyper", 0, { U8("step_num", 3) }, .outside = true } } };
		struct rename *r = parse(x->rules);
		struct arena *arena = arena_new();
		struct checkpoint *ckpt;
		struct error err;

		memcpy(small.file[0].t, x->t, sizeof(x->t));
		cr_assert_eq(small_build(&small, arena, &ckpt, &err), 0, "%s", err.msg);
		cr_expect_eq(rename_checkpoint(ckpt, r, arena, &err), x->code, "%s", x->rules);
		if (x->code == 0)
			cr_expect_str_eq(names_of(ckpt, arena), x->names, "%s: %s", x->rules, names_of(ckpt, arena));
		else
			cr_expect(strstr(err.msg, x->names), "%s: %s", x->rules, err.msg);
		cr_expect_str_eq(ckpt->outside[0].name, "step_num");
		rename_free(r);
		arena_free(arena);
	}
}

/* The rest of a tensor stays with it, and so does the name that its files know; twice renamed is renamed on. */
Test(rename, tensors_keep_what_they_are)
{
	static const struct small small = {
		.kind = CHECKPOINT_UNIFIED,
		.file = { { "in", 0, { U8("z", 7), { "a", DTYPE_F16, 2, { 2, 3 } } }, { { "a", "Int4" }, { "format", "ms" }, { "step_num", "x" } } },
			  { "hyper", 0, { U8("step_num", 3) }, .outside = true } },
	};
	struct rename *first = parse("^a$ zz\n^format$ x"), *second = parse("^z(.*)$ y\\1\nstep_num s");
	struct arena *arena = arena_new();
	struct checkpoint *ckpt;
	struct error err;

	cr_assert_eq(small_build(&small, arena, &ckpt, &err), 0, "%s", err.msg);
	cr_assert_eq(rename_checkpoint(ckpt, first, arena, &err), 0);
	cr_assert_eq(rename_checkpoint(ckpt, second, arena, &err), 0);
	cr_assert_str_eq(names_of(ckpt, arena), "y yz");
	const struct tensor *t = &ckpt->tensors[1];
	cr_assert_str_eq(t->source_name, "a");
	cr_assert_eq(t->dtype, DTYPE_F16);
	cr_assert_eq(t->axes, 2);
	cr_assert_eq(t->shape[1], 3);
	cr_assert_eq(t->bytes, 12);
	cr_assert_eq(t->pieces[0].offset, SMALL_DATA + 7);
	cr_assert_str_eq(ckpt->tensors[0].source_name, "z");
	cr_assert_eq(checkpoint_find(ckpt->tensors, ckpt->count, "yz"), t);
	cr_assert_eq(checkpoint_find(ckpt->tensors, ckpt->count, "a"), NULL);
	cr_assert_str_eq(ckpt->meta[0].key, "yz"); /* marks move along, other keys do not */
	cr_assert_str_eq(ckpt->meta[0].value, "Int4");
	cr_assert_str_eq(ckpt->meta[1].key, "format");
	cr_assert_str_eq(ckpt->meta[2].key, "step_num");
	rename_free(first);
	rename_free(second);
	arena_free(arena);
}

Test(rename, nothing_to_free)
{
	rename_free(NULL);
}
