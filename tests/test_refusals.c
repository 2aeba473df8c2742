/* SPDX-License-Identifier: Apache-2.0 */
/* What is refused, and in which words: the rules that no other test of a module makes speak. */
#include <criterion/criterion.h>
#include <string.h>

#include "layout/json.h"

/* What a message says was found, for each kind of value. */
Test(refusals, json_found)
{
	static const char *const cases[][2] = {
		{ "-2", "-2" },
		{ "2.5", "2.5" },
		{ "-0", "-0" },
		{ "7.0", "7 with a fraction or an exponent" },
		{ "1e3", "1000 with a fraction or an exponent" },
		{ "9007199254740991", "9007199254740991" },
		{ "9007199254740993", "about 9007199254740992" },
		{ "\"two\"", "\"two\"" },
		{ "\"0123456789012345678901234567890123456789012345678901234567890123\"",
		  "\"0123456789012345678901234567890123456789012345678901234567890123\"" },
		{ "\"01234567890123456789012345678901234567890123456789012345678901234\"",
		  "\"0123456789012345678901234567890123456789012345678901234567890123\"..." },
		{ "null", "null" },
		{ "true", "true" },
		{ "false", "false" },
		{ "[1, [2]]", "an array of 2" },
		{ "{\"a\": 1}", "an object" },
	};
	char found[JSON_FOUND];
	struct json_doc *doc;
	struct error err;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct bytes text = { .ptr = (const uint8_t *)cases[i][0], .len = strlen(cases[i][0]) };

		cr_assert_eq(json_parse(text, 10, &doc, &err), 0, "%s: %s", cases[i][0], err.msg);
		cr_assert_str_eq(json_found(json_root(doc), found), cases[i][1]);
		json_free(doc);
	}
}
