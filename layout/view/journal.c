/* SPDX-License-Identifier: Apache-2.0 */
/* Lines are taken apart strictly: one blank between fields, no sign, no leading zero. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "layout/view/journal.h"

#define NANOS UINT64_C(1000000000)

/* A line, as what is left of it. */
struct line {
	const char *at, *end;
};

/* Takes the next whole line off *text; false when there is none, or it has a NUL or is longer than any line of ours. */
static bool next_line(struct bytes *text, struct line *out)
{
	uint64_t room = text->len < JOURNAL_LINE_MAX ? text->len : JOURNAL_LINE_MAX;
	const uint8_t *end = room ? memchr(text->ptr, '\n', room) : NULL;

	if (!end)
		return false;
	*out = (struct line){ (const char *)text->ptr, (const char *)end };
	text->len -= (uint64_t)(end + 1 - text->ptr);
	text->ptr = end + 1;
	return true;
}

static bool take_word(struct line *line, const char *word)
{
	size_t len = strlen(word);

	if ((size_t)(line->end - line->at) < len || memcmp(line->at, word, len) != 0)
		return false;
	line->at += len;
	return true;
}

/* " NUMBER", below `limit`. */
static bool take_number(struct line *line, uint64_t limit, uint64_t *out)
{
	const char *first;

	*out = 0;
	if (!take_word(line, " "))
		return false;
	for (first = line->at; line->at < line->end && *line->at >= '0' && *line->at <= '9'; line->at++)
		if (!bytes_mul(*out, 10, out) || !bytes_add(*out, (uint64_t)(*line->at - '0'), out))
			return false;
	return line->at > first && (*first != '0' || line->at == first + 1) && *out < limit;
}

static bool take_print(struct line *line, struct fingerprint *out)
{
	if (!take_word(line, " ") || line->end - line->at < FINGERPRINT_TEXT - 1 || !fingerprint_parse(line->at, out))
		return false;
	line->at += FINGERPRINT_TEXT - 1;
	return true;
}

static bool is_over(const struct line *line)
{
	return line->at == line->end;
}

static bool take_id(struct line *line, char *out)
{
	if (!take_word(line, " ") || line->end - line->at != JOURNAL_ID - 1)
		return false;
	for (int i = 0; i < JOURNAL_ID - 1; i++, line->at++) {
		if (!*line->at || !strchr("0123456789abcdef", *line->at))
			return false;
		out[i] = *line->at;
	}
	out[JOURNAL_ID - 1] = '\0';
	return true;
}

int journal_parse_head(struct bytes text, struct journal_head *out, uint64_t *used, struct error *err)
{
	uint64_t whole = text.len;
	struct line l;

	if (!next_line(&text, &l) || !take_word(&l, "gatherfs-export"))
		return error_set(err, -EINVAL, "is not the journal of an export");
	if (!take_word(&l, " 1") || !take_id(&l, out->id))
		return error_set(err, -EINVAL, "line 1: expected version 1 and 8 hexadecimal digits");
	if (!next_line(&text, &l) || !take_word(&l, "sources") || !take_print(&l, &out->sources) || !is_over(&l))
		return error_set(err, -EINVAL, "line 2: expected the fingerprint of the sources");
	if (!next_line(&text, &l) || !take_word(&l, "view") || !take_print(&l, &out->view) || !is_over(&l))
		return error_set(err, -EINVAL, "line 3: expected the fingerprint of the view");
	*used = whole - text.len;
	return 0;
}

static bool parse_chunk(struct line *l, struct journal *out)
{
	struct fingerprint print;
	uint64_t n;

	if (!take_number(l, out->chunk_count, &n) || !take_print(l, &print) || !is_over(l))
		return false;
	out->chunks[n] = (struct journal_chunk){ print, true };
	return true;
}

static bool parse_file(struct line *l, struct journal *out)
{
	uint64_t n, inode, seconds, nanos;

	if (!take_number(l, out->file_count, &n) || !take_number(l, UINT64_MAX, &inode) || !take_number(l, UINT64_MAX, &seconds) ||
	    !take_number(l, NANOS, &nanos) || !is_over(l))
		return false;
	out->files[n] = (struct journal_file){ inode, seconds, (uint32_t)nanos, true };
	return true;
}

uint64_t journal_parse(struct bytes text, struct journal *out)
{
	uint64_t whole = text.len, left = whole;
	struct line l;

	while (next_line(&text, &l) && (take_word(&l, "chunk") ? parse_chunk(&l, out) : take_word(&l, "file") && parse_file(&l, out)))
		left = text.len;
	return whole - left;
}

void journal_add_head(struct text *text, const struct journal_head *head)
{
	char print[FINGERPRINT_TEXT];

	text_add(text, "gatherfs-export 1 %s\n", head->id);
	text_add(text, "sources %s\n", fingerprint_write(head->sources, print));
	text_add(text, "view %s\n", fingerprint_write(head->view, print));
}

void journal_add_chunk(struct text *text, uint64_t number, struct fingerprint print)
{
	char hex[FINGERPRINT_TEXT];

	text_add(text, "chunk %" PRIu64 " %s\n", number, fingerprint_write(print, hex));
}

void journal_add_file(struct text *text, uint64_t number, const struct journal_file *file)
{
	text_add(text, "file %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu32 "\n", number, file->inode, file->seconds, file->nanos);
}
