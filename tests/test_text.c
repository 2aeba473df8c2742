/* SPDX-License-Identifier: Apache-2.0 */
/* Growing texts, JSON strings, UTF-8, and messages that a terminal can take. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "layout/base/error.h"
#include "layout/base/text.h"
#include "layout/base/utf8.h"

Test(text, words_and_numbers_are_as_printf_writes_them)
{
	static const uint64_t numbers[] = { 0, 9, 10, 4294967296, 9999999999999999999u, 10000000000000000000u, UINT64_MAX };
	struct text got = TEXT_EMPTY, want = TEXT_EMPTY;

	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		text_word(&got, i ? ", " : "");
		text_number(&got, numbers[i]);
		text_add(&want, "%s%llu", i ? ", " : "", (unsigned long long)numbers[i]);
	}
	cr_assert_str_eq(got.ptr, want.ptr);
	cr_assert_eq(got.len, want.len);
	text_free(&got);
	text_free(&want);
}

Test(text, grows_by_every_kind_of_call)
{
	struct text text = TEXT_EMPTY;
	struct arena *arena = arena_new();
	struct bytes out;
	static char want[400000];
	size_t len = 0;

	for (int i = 0; i < 5000; i++) {
		text_add(&text, "%d,", i);
		text_add_bytes(&text, "ab\0c", 4);
		text_pad(&text, '.', (uint64_t)(i % 40));
		len += (size_t)sprintf(want + len, "%d,", i);
		memcpy(want + len, "ab\0c", 4);
		memset(want + len + 4, '.', (size_t)(i % 40));
		len += 4 + (size_t)(i % 40);
		cr_assert_eq(text.ptr[text.len], 0, "no NUL behind the text");
	}
	text_add(&text, "%100000d", 1);
	len += (size_t)sprintf(want + len, "%100000d", 1);
	cr_assert_eq(text.len, len);
	cr_assert_eq(text_finish(&text, arena, &out), 0);
	cr_assert_eq(out.len, len);
	cr_assert_eq(memcmp(out.ptr, want, len), 0);
	cr_assert_null(text.ptr, "text_finish() frees");
	cr_assert_eq(text_finish(&text, arena, &out), 0, "an empty text is a text");
	cr_assert_eq(out.len, 0);
	arena_free(arena);
}

/* The formatted text just fits, misses by one, and so on: every length around the first size of the buffer. */
Test(text, fits_at_every_boundary)
{
	for (int n = 240; n < 270; n++) {
		struct text text = TEXT_EMPTY;

		text_add(&text, "%*s", n, "x");
		cr_assert_eq(text.len, (uint64_t)n);
		cr_assert_eq(strlen(text.ptr), (size_t)n);
		cr_assert_eq(text.ptr[n - 1], 'x');
		text_free(&text);
	}
}

Test(text, failure_stays)
{
	struct text text = TEXT_EMPTY;
	struct arena *arena = arena_new();
	struct bytes out;

	text_add(&text, "x");
	text_pad(&text, ' ', UINT64_MAX);
	cr_assert(text.failed);
	text_add(&text, "y");
	text_json(&text, "z");
	cr_assert_eq(text.len, 1);
	cr_assert_eq(text_finish(&text, arena, &out), -ENOMEM);
	cr_assert_eq(out.len, 0);
	arena_free(arena);
}

Test(text, json_strings)
{
	/* the second and third columns are what Python 3.11 writes: json.dumps(s, ensure_ascii=False) and json.dumps(s) */
	static const char *const cases[][3] = {
		{ "", "\"\"", "\"\"" },
		{ "model.layers.0", "\"model.layers.0\"", "\"model.layers.0\"" },
		{ "a\"b\\c/", "\"a\\\"b\\\\c/\"", "\"a\\\"b\\\\c/\"" },
		{ "\b\f\n\r\t", "\"\\b\\f\\n\\r\\t\"", "\"\\b\\f\\n\\r\\t\"" },
		{ "\x01\x1f ", "\"\\u0001\\u001f \"", "\"\\u0001\\u001f \"" },
		{ "\x7f", "\"\x7f\"", "\"\\u007f\"" },
		{ "\xc3\xa9", "\"\xc3\xa9\"", "\"\\u00e9\"" },
		{ "\xe6\x9d\x83\xe9\x87\x8d", "\"\xe6\x9d\x83\xe9\x87\x8d\"", "\"\\u6743\\u91cd\"" },
		{ "x\xf0\x9f\x98\x80y", "\"x\xf0\x9f\x98\x80y\"", "\"x\\ud83d\\ude00y\"" },
		{ "\xf4\x8f\xbf\xbf", "\"\xf4\x8f\xbf\xbf\"", "\"\\udbff\\udfff\"" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct text raw = TEXT_EMPTY, ascii = TEXT_EMPTY;

		text_json(&raw, cases[i][0]);
		text_json_ascii(&ascii, cases[i][0]);
		cr_assert_str_eq(raw.ptr, cases[i][1]);
		cr_assert_str_eq(ascii.ptr, cases[i][2]);
		text_free(&raw);
		text_free(&ascii);
	}
}

/* Every code point, encoded here by the definition, decodes to itself; surrogates do not. */
Test(utf8, all_code_points)
{
	for (uint32_t c = 0; c < 0x110000; c++) {
		uint32_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4, code = 0;
		static const uint8_t lead[] = { 0, 0, 0xc0, 0xe0, 0xf0 };
		uint8_t p[4] = { 0 };

		for (uint32_t i = n; i-- > 0;)
			p[i] = (uint8_t)(i ? 0x80 | (c >> (6 * (n - 1 - i)) & 0x3f) : lead[n] | c >> (6 * (n - 1)));
		if (c >= 0xd800 && c < 0xe000) {
			cr_assert_eq(utf8_decode(p, n, &code), 0, "surrogate %x", c);
			continue;
		}
		cr_assert_eq(utf8_decode(p, n, &code), n, "code point %x", c);
		cr_assert_eq(code, c);
		cr_assert_eq(utf8_decode(p, n - 1, &code), 0, "code point %x, cut", c);
	}
}

Test(utf8, what_is_none)
{
	static const char *const bad[] = { "\x80", "\xbf", "\xc0\x80", "\xc1\xbf", "\xc3(", "\xe0\x80\x80", "\xe0\x9f\xbf", "\xed\xa0\x80",
					   "\xed\xbf\xbf", "\xf0\x80\x80\x80", "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80",
					   "\xf8\x88\x80\x80\x80", "\xff", "\xfe", "\xe2(\xa1", "\xe2\x82(", "\xf0\x90\x28\x80" };
	uint32_t code;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		cr_assert_eq(utf8_decode((const uint8_t *)bad[i], strlen(bad[i]), &code), 0, "case %zu", i);
	cr_assert_eq(utf8_decode((const uint8_t *)"", 0, &code), 0);
}

Test(error, shows_what_a_terminal_can_take)
{
	static const char *const cases[][2] = {
		{ "plain", "plain" },
		{ "tab\there\nline\r", "tab\\x09here\\x0Aline\\x0D" },
		{ "\x1b[31mred\x7f", "\\x1B[31mred\\x7F" },
		{ "caf\xc3\xa9 \xe6\x9d\x83 \xf0\x9f\x98\x80", "caf\xc3\xa9 \xe6\x9d\x83 \xf0\x9f\x98\x80" },
		{ "cut \xe6\x9d", "cut \\xE6\\x9D" },
		{ "\xc0\x80 \xff", "\\xC0\\x80 \\xFF" },
		{ "c1 \xc2\x9b" "31m", "c1 \\xC2\\x9B31m" },
		{ "back\\slash", "back\\slash" },
		{ "a\xe2\x80\xae" "b\xe2\x80\xa8" "c", "a\\xE2\\x80\\xAE" "b\\xE2\\x80\\xA8" "c" }, /* what turns a line around or ends it */
	};
	struct error err;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		cr_assert_eq(error_set(&err, -EINVAL, "%s", cases[i][0]), -EINVAL);
		cr_assert_str_eq(err.msg, cases[i][1]);
	}
	cr_assert_eq(error_nomem(&err), -ENOMEM);
	cr_assert_str_eq(err.msg, "out of memory");
}

Test(error, prefix_comes_before)
{
	struct error err;

	error_set(&err, -EINVAL, "tensor \"%s\": bad", "a\n");
	cr_assert_eq(error_prefix(&err, -ENODATA, "rank_%d/%s", 3, "x\t.safetensors"), -ENODATA);
	cr_assert_str_eq(err.msg, "rank_3/x\\x09.safetensors: tensor \"a\\x0A\": bad", "and nothing is escaped twice");
	error_set(&err, -EINVAL, "again: %s", err.msg);
	cr_assert_str_eq(err.msg, "again: rank_3/x\\x09.safetensors: tensor \"a\\x0A\": bad", "its own text may be an argument");
}

/* `unit` is repeated n times behind `shift` letters and shown as `shown`; what is cut must be whole units and "...". */
static void check_cut(const char *unit, const char *shown, int shift, int n)
{
	static char text[40000];
	struct error err;
	size_t len = (size_t)shift, width = strlen(shown), most = sizeof(err.msg) - 1;

	memset(text, 'a', len);
	for (int i = 0; i < n; i++, len += strlen(unit))
		strcpy(text + len, unit);
	text[len] = 0;
	error_set(&err, -EINVAL, "%s", text);
	len = strlen(err.msg);
	if ((size_t)shift + (size_t)n * width <= most) {
		cr_assert_eq(len, (size_t)shift + (size_t)n * width, "cut without need");
		return;
	}
	cr_assert_leq(len, most);
	cr_assert_gt(len + width, most, "cut too early: %zu", len);
	cr_assert_str_eq(err.msg + len - 3, "...");
	cr_assert_eq((len - 3 - (size_t)shift) % width, 0, "a character was cut in two");
	for (size_t i = (size_t)shift; i < len - 3; i += width)
		cr_assert_eq(memcmp(err.msg + i, shown, width), 0);
}

Test(error, long_messages_are_cut_between_characters)
{
	for (int shift = 0; shift < 9; shift++)
		for (int extra = -6; extra < 7; extra++) {
			check_cut("b", "b", shift, 2047 + extra);
			check_cut("\xc3\xa9", "\xc3\xa9", shift, 1023 + extra);
			check_cut("\xe6\x9d\x83", "\xe6\x9d\x83", shift, 682 + extra);
			check_cut("\xf0\x9f\x98\x80", "\xf0\x9f\x98\x80", shift, 511 + extra);
			check_cut("\x01", "\\x01", shift, 511 + extra);
			check_cut("\x01", "\\x01", shift, 9000 + extra);
			check_cut("\xf0\x9f\x98\x80", "\xf0\x9f\x98\x80", shift, 9000 + extra);
		}
}

/* What json.dumps(os.fsdecode(b"...")) writes: a path need not be UTF-8. */
Test(text, bytes_that_are_no_utf8)
{
	struct text t = TEXT_EMPTY;

	text_json_ascii(&t, "a\xff/\xc3(\xe2\x82");
	cr_assert_str_eq(t.ptr, "\"a\\udcff/\\udcc3(\\udce2\\udc82\"");
	text_free(&t);
}
