/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Everything is checked where it lies, in one pass over each section, so that who asks for a header later gets it without a question.
 * Checking takes time and memory in proportion to the file: the set that finds names which come twice in one header is cleared by
 * going over that header again, never as a whole.
 */
#include <errno.h>
#include <string.h>

#include "layout/base/box.h"
#include "layout/base/utf8.h"
#include "layout/checkpoint/index_at.h"

typedef unsigned long long ull; /* for messages */

#define NUMBER_MAX (UINT64_C(1) << 53) /* a header's numbers are below */

struct check {
	const struct index *x;
	uint64_t *seen; /* a bit for each name: it is in the header at hand */
	uint64_t next_entry, next_pair, next_splice;
	struct error *err;
};

/* Checks that strings fill their section, each with one NUL, at its end, and ascend, so that none comes twice. */
static int check_strings(const struct index *x, enum index_section ends, enum index_section text, struct error *err)
{
	const uint32_t *end = x->at[ends];
	const char *base = x->at[text];
	uint64_t at = 0;

	for (uint64_t i = 0; i < x->count[ends]; i++) {
		if (end[i] <= at || end[i] > x->count[text] || memchr(base + at, 0, end[i] - at) != base + end[i] - 1)
			return error_set(err, -EINVAL, "string %llu of section %d does not end in its only NUL", (ull)i, (int)text);
		if (i && strcmp(index_at_string(x, ends, text, i - 1), base + at) >= 0)
			return error_set(err, -EINVAL, "string %llu of section %d is out of order", (ull)i, (int)text);
		at = end[i];
	}
	return at == x->count[text] ? 0 : error_set(err, -EINVAL, "section %d has more than its strings", (int)text);
}

static int check_names(const struct index *x, struct error *err)
{
	const uint8_t *text = x->at[INDEX_NAME_BYTES];
	uint32_t code, used = 1;

	for (uint64_t i = 0; i < x->count[INDEX_NAME_BYTES]; i += used) {
		used = text[i] < 0x80 ? 1 : utf8_decode(text + i, x->count[INDEX_NAME_BYTES] - i, &code);
		if (used == 0)
			return error_set(err, -EINVAL, "the names are not UTF-8 at byte %llu", (ull)i);
	}
	return check_strings(x, INDEX_NAME_ENDS, INDEX_NAME_BYTES, err);
}

static int check_files(const struct index *x, struct error *err)
{
	for (uint64_t i = 0; i < x->count[INDEX_FILES]; i++) {
		const struct index_file *f = &index_at_files(x)[i];

		if (f->header >= x->count[INDEX_HEADERS])
			return error_set(err, -EINVAL, "file %llu: header %u of %llu", (ull)i, f->header, (ull)x->count[INDEX_HEADERS]);
		if (f->size != index_at_headers(x)[f->header].file_size)
			return error_set(err, -EINVAL, "file %llu: %llu bytes, but its header is for %llu", (ull)i, (ull)f->size,
					 (ull)index_at_headers(x)[f->header].file_size);
		if (f->nanos >= 1000000000 || f->changed_nanos >= 1000000000 || f->zero)
			return error_set(err, -EINVAL, "file %llu: no such time", (ull)i);
		if (x->shared && (f->dev || f->ino || f->changed_seconds || f->changed_nanos))
			return error_set(err, -EINVAL, "file %llu: a device, inode or ctime in a shared index", (ull)i);
	}
	return check_strings(x, INDEX_PATH_ENDS, INDEX_PATH_BYTES, err);
}

static int bad_header(const struct check *c, const struct index_header *h, const char *what)
{
	return error_set(c->err, -EINVAL, "header %llu: %s", (ull)(h - index_at_headers(c->x)), what);
}

static int bad_entry(const struct check *c, const struct index_entry *e, const char *what)
{
	return error_set(c->err, -EINVAL, "entry %llu: %s", (ull)(e - index_at_entries(c->x)), what);
}

/* Whether the entries of a header are its own, and no earlier header has them. */
static bool is_own(const struct check *c, const struct index_header *h)
{
	return h->like == h - index_at_headers(c->x);
}

/* Takes `count` elements of a section that a header says are its own: they must be the next ones, and be there. */
static bool take(uint64_t *next, uint32_t first, uint64_t count, uint64_t all)
{
	if (first != *next || count > all - *next)
		return false;
	*next += count;
	return true;
}

/* What an entry says by itself. */
static int check_entry(const struct check *c, const struct index_entry *e, uint64_t most)
{
	uint64_t n = 1, bytes;

	if (e->name >= c->x->count[INDEX_NAME_ENDS])
		return bad_entry(c, e, "no such name");
	if (e->dtype >= DTYPE_COUNT)
		return bad_entry(c, e, "no such dtype");
	if (e->axes > BOX_AXES || e->shape > c->x->count[INDEX_WORDS] || e->axes > c->x->count[INDEX_WORDS] - e->shape)
		return bad_entry(c, e, "no such shape");
	for (uint32_t a = 0; a < e->axes; a++)
		if (index_at_words(c->x)[e->shape + a] > most || !bytes_mul(n, index_at_words(c->x)[e->shape + a], &n))
			return bad_entry(c, e, "its shape is too large");
	if (e->end < e->begin || !dtype_bytes(e->dtype, n, &bytes) || bytes != e->end - e->begin)
		return bad_entry(c, e, "its bytes are not those of its shape and dtype");
	return 0;
}

/* Marks names of the header at hand; false for one that is marked already. */
static bool mark(const struct check *c, uint64_t name)
{
	uint64_t bit = UINT64_C(1) << name % 64, *word = &c->seen[name / 64];
	bool fresh = !(*word & bit);

	*word |= bit;
	return fresh;
}

static void unmark(const struct check *c, uint64_t name)
{
	c->seen[name / 64] = 0; /* with others of this header, which are taken away too */
}

/* Checks the entries of a header one by one, that the order is one of begin, and that no name comes twice. */
static int check_entries(const struct check *c, const struct index_header *h)
{
	const struct index_entry *e = index_at_entries(c->x) + h->first_entry;
	bool unique = true;

	for (uint32_t i = 0; i < h->entries; i++) {
		int code = check_entry(c, &e[i], h->ckpt ? INT64_MAX : NUMBER_MAX - 1);

		if (code < 0)
			return code;
		if (i && e[i].begin < e[i - 1].end)
			return bad_entry(c, &e[i], "begins before the one before it ends");
		if (i && e[i].begin == e[i - 1].begin && e[i].end == e[i].begin && !h->ckpt && e[i].name < e[i - 1].name)
			return bad_entry(c, &e[i], "is out of order");
		if (strcmp(index_at_name(c->x, e[i].name), "__metadata__") == 0)
			return bad_entry(c, &e[i], "no tensor has that name");
	}
	for (uint32_t i = 0; i < h->entries; i++)
		unique &= mark(c, e[i].name);
	for (uint32_t i = 0; i < h->entries; i++)
		unmark(c, e[i].name);
	return unique ? 0 : bad_header(c, h, "a name comes twice");
}

/* The metadata and what is left out. A key may come twice only in what we make up for a .ckpt file. */
static int check_pairs(const struct check *c, const struct index_header *h)
{
	const struct index_pair *p = index_at_pairs(c->x) + h->first_pair;
	uint64_t names = c->x->count[INDEX_NAME_ENDS], n = (uint64_t)h->meta + h->left_out;
	bool unique = true;

	for (uint64_t i = 0; i < n; i++)
		if (p[i].key >= names || p[i].value >= names)
			return bad_header(c, h, "no such key or value");
	for (uint32_t i = 0; i < h->meta; i++)
		unique &= mark(c, p[i].key);
	for (uint32_t i = 0; i < h->meta; i++)
		unmark(c, p[i].key);
	return unique || h->ckpt ? 0 : bad_header(c, h, "a key comes twice");
}

static int check_safetensors(const struct check *c, const struct index_header *h)
{
	const struct index_entry *e = index_at_entries(c->x) + h->first_entry;
	uint64_t end;

	if (h->splices || h->left_out)
		return bad_header(c, h, "only a .ckpt file has splices or leaves anything out");
	if (h->data_start < 8 || h->data_start > 8 + SAFETENSORS_HEADER_MAX)
		return bad_header(c, h, "no such start of the data");
	for (uint32_t i = 0; i < h->entries && is_own(c, h); i++)
		if (e[i].begin != (i ? e[i - 1].end : 0) || e[i].end >= NUMBER_MAX)
			return bad_entry(c, &e[i], "does not begin where the one before it ends");
	if (!bytes_add(h->data_start, h->entries ? e[h->entries - 1].end : 0, &end) || end != h->file_size)
		return bad_header(c, h, "the tensors do not end where the file does");
	return 0;
}

/* Checks that the splices from *s on make up the entry, and moves *s behind them. */
static int check_spliced(const struct check *c, const struct index_header *h, const struct index_entry *e, uint32_t *s)
{
	const struct ckpt_splice *list = index_at_splices(c->x) + h->first_splice;
	uint64_t at = e->begin, physical;

	for (; at < e->end; at += list[(*s)++].len) {
		if (*s == h->splices || list[*s].logical != at || list[*s].len == 0 || list[*s].len > e->end - at)
			return bad_entry(c, e, "its splices do not make it up");
		if (!bytes_add(list[*s].physical, list[*s].len, &physical) || physical > h->file_size)
			return bad_entry(c, e, "a splice is not inside the file");
	}
	return 0;
}

static int check_ckpt(const struct check *c, const struct index_header *h)
{
	const struct index_entry *e = index_at_entries(c->x) + h->first_entry;
	uint64_t last = h->file_size;
	uint32_t s = 0;

	if (h->data_start || h->file_size > INT64_MAX || (!h->entries && !h->left_out))
		return bad_header(c, h, "no .ckpt file has such a header");
	for (uint32_t i = 0; i < h->entries; i++) {
		int code = 0;

		if (e[i].begin > h->file_size) {
			if (e[i].begin == e[i].end || e[i].end > INT64_MAX || e[i].begin % CKPT_GAP || e[i].begin - last < CKPT_GAP)
				return bad_entry(c, &e[i], "no such address");
			code = check_spliced(c, h, &e[i], &s);
			last = e[i].end;
		} else if (e[i].end > h->file_size) {
			return bad_entry(c, &e[i], "is not inside the file");
		}
		if (code < 0)
			return code;
	}
	return s == h->splices ? 0 : bad_header(c, h, "splices that no tensor has");
}

/* Takes the entries of a header, unless they are those of an earlier one, which were checked with that. */
static bool take_entries(struct check *c, const struct index_header *h)
{
	const struct index_header *all = index_at_headers(c->x), *first;

	if (is_own(c, h))
		return take(&c->next_entry, h->first_entry, h->entries, c->x->count[INDEX_ENTRIES]);
	if (h->like > h - all)
		return false;
	first = &all[h->like];
	return is_own(c, first) && !first->ckpt && !h->ckpt && first->first_entry == h->first_entry && first->entries == h->entries;
}

static int check_header(struct check *c, const struct index_header *h)
{
	const struct index *x = c->x;
	int code = 0;

	if (h->ckpt > 1 || h->zero || !take_entries(c, h) ||
	    !take(&c->next_pair, h->first_pair, (uint64_t)h->meta + h->left_out, x->count[INDEX_PAIRS]) ||
	    !take(&c->next_splice, h->first_splice, h->splices, x->count[INDEX_SPLICES]))
		return bad_header(c, h, "its parts are not there");
	if (is_own(c, h))
		code = check_entries(c, h);
	if (code == 0)
		code = check_pairs(c, h);
	if (code < 0)
		return code;
	return h->ckpt ? check_ckpt(c, h) : check_safetensors(c, h);
}

static int check_headers(const struct index *x, struct arena *arena, struct error *err)
{
	struct check c = { .x = x, .err = err, .seen = arena_alloc(arena, x->count[INDEX_NAME_ENDS] / 64 + 1, sizeof(*c.seen)) };
	int code = c.seen ? 0 : error_nomem(err);

	for (uint64_t i = 0; code == 0 && i < x->count[INDEX_HEADERS]; i++)
		code = check_header(&c, &index_at_headers(x)[i]);
	if (code < 0)
		return code;
	if (c.next_entry != x->count[INDEX_ENTRIES] || c.next_pair != x->count[INDEX_PAIRS] || c.next_splice != x->count[INDEX_SPLICES])
		return error_set(err, -EINVAL, "the headers do not have all that is there");
	return 0;
}

int index_check(const struct index *x, struct arena *arena, struct error *err)
{
	int code = check_names(x, err);

	if (code == 0)
		code = check_files(x, err);
	return code == 0 ? check_headers(x, arena, err) : code;
}
