/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as the journal of an export: what is taken of them lies inside the bounds, and written again it says the same. */
#include <string.h>

#include "layout/view/journal.h"
#include "tests/fuzz/fuzz.h"

#define CHUNKS 20
#define FILES 10

static void write_again(const struct journal *j)
{
	struct journal_chunk chunks[CHUNKS] = { { .known = false } };
	struct journal_file files[FILES] = { { .known = false } };
	struct journal back = { chunks, files, CHUNKS, FILES };
	struct text text = TEXT_EMPTY;

	for (uint32_t i = 0; i < CHUNKS; i++)
		if (j->chunks[i].known)
			journal_add_chunk(&text, i, j->chunks[i].print);
	for (uint32_t i = 0; i < FILES; i++)
		if (j->files[i].known)
			journal_add_file(&text, i, &j->files[i]);
	FUZZ_PROMISE(journal_parse((struct bytes){ (const uint8_t *)text.ptr, text.len }, &back) == text.len);
	for (uint32_t i = 0; i < CHUNKS; i++)
		FUZZ_PROMISE(chunks[i].known == j->chunks[i].known && fingerprint_equal(chunks[i].print, j->chunks[i].print));
	for (uint32_t i = 0; i < FILES; i++)
		FUZZ_PROMISE(files[i].known == j->files[i].known && files[i].inode == j->files[i].inode && files[i].seconds == j->files[i].seconds &&
			     files[i].nanos == j->files[i].nanos);
	text_free(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct journal_chunk chunks[CHUNKS] = { { .known = false } };
	struct journal_file files[FILES] = { { .known = false } };
	struct journal j = { chunks, files, CHUNKS, FILES };
	struct journal_head head;
	struct error err = { "" };
	uint64_t used = 0, more;

	if (journal_parse_head((struct bytes){ data, size }, &head, &used, &err) < 0) {
		FUZZ_PROMISE(err.msg[0]);
		used = 0;
	} else {
		FUZZ_PROMISE(used <= size && strlen(head.id) == JOURNAL_ID - 1);
	}
	more = journal_parse((struct bytes){ data + used, size - used }, &j);
	FUZZ_PROMISE(more <= size - used && (more == 0 || data[used + more - 1] == '\n'));
	write_again(&j);
	return 0;
}
