/* SPDX-License-Identifier: Apache-2.0 */
/* Recipes as texts: what is refused, with the whole message, what config.json makes of the numbers, and names with numbers in them. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>

#include "layout/names/figures.h"
#include "layout/names/recipes.h"

#define HEAD "family f\nnumber n n\nnumber m m | n * 2\nflag x x | false\nindex i 0 n\nindex k 0 m\nnames legacy\n"

static int parse(const char *text, struct arena *arena, struct recipe **out, struct error *err)
{
	*err = (struct error){ "" };
	return recipe_parse((struct bytes){ (const uint8_t *)text, strlen(text) }, arena, out, err);
}

static const struct {
	const char *text, *says;
} bad[] = {
	{ "", "no `family` line, or no tensor" },
	{ "family f", "no `family` line, or no tensor" },
	{ "family", "line 1: expected a name, found the end of the line" },
	{ "family f g", "line 1: expected the end of the line, found \"g\"" },
	{ "names legacy\na b", "no `family` line, or no tensor" },
	{ "model_type", "line 1: expected a name, found the end of the line" },
	{ "model_type a b c d e f g h i", "line 1: more than 8 of them" },
	{ "number", "line 1: expected a name, found the end of the line" },
	{ "number N", "line 1: expected a name of small letters, found \"N\"" },
	{ "number n", "line 1: expected a key or a value, found the end of the line" },
	{ "number n k | 3\n\nnumber n k", "line 3: \"n\" is declared twice" },
	{ "number n k 3", "line 1: expected \"|\", found \"3\"" },
	{ "number n k |", "line 1: expected a number, found the end of the line" },
	{ "number n | o", "line 1: expected a number that was declared, found \"o\"" },
	{ "number n | 3x", "line 1: expected a number, found \"3x\"" },
	{ "number n | 1234567890", "line 1: expected a number, found \"1234567890\"" },
	{ "number n | 3 ^ 4", "line 1: expected one of + - * /, found \"^\"" },
	{ "number n | 3 +", "line 1: expected a number, found the end of the line" },
	{ "number n | 3 + 4 + 5", "line 1: expected the end of the line, found \"+\"" },
	{ "flag x k", "line 1: expected NAME KEY | true or false, found the end of the line" },
	{ "flag x k | 1", "line 1: expected NAME KEY | true or false, found \"1\"" },
	{ "flag x k | true\noption x j | true", "line 2: flag \"x\" is declared twice, or is one too many" },
	{ "expect k", "line 1: expected KEY VALUE, found the end of the line" },
	{ "index i 0", "line 1: expected a number, found the end of the line" },
	{ "index i 0 n", "line 1: expected a number that was declared, found \"n\"" },
	{ "index i 0 3\nnumber n | i", "line 2: expected a number that was declared, found \"i\"" },
	{ "index i 0 3 from", "line 1: expected every, without or but, each once, found \"from\"" },
	{ "index i 0 3 every", "line 1: expected a number, found the end of the line" },
	{ "index i 0 3 every 2 every 2", "line 1: expected every, without or but, each once, found \"every\"" },
	{ "index i 0 3 without", "line 1: expected a key, found the end of the line" },
	{ "index i 0 3 without a without b", "line 1: expected every, without or but, each once, found \"without\"" },
	{ "index i 0 3 but", "line 1: expected an index that was declared, without a `but` of its own, found the end of the line" },
	{ "index i 0 3 but i", "line 1: expected an index that was declared, without a `but` of its own, found \"i\"" },
	{ "index i 0 3\nindex k 0 3 but i\nindex l 0 3 but k", "line 3: expected an index that was declared, without a `but` of its own, found \"k\"" },
	{ "a b", "line 1: no `names` line before it" },
	{ "copy a b", "line 1: no `names` line before it" },
	{ "drop a", "line 1: no `names` line before it" },
	{ "weave a : b", "line 1: no `names` line before it" },
	{ "of a : b", "line 1: no `weave` line before it, or too many of them" },
	{ "names", "line 1: expected legacy, mcore or mcore-train, found the end of the line" },
	{ "names hf", "line 1: expected legacy, mcore or mcore-train, found \"hf\"" },
	{ "names if x", "line 1: expected legacy, mcore or mcore-train, found \"if\"" },
	{ "names legacy if", "line 1: expected a flag, found the end of the line" },
	{ "names legacy if not", "line 1: expected a flag, found the end of the line" },
	{ "names legacy if y", "line 1: expected a flag that was declared, found \"y\"" },
	{ HEAD "a", "line 8: expected a tensor's name, found the end of the line" },
	{ HEAD "a b c", "line 8: expected the end of the line, found \"c\"" },
	{ HEAD "a.{j} b", "line 8: \"{j}\": expected the name of an index in braces" },
	{ HEAD "a.{i b", "line 8: \"{i\": expected the name of an index in braces" },
	{ HEAD "a.i} b", "line 8: \"}\": a brace that was not opened" },
	{ HEAD "a.{n} b", "line 8: \"a.{n}\": {n} is no index" },
	{ HEAD "a.{i}.{i} b", "line 8: index {i} comes twice in one name" },
	{ HEAD "a b.{i}", "line 8: {i} is in one name only" },
	{ HEAD "copy a", "line 8: expected a tensor's name, found the end of the line" },
	{ HEAD "copy a b c", "line 8: expected the end of the line, found \"c\"" },
	{ HEAD "copy a.{n} b", "line 8: \"a.{n}\": {n} is no index" },
	{ HEAD "a b\ncopy a.{i} b", "line 9: {i} is in one name only" },
	{ HEAD "drop a :", "line 8: expected words, found the end of the line" },
	{ "family f\nindex i 0 4 every 2\nnames legacy\nweave a : i b\nof d.{i} : b", "line 4: index \"i\", which has gaps, in a shape" },
	{ HEAD "weave a b", "line 8: expected \":\" and a shape, found \"b\"" },
	{ HEAD "weave a :", "line 8: shape: it has no axis" },
	{ HEAD "weave a : (b", "line 8: shape: brackets that are empty or do not end" },
	{ HEAD "weave a : ()", "line 8: shape: brackets that are empty or do not end" },
	{ HEAD "weave a : b)", "line 8: shape: expected a word for a size, or 1, before \")\"" },
	{ HEAD "weave a : 2 b", "line 8: shape: expected a word for a size, or 1, before \"2 b\"" },
	{ HEAD "weave a : B", "line 8: shape: expected a word for a size, or 1, before \"B\"" },
	{ HEAD "weave a : b+", "line 8: shape: expected a word for a size, or 1, before \"\"" },
	{ HEAD "weave a : b+1+1+1+1", "line 8: shape: expected a word for a size, or 1, before \"\"" },
	{ HEAD "weave a : b c b", "line 8: shape: \"b\" comes twice" },
	{ HEAD "weave a : b+1 (c 1+1)", "line 8: shape: more than one sum" },
	{ HEAD "weave a : b c d e f g h o p", "line 8: shape: more than 8 factors" },
	{ HEAD "weave a : b c", "line 8: 0 `of` lines, expected 1" },
	{ HEAD "weave a : b+c\nof d : b", "line 8: 1 `of` lines, expected 2" },
	{ HEAD "weave a : b\nof d : b\nof e : b", "line 8: 2 `of` lines, expected 1" },
	{ HEAD "weave a : 1+1+1+1\nof d : 1\nof d : 1\nof d : 1\nof d : 1\nof d : 1",
	  "line 13: no `weave` line before it, or too many of them" },
	{ HEAD "weave a : b c\nof d : b", "line 8: \"c\" is in the shape of the whole, but not in that of the part" },
	{ HEAD "weave a : b\nof d : b c", "line 8: a size is in the shape of the part, but not in that of the whole" },
	{ HEAD "weave a : b+1\nof d : b\nof e : b", "line 8: a size is in the shape of the part, but not in that of the whole" },
	{ HEAD "weave a : b 1\nof d : b+1", "line 8: a sum in the shape of a part" },
	{ HEAD "weave a : i b\nof d.{i} : i b", "line 8: index \"i\" in the shape of a part" },
	{ HEAD "weave a : i b\nof d : b", "line 8: \"i\" is in the shape of the whole, but not in that of the part" },
	{ HEAD "weave a.{i} : i b\nof d.{i} : b", "line 8: \"i\" is in the shape of the whole, but not in that of the part" },
	{ HEAD "weave a : i+1 b\nof d.{i} : b\nof e : b", "line 8: index \"i\" in a sum" },
	{ HEAD "weave a.{k} : i b\nof d.{i} : b", "line 8: {k} is in one name only" },
};

Test(recipe, refusals)
{
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct arena *arena = arena_new();
		struct recipe *r;
		struct error err;

		cr_assert_eq(parse(bad[i].text, arena, &r, &err), -EINVAL, "%s", bad[i].text);
		cr_assert_str_eq(err.msg, bad[i].says, "%s: %s", bad[i].text, err.msg);
		arena_free(arena);
	}
}

Test(recipe, a_nul)
{
	struct arena *arena = arena_new();
	struct recipe *r;
	struct error err;

	cr_assert_eq(recipe_parse((struct bytes){ (const uint8_t *)"a\0b", 3 }, arena, &r, &err), -EINVAL);
	cr_assert_str_eq(err.msg, "a NUL at byte 1");
	arena_free(arena);
}

Test(recipe, every_family_is_there_once)
{
	static const char *const families[] = { "deepseek_v3", "llama", "qwen2", "qwen3", "qwen3_moe" };
	uint32_t n = 0;

	for (; recipes_all[n].path; n++) {
		struct arena *arena = arena_new();
		struct recipe *r;
		struct error err;

		cr_assert_eq(parse(recipes_all[n].text, arena, &r, &err), 0, "%s: %s", recipes_all[n].path, err.msg);
		cr_assert_str_eq(r->family, families[n]);
		cr_assert_str_eq(r->types[0], families[n]);
		arena_free(arena);
	}
	cr_assert_eq(n, 5);
}

/* n and m, with what is said of them and what they are; `says` for an error, of reading or of asking for m. */
static const struct {
	const char *json, *set_n;
	uint64_t n, m;
	const char *says;
} figured[] = {
	{ "{\"n\": 3}", NULL, 3, 6, NULL },
	{ "{\"n\": 3, \"m\": 5}", NULL, 3, 5, NULL },
	{ "{\"n\": 3, \"m\": null}", NULL, 3, 6, NULL },
	{ "{\"n\": 3}", "4", 4, 8, NULL },
	{ "{\"n\": \"3\"}", NULL, 3, 6, NULL },
	{ NULL, "4", 4, 8, NULL },
	{ NULL, NULL, 0, 0, "n is needed: config.json does not say it, and no set=n= does" },
	{ "{\"n\": null}", NULL, 0, 0, "n is needed: config.json does not say it, and no set=n= does" },
	{ "{\"m\": 2}", NULL, 0, 2, NULL },
	{ "{\"n\": -1}", NULL, 0, 0, "n: expected a whole number, found another kind of value" },
	{ "{\"n\": 1.0}", NULL, 0, 0, "n: expected a whole number, found another kind of value" },
	{ "{\"n\": []}", NULL, 0, 0, "n: expected a whole number, found []" },
	{ "{\"n\": true}", NULL, 0, 0, "n: expected a whole number, found true" },
	{ "{\"n\": 1000000000000000}", NULL, 0, 0, "n: expected a whole number, found 1000000000000000" },
	{ NULL, "", 0, 0, "n: expected a whole number, found " },
	{ "{\"n\": 1, \"x\": \"yes\"}", NULL, 0, 0, "x: expected true or false, found yes" },
	{ "{\"n\": 1, \"e\": [1]}", NULL, 0, 0, "e: the recipe \"f\" is for models that have [], found [1]" },
	{ "{\"n\": 1, \"e\": [1, \"x\"]}", NULL, 0, 0, "e: the recipe \"f\" is for models that have [], found another kind of value" },
	{ "{\"n\": 1, \"e\": []}", NULL, 1, 2, NULL },
};

Test(recipe, figures)
{
	struct arena *arena = arena_new();
	struct recipe *r;
	struct error err;

	cr_assert_eq(parse(HEAD "expect e []\na b", arena, &r, &err), 0, "%s", err.msg);
	for (size_t i = 0; i < sizeof(figured) / sizeof(*figured); i++) {
		struct pair own = { "n", figured[i].set_n };
		struct figures_config config = { .own = &own, .own_count = figured[i].set_n != NULL };
		struct json_doc *doc = NULL;
		struct figures f;
		int code = 0;

		if (figured[i].json)
			code = json_parse((struct bytes){ (const uint8_t *)figured[i].json, strlen(figured[i].json) }, 100, &doc, &err);
		cr_assert_eq(code, 0, "%s", err.msg);
		config.json = doc ? json_root(doc) : NULL;
		code = figures_read(r, &config, arena, &f, &err);
		if (code == 0)
			code = figures_need(&f, names_find(&r->words, "m"), &err);
		cr_assert_eq(code, figured[i].says ? -EINVAL : 0, "case %zu: %s", i, err.msg);
		if (figured[i].says)
			cr_assert_str_eq(err.msg, figured[i].says);
		cr_assert(figured[i].says || (f.sizes.value[names_find(&r->words, "n")] == figured[i].n &&
					      f.sizes.value[names_find(&r->words, "m")] == figured[i].m), "case %zu", i);
		json_free(doc);
	}
	arena_free(arena);
}

/* The numbers of `i`, under a value of "n" and of "l"; or what is wrong. */
static const struct {
	const char *index, *n, *l, *numbers, *says;
} gaps[] = {
	{ "index i 0 n", "3", NULL, "0 1 2", NULL },
	{ "index i 2 n", "2", NULL, "", NULL },
	{ "index i 3 n", "2", NULL, "", NULL },
	{ "index i 0 n every 1", "3", NULL, "0 1 2", NULL },
	{ "index i 0 n every 2", "5", NULL, "1 3", NULL },
	{ "index i 2 n every 2", "5", NULL, "3", NULL },
	{ "index i 0 n every 9", "5", NULL, "", NULL },
	{ "index i 0 5 every n", "0", NULL, "", "n: expected at least 1, found 0" },
	{ "index i 0 5 every 0", "0", NULL, "", "i: expected at least 1, found 0" },
	{ "index i 0 n without l", "4", NULL, "0 1 2 3", NULL },
	{ "index i 0 n without l", "4", "[]", "0 1 2 3", NULL },
	{ "index i 0 n without l", "4", "[ ]", "0 1 2 3", NULL },
	{ "index i 0 n without l", "4", "[0]", "1 2 3", NULL },
	{ "index i 0 n without l", "4", "[ 3 , 1,1,4,18446744073709551616 ]", "0 2", NULL },
	{ "index i 0 n without l", "4", "[0,]", "", "l: expected a list of whole numbers, found [0,]" },
	{ "index i 0 n without l", "4", "[,0]", "", "l: expected a list of whole numbers, found [,0]" },
	{ "index i 0 n without l", "4", "[0", "", "l: expected a list of whole numbers, found [0" },
	{ "index i 0 n without l", "4", "[0]]", "", "l: expected a list of whole numbers, found [0]]" },
	{ "index i 0 n without l", "4", "[0 1]", "", "l: expected a list of whole numbers, found [0 1]" },
	{ "index i 0 n without l", "4", "[-1]", "", "l: expected a list of whole numbers, found [-1]" },
	{ "index i 0 n without l", "4", "", "", "l: expected a list of whole numbers, found " },
	{ "index i 0 n without l", "4", "0", "", "l: expected a list of whole numbers, found 0" },
	{ "index i 0 n without l", "65537", "[0]", "", "i: more than 65536 of them" },
	{ "index k 1 4\nindex i 0 n but k", "6", NULL, "0 4 5", NULL },
	{ "index k 0 n every 2 without l\nindex i 0 n but k", "6", "[3]", "0 2 3 4", NULL },
	{ "index k 0 n every 2\nindex i 0 8 every 2 but k", "4", NULL, "5 7", NULL },
};

Test(recipe, gaps)
{
	for (size_t c = 0; c < sizeof(gaps) / sizeof(*gaps); c++) {
		struct arena *arena = arena_new();
		struct pair own[] = { { "n", gaps[c].n }, { "l", gaps[c].l } };
		struct figures_config config = { .own = own, .own_count = gaps[c].l ? 2 : 1 };
		struct recipe *r;
		struct figures f;
		struct error err;
		const char *numbers = "";
		uint64_t count = 0;
		uint32_t i;
		int code;

		cr_assert_eq(parse(arena_printf(arena, "family f\nnumber n n\n%s\nnames legacy\na b", gaps[c].index), arena, &r, &err), 0, "%s",
			     err.msg);
		code = figures_read(r, &config, arena, &f, &err);
		cr_assert_eq(code, gaps[c].says ? -EINVAL : 0, "case %zu: %s", c, err.msg);
		if (gaps[c].says)
			cr_assert_str_eq(err.msg, gaps[c].says);
		i = names_find(&r->words, "i");
		for (uint64_t n = 0; !gaps[c].says && n < 100; n++)
			if (figures_has(&f, i, n)) {
				cr_assert(count > 0 || f.first[i] == n, "case %zu: the first", c);
				numbers = arena_printf(arena, "%s%s%llu", numbers, *numbers ? " " : "", (unsigned long long)n);
				count++;
			}
		cr_assert_str_eq(numbers, gaps[c].numbers, "case %zu: %s", c, numbers);
		cr_assert(gaps[c].says || f.sizes.value[i] == count, "case %zu: count", c);
		arena_free(arena);
	}
}

static const struct {
	const char *operation;
	uint64_t value;
	const char *says;
} operations[] = {
	{ "7 + 5", 12, NULL },
	{ "7 - 7", 0, NULL },
	{ "5 - 7", 0, "q: 5 - 7 is no whole number" },
	{ "6 / 3", 2, NULL },
	{ "7 / 3", 0, "q: 7 / 3 is no whole number" },
	{ "7 / 0", 0, "q: 7 / 0 is no whole number" },
	{ "big * big", 0, "q: 999999999999999 * 999999999999999 is no whole number" },
};

Test(recipe, operations)
{
	for (size_t i = 0; i < sizeof(operations) / sizeof(*operations); i++) {
		struct arena *arena = arena_new();
		struct pair own = { "big", "999999999999999" };
		struct figures_config config = { .own = &own, .own_count = 1 };
		struct recipe *r;
		struct figures f;
		struct error err;
		int code;

		cr_assert_eq(
			parse(arena_printf(arena, "family f\nnumber big big\nnumber q | %s\nnames legacy\na b", operations[i].operation),
			      arena, &r, &err),
			0, "%s", err.msg);
		code = figures_read(r, &config, arena, &f, &err);
		cr_assert_eq(code, operations[i].says ? -EINVAL : 0);
		if (operations[i].says)
			cr_assert_str_eq(err.msg, operations[i].says);
		else
			cr_assert_eq(f.sizes.value[names_find(&r->words, "q")], operations[i].value);
		arena_free(arena);
	}
}

/* Names that "a.{i}.b{k}" matches or not. */
static const struct {
	const char *name;
	bool matches;
	uint64_t i, k;
} names[] = {
	{ "a.0.b0", true, 0, 0 },
	{ "a.12.b345", true, 12, 345 },
	{ "a.18446744073709551615.b1", true, UINT64_MAX, 1 },
	{ "a.18446744073709551616.b1", false, 0, 0 },
	{ "a.01.b1", false, 0, 0 },
	{ "a.00.b1", false, 0, 0 },
	{ "a..b1", false, 0, 0 },
	{ "a.1.b", false, 0, 0 },
	{ "a.1.b1x", false, 0, 0 },
	{ "xa.1.b1", false, 0, 0 },
	{ "a.+1.b1", false, 0, 0 },
	{ "a.1", false, 0, 0 },
	{ "", false, 0, 0 },
};

Test(recipe, names_with_numbers)
{
	struct arena *arena = arena_new();
	struct names known = names_new(arena);
	struct pattern p;
	struct error err;

	names_add(&known, "k");
	names_add(&known, "i");
	cr_assert_eq(pattern_parse("a.{i}.b{k}", &known, arena, &p, &err), 0, "%s", err.msg);
	cr_assert(pattern_has(&p, 0) && pattern_has(&p, 1) && !pattern_has(&p, 2));
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		uint64_t values[2] = { 0, 0 };

		cr_assert_eq(pattern_match(&p, names[i].name, strlen(names[i].name), values), names[i].matches, "%s", names[i].name);
		if (!names[i].matches)
			continue;
		cr_assert(values[1] == names[i].i && values[0] == names[i].k, "%s", names[i].name);
		cr_assert_str_eq(pattern_format(&p, "x.", values, arena), arena_printf(arena, "x.%s", names[i].name));
	}
	arena_free(arena);
}

/* Namings, flags that must be set, flags that must not. */
Test(recipe, conditions)
{
	static const struct {
		struct recipe_when when;
		enum recipe_naming naming;
		uint32_t flags;
		bool holds;
	} cases[] = {
		{ { 2, 0, 0 }, RECIPE_LEGACY, 0, true },      { { 2, 0, 0 }, RECIPE_MCORE, 0, false },
		{ { 6, 0, 0 }, RECIPE_MCORE, 7, true },       { { 2, 1, 0 }, RECIPE_LEGACY, 0, false },
		{ { 2, 1, 0 }, RECIPE_LEGACY, 1, true },      { { 2, 3, 0 }, RECIPE_LEGACY, 1, false },
		{ { 2, 0, 1 }, RECIPE_LEGACY, 0, true },      { { 2, 0, 1 }, RECIPE_LEGACY, 1, false },
		{ { 2, 1, 2 }, RECIPE_LEGACY, 1, true },      { { 2, 1, 2 }, RECIPE_LEGACY, 3, false },
		{ { 8, 0, 0 }, RECIPE_MCORE_TRAIN, 0, true },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		cr_assert_eq(figures_hold(&cases[i].when, cases[i].naming, cases[i].flags), cases[i].holds, "case %zu", i);
}
