/* SPDX-License-Identifier: Apache-2.0 */
/* See index.h. */
#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <xxhash.h>

#include "layout/checkpoint/index_at.h"

typedef unsigned long long ull; /* for messages */

static const uint64_t widths[INDEX_SECTIONS] = {
	[INDEX_WORDS] = sizeof(uint64_t),
	[INDEX_ENTRIES] = sizeof(struct index_entry),
	[INDEX_SPLICES] = sizeof(struct ckpt_splice),
	[INDEX_PAIRS] = sizeof(struct index_pair),
	[INDEX_HEADERS] = sizeof(struct index_header),
	[INDEX_FILES] = sizeof(struct index_file),
	[INDEX_NAME_ENDS] = sizeof(uint32_t),
	[INDEX_PATH_ENDS] = sizeof(uint32_t),
	[INDEX_NAME_BYTES] = 1,
	[INDEX_PATH_BYTES] = 1,
};

_Static_assert(sizeof(struct index_entry) == 40 && sizeof(struct index_pair) == 16 && sizeof(struct ckpt_splice) == 24 &&
	       sizeof(struct index_header) == 56 && sizeof(struct index_file) == 56 && sizeof(struct index_head) == 112,
	       "the format has no padding");
_Static_assert(sizeof(struct safetensors_entry) <= sizeof(struct index_entry) && sizeof(struct pair) <= sizeof(struct index_pair),
	       "what is read finds room in the place of what was written");

uint64_t index_width(enum index_section section)
{
	return widths[section];
}

const char *index_path(const struct index *index, uint64_t number)
{
	return index_at_string(index, INDEX_PATH_ENDS, INDEX_PATH_BYTES, number);
}

/* The sum is of the file from here on. */
#define SUMMED offsetof(struct index_head, version)

void index_sum(const uint8_t *file, uint64_t len, struct index_head *head)
{
	XXH128_hash_t sum = XXH3_128bits(file + SUMMED, len - SUMMED);

	head->sum_low = sum.low64;
	head->sum_high = sum.high64;
}

static int check_head(const struct index_head *h, uint64_t len, struct error *err)
{
	if (len < sizeof(*h) || h->magic != INDEX_MAGIC)
		return error_set(err, -EINVAL, "is no index of gatherfs, or one from a machine of another kind");
	if (h->version != INDEX_VERSION)
		return error_set(err, -EINVAL, "version: expected %d, found %u", INDEX_VERSION, h->version);
	if (h->shared > 1)
		return error_set(err, -EINVAL, "shared: expected 0 or 1, found %u", h->shared);
	return 0;
}

/* Finds the sections, which must fill the file. */
static int find_sections(uint8_t *file, uint64_t len, struct index *x, struct error *err)
{
	const struct index_head *h = (const void *)file;
	uint64_t at = sizeof(*h), bytes;

	for (int i = 0; i < INDEX_SECTIONS; i++) {
		uint64_t n = h->count[i], left = len - at;

		if (n > UINT32_MAX || !bytes_mul(n, widths[i], &bytes) || (bytes + 7) / 8 * 8 > left)
			return error_set(err, -EINVAL, "section %d: %llu elements, but %llu bytes are left for it", i, (ull)n, (ull)left);
		x->count[i] = n;
		x->at[i] = file + at;
		at += (bytes + 7) / 8 * 8;
	}
	if (at != len)
		return error_set(err, -EINVAL, "the sections end at byte %llu, but the file at %llu", (ull)at, (ull)len);
	if (x->count[INDEX_PATH_ENDS] != x->count[INDEX_FILES])
		return error_set(err, -EINVAL, "%llu paths for %llu files", (ull)x->count[INDEX_PATH_ENDS], (ull)x->count[INDEX_FILES]);
	x->shared = h->shared;
	return 0;
}

static int check_sum(const struct index_head *h, uint64_t len, struct error *err)
{
	struct index_head right;

	index_sum((const uint8_t *)h, len, &right);
	if (right.sum_low != h->sum_low || right.sum_high != h->sum_high)
		return error_set(err, -EINVAL, "its sum is wrong: it was not written whole, or is damaged");
	return 0;
}

/* Turns pairs of numbers into pairs of strings where they lie; memcpy() because the memory changes its type. */
static const struct pair *link_pairs(const struct index *x, const struct index_header *h)
{
	struct index_pair *from = (struct index_pair *)x->at[INDEX_PAIRS] + h->first_pair;
	struct pair *to = (struct pair *)from;

	for (uint64_t i = 0; i < (uint64_t)h->meta + h->left_out; i++) {
		struct index_pair p;
		struct pair linked;

		memcpy(&p, &from[i], sizeof(p));
		linked = (struct pair){ index_at_name(x, p.key), index_at_name(x, p.value) };
		memcpy(&to[i], &linked, sizeof(linked));
	}
	return to;
}

/* Likewise entries. None is written over that was not read yet, as the new ones are not larger. */
static const struct safetensors_entry *link_entries(const struct index *x, const struct index_header *h)
{
	struct index_entry *from = (struct index_entry *)x->at[INDEX_ENTRIES] + h->first_entry;
	struct safetensors_entry *to = (struct safetensors_entry *)from;

	for (uint32_t i = 0; i < h->entries; i++) {
		struct index_entry e;
		struct safetensors_entry linked;

		memcpy(&e, &from[i], sizeof(e));
		linked = (struct safetensors_entry){ .name = index_at_name(x, e.name), .shape = index_at_words(x) + e.shape, .axes = e.axes,
						     .dtype = (enum dtype)e.dtype, .begin = e.begin, .end = e.end };
		memcpy(&to[i], &linked, sizeof(linked));
	}
	return to;
}

/* Makes of what was checked what was asked for. */
static int link_headers(struct index *x, struct arena *arena, struct error *err)
{
	uint64_t count = x->count[INDEX_HEADERS];
	struct ckpt *list = arena_alloc(arena, count, sizeof(*list));

	if (!list)
		return error_nomem(err);
	for (uint64_t i = 0; i < count; i++) {
		const struct index_header *h = &index_at_headers(x)[i];
		const struct pair *pairs = link_pairs(x, h);

		list[i].st = (struct safetensors){ .count = h->entries, .meta = pairs, .meta_count = h->meta, .data_start = h->data_start };
		list[i].st.entries = h->like == i ? link_entries(x, h) : list[h->like].st.entries;
		list[i].splices = index_at_splices(x) + h->first_splice;
		list[i].splice_count = h->splices;
		list[i].left_out = pairs + h->meta;
		list[i].left_out_count = h->left_out;
		list[i].crc_len = h->ckpt ? h->file_size : 0;
	}
	x->headers = list;
	return 0;
}

int index_parse(uint8_t *file, uint64_t len, struct arena *arena, struct index *out, struct error *err)
{
	const struct index_head *h = (const void *)file;
	int code = check_head(h, len, err);

	*out = (struct index){ .shared = false };
	if (code == 0)
		code = find_sections(file, len, out, err);
	if (code == 0)
		code = check_sum(h, len, err);
	if (code == 0)
		code = index_check(out, arena, err);
	return code == 0 ? link_headers(out, arena, err) : code;
}

const struct index_file *index_find(const struct index *index, const char *path)
{
	uint64_t lo = 0, hi = index->count[INDEX_FILES]; /* those before lo are smaller, those from hi on larger */

	while (lo < hi) {
		uint64_t mid = lo + (hi - lo) / 2;
		int order = strcmp(index_path(index, mid), path);

		if (order == 0)
			return &index_at_files(index)[mid];
		if (order < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
}

const struct ckpt *index_header(const struct index *index, const struct index_file *file, bool *is_ckpt)
{
	*is_ckpt = index_at_headers(index)[file->header].ckpt;
	return &index->headers[file->header];
}

uint64_t index_entries(const struct index *index, const struct index_file *file)
{
	return index_at_headers(index)[file->header].like;
}
