/* SPDX-License-Identifier: Apache-2.0 */
/* The journal of an export: what is written is read back, and what is not a journal, or not whole, goes no further than it is right. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "layout/view/journal.h"

#define CHUNKS 5
#define FILES 3
#define HEX "0123456789abcdeffedcba9876543210"
#define HEAD "gatherfs-export 1 0a1b2c3d\nsources " HEX "\nview " HEX "\n"

static struct bytes bytes_of(const char *text)
{
	return (struct bytes){ (const uint8_t *)text, strlen(text) };
}

static struct journal_chunk chunks[CHUNKS];
static struct journal_file files[FILES];

static struct journal empty(void)
{
	memset(chunks, 0, sizeof(chunks));
	memset(files, 0, sizeof(files));
	return (struct journal){ chunks, files, CHUNKS, FILES };
}

static uint32_t known(void)
{
	uint32_t n = 0;

	for (int i = 0; i < CHUNKS; i++)
		n += chunks[i].known;
	for (int i = 0; i < FILES; i++)
		n += files[i].known;
	return n;
}

Test(journal, reads_what_it_writes)
{
	struct journal_head head = { "0a1b2c3d", { 1, 2 }, { UINT64_MAX, 0 } }, back;
	struct journal_file file = { .inode = UINT64_MAX - 1, .seconds = (uint64_t)-5, .nanos = 999999999, .known = true };
	struct text text = TEXT_EMPTY;
	struct journal j = empty();
	struct error err = { "" };
	uint64_t used;

	journal_add_head(&text, &head);
	used = text.len;
	journal_add_chunk(&text, 4, (struct fingerprint){ 7, 8 });
	journal_add_file(&text, 2, &file);
	journal_add_chunk(&text, 0, (struct fingerprint){ 9, 10 });
	journal_add_chunk(&text, 4, (struct fingerprint){ 11, UINT64_MAX });
	cr_assert_eq(journal_parse_head((struct bytes){ (uint8_t *)text.ptr, text.len }, &back, &used, &err), 0, "%s", err.msg);
	cr_assert_str_eq(back.id, head.id);
	cr_assert(fingerprint_equal(back.sources, head.sources) && fingerprint_equal(back.view, head.view));
	cr_assert_eq(journal_parse((struct bytes){ (uint8_t *)text.ptr + used, text.len - used }, &j), text.len - used);
	cr_assert_eq(known(), 3);
	cr_assert(fingerprint_equal(chunks[4].print, (struct fingerprint){ 11, UINT64_MAX }), "the last line counts");
	cr_assert(fingerprint_equal(chunks[0].print, (struct fingerprint){ 9, 10 }));
	cr_assert(files[2].inode == file.inode && files[2].seconds == file.seconds && files[2].nanos == file.nanos);
	text_free(&text);
}

Test(journal, is_a_text_that_people_can_read)
{
	struct journal_head head = { "0a1b2c3d", { UINT64_C(0x0123456789abcdef), UINT64_C(0xfedcba9876543210) }, { 0, 0 } };
	struct text text = TEXT_EMPTY;

	head.view = head.sources;
	journal_add_head(&text, &head);
	journal_add_chunk(&text, 12, head.view);
	journal_add_file(&text, 3, &(struct journal_file){ 77, 1700000000, 5, true });
	cr_assert_str_eq(text.ptr, HEAD "chunk 12 " HEX "\nfile 3 77 1700000000 5\n");
	text_free(&text);
}

Test(journal, refuses_what_is_no_head)
{
	static const struct {
		const char *text, *says;
	} cases[] = {
		{ "", "journal" },
		{ "gatherfs-export 1 0a1b2c3d", "journal" },
		{ "{\"a\": 1}\n", "journal" },
		{ "gatherfs-export 2 0a1b2c3d\nsources " HEX "\nview " HEX "\n", "line 1" },
		{ "gatherfs-export 1 0a1b2c3\nsources " HEX "\nview " HEX "\n", "line 1" },
		{ "gatherfs-export 1 0a1b2c3d4\nsources " HEX "\nview " HEX "\n", "line 1" },
		{ "gatherfs-export 1 ../../x/\nsources " HEX "\nview " HEX "\n", "line 1" },
		{ "gatherfs-export 1 0A1B2C3D\nsources " HEX "\nview " HEX "\n", "line 1" },
		{ "gatherfs-export 1 0a1b2c3d\nsources " HEX "0\nview " HEX "\n", "line 2" },
		{ "gatherfs-export 1 0a1b2c3d\nsources 0123\nview " HEX "\n", "line 2" },
		{ "gatherfs-export 1 0a1b2c3d\nview " HEX "\n", "line 2" },
		{ "gatherfs-export 1 0a1b2c3d\nsources " HEX "\nview  " HEX "\n", "line 3" },
		{ "gatherfs-export 1 0a1b2c3d\nsources " HEX "\nview " HEX, "line 3" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct journal_head head;
		struct error err = { "" };
		uint64_t used;

		cr_assert_eq(journal_parse_head(bytes_of(cases[i].text), &head, &used, &err), -EINVAL, "case %zu", i);
		cr_assert(strstr(err.msg, cases[i].says), "case %zu: %s", i, err.msg);
	}
}

/* One good line, then one that is not: only the first is taken, and the length says so. */
Test(journal, ends_at_the_first_wrong_line)
{
	static const char good[] = "chunk 1 " HEX "\n";
	static const char *const wrong[] = {
		"", "\n", "chunk", "chunk 2 " HEX, "chunk 5 " HEX "\n", "chunk 2 " HEX "0\n", "chunk 2  " HEX "\n", "chunk 02 " HEX "\n",
		"chunk -1 " HEX "\n", "chunk +2 " HEX "\n", "chunk 18446744073709551618 " HEX "\n", "chunk 2 0123\n", "chunk  " HEX "\n",
		"chunk 2 ABCDEF6789abcdeffedcba9876543210\n", "file 3 1 1 1\n", "file 1 1 1\n", "file 1 1 1 1000000000\n", "file 1 1 1 1 1\n",
		"file 1 99999999999999999999 1 1\n", "temp 1\n", "chunk 2 " HEX "\r\n", " chunk 2 " HEX "\n",
	};

	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		struct text text = TEXT_EMPTY;
		struct journal j = empty();

		text_add(&text, "%s%s%s", good, wrong[i], good);
		if (wrong[i][0])
			cr_assert_eq(journal_parse(bytes_of(text.ptr), &j), strlen(good), "case %zu: %s", i, wrong[i]);
		else
			cr_assert_eq(journal_parse(bytes_of(text.ptr), &j), 2 * strlen(good));
		cr_assert_eq(known(), 1, "case %zu: %s", i, wrong[i]);
		cr_assert(chunks[1].known);
		text_free(&text);
	}
}

/* Cut off anywhere, a journal says of every thing what it said before or nothing. NULs and long lines end it. */
Test(journal, may_end_anywhere)
{
	static const char whole[] = "chunk 1 " HEX "\nfile 2 10 20 30\nchunk 3 " HEX "\n";
	uint8_t hole[256] = { 0 };
	struct journal j;

	for (size_t len = 0; len < sizeof(whole); len++) {
		uint8_t *copy = malloc(len + 1); /* so that reading too far is found by a sanitizer */
		uint64_t used;

		memcpy(copy, whole, len);
		j = empty();
		used = journal_parse((struct bytes){ copy, len }, &j);
		cr_assert(used <= len && (used == 0 || whole[used - 1] == '\n'));
		cr_assert_eq(known(), (len >= 41) + (len >= 57) + (len >= 98), "%zu bytes: %u", len, known());
		free(copy);
	}
	j = empty();
	cr_assert_eq(journal_parse((struct bytes){ hole, sizeof(hole) }, &j), 0);
	memset(hole, '\n', sizeof(hole));
	cr_assert_eq(journal_parse((struct bytes){ hole, sizeof(hole) }, &j), 0);
	memset(hole, 'c', sizeof(hole));
	cr_assert_eq(journal_parse((struct bytes){ hole, sizeof(hole) }, &j), 0);
}
