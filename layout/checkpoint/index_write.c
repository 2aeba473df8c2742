/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sections grow side by side and are put together at the end. Only then is it known which name comes first, so until then a name has
 * the number of its first appearance.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "layout/checkpoint/index_at.h"
#include "layout/checkpoint/index_write.h"

/* A file that was added. */
struct added {
	const char *path;
	struct index_file file;
};

/* Where the shape of a name was last put. */
struct shape {
	uint32_t first, axes;
};

struct index_write {
	struct arena *arena; /* of names and paths */
	struct names names;
	struct names prints; /* of the entries of headers, hashed */
	uint32_t *printed;   /* [prints.count] the last header with each */
	uint64_t printed_room;
	struct shape *shapes; /* [names.count], as far as there is room */
	struct added *files;  /* [file_count] */
	uint64_t shape_room, file_count, file_room;
	bool shared;
	struct text section[INDEX_SECTIONS];
};

struct index_write *index_write_new(bool shared)
{
	struct index_write *w = calloc(1, sizeof(*w));

	if (!w)
		return NULL;
	w->shared = shared;
	w->arena = arena_new();
	if (w->arena) {
		w->names = w->prints = names_new(w->arena);
		return w;
	}
	free(w);
	return NULL;
}

void index_write_free(struct index_write *w)
{
	if (!w)
		return;
	for (int i = 0; i < INDEX_SECTIONS; i++)
		text_free(&w->section[i]);
	arena_free(w->arena);
	free(w);
}

/* The number of a name, which is copied when it is new; NAMES_NONE without memory. */
static uint32_t number_of(struct index_write *w, const char *name)
{
	uint32_t found = names_find(&w->names, name);
	const char *own = found == NAMES_NONE ? arena_strndup(w->arena, name, strlen(name)) : NULL;
	struct shape *shapes;

	if (found != NAMES_NONE || !own)
		return found;
	shapes = arena_grow(w->arena, w->shapes, w->names.count, &w->shape_room, sizeof(*shapes));
	if (!shapes)
		return NAMES_NONE;
	w->shapes = shapes;
	return names_add(&w->names, own);
}

/* Elements that a section has. */
static uint32_t elements(const struct index_write *w, enum index_section section, uint64_t width)
{
	return (uint32_t)(w->section[section].len / width);
}

/* Where the shape of `e` is: that of the same name in another header, if it is the same. */
static uint32_t put_shape(struct index_write *w, uint32_t name, const struct safetensors_entry *e)
{
	struct text *words = &w->section[INDEX_WORDS];
	struct shape *last = &w->shapes[name];
	uint64_t bytes = e->axes * sizeof(uint64_t);

	if (bytes && last->axes == e->axes && memcmp(words->ptr + last->first * sizeof(uint64_t), e->shape, bytes) == 0)
		return last->first;
	*last = (struct shape){ elements(w, INDEX_WORDS, sizeof(uint64_t)), e->axes };
	text_add_bytes(words, e->shape, bytes);
	return last->first;
}

static bool put_entries(struct index_write *w, const struct safetensors *st)
{
	for (uint64_t i = 0; i < st->count && !w->section[INDEX_WORDS].failed; i++) {
		const struct safetensors_entry *e = &st->entries[i];
		struct index_entry out = { .name = number_of(w, e->name), .begin = e->begin, .end = e->end, .axes = e->axes, .dtype = e->dtype };

		if (out.name == NAMES_NONE)
			return false;
		out.shape = put_shape(w, (uint32_t)out.name, e);
		text_add_bytes(&w->section[INDEX_ENTRIES], &out, sizeof(out));
	}
	return true;
}

static bool put_pairs(struct index_write *w, const struct pair *pairs, uint64_t count)
{
	for (uint64_t i = 0; i < count; i++) {
		struct index_pair out = { number_of(w, pairs[i].key), number_of(w, pairs[i].value) };

		if (out.key == NAMES_NONE || out.value == NAMES_NONE)
			return false;
		text_add_bytes(&w->section[INDEX_PAIRS], &out, sizeof(out));
	}
	return true;
}

/* True while every number of the format has room. */
static bool fits(const struct index_write *w)
{
	for (int i = 0; i < INDEX_SECTIONS; i++)
		if (w->section[i].len > UINT32_MAX)
			return false;
	return true;
}

static bool failed(const struct index_write *w)
{
	for (int i = 0; i < INDEX_SECTIONS; i++)
		if (w->section[i].failed)
			return true;
	return false;
}

/* Lengths of the sections that headers are written into. */
struct mark {
	uint64_t entries, pairs, splices;
};

static struct mark mark(const struct index_write *w)
{
	return (struct mark){ w->section[INDEX_ENTRIES].len, w->section[INDEX_PAIRS].len, w->section[INDEX_SPLICES].len };
}

/* The same bytes of a section in two places. */
static bool same(const struct text *section, uint64_t a, uint64_t b, uint64_t len)
{
	return len == 0 || memcmp(section->ptr + a, section->ptr + b, len) == 0;
}

/* True when header *x has the entries that were written from `from` on as those of `h`. */
static bool has_entries(const struct index_write *w, const struct index_header *x, const struct index_header *h, struct mark from)
{
	return x->ckpt == h->ckpt && x->entries == h->entries &&
	       same(&w->section[INDEX_ENTRIES], x->first_entry * sizeof(struct index_entry), from.entries, mark(w).entries - from.entries);
}

/* True when *x, which has the entries, is all that was written from `from` on as `h`. */
static bool is_header(const struct index_write *w, const struct index_header *x, const struct index_header *h, struct mark from)
{
	struct mark to = mark(w);

	return x->file_size == h->file_size && x->data_start == h->data_start &&
	       x->meta == h->meta && x->left_out == h->left_out && x->splices == h->splices &&
	       same(&w->section[INDEX_PAIRS], x->first_pair * sizeof(struct index_pair), from.pairs, to.pairs - from.pairs) &&
	       same(&w->section[INDEX_SPLICES], x->first_splice * sizeof(struct ckpt_splice), from.splices, to.splices - from.splices);
}

/* Where the number of the last header with the entries that were written from `from` on is kept; NULL without memory. */
static uint32_t *find_print(struct index_write *w, struct mark from)
{
	XXH128_hash_t hash = XXH3_128bits(w->section[INDEX_ENTRIES].ptr + from.entries, w->section[INDEX_ENTRIES].len - from.entries);
	char *text = arena_printf(w->arena, "%" PRIx64 " %" PRIx64, hash.high64, hash.low64);
	uint32_t *printed = arena_grow(w->arena, w->printed, w->prints.count, &w->printed_room, sizeof(*printed));
	uint32_t known = w->prints.count, at;

	w->printed = printed ? printed : w->printed;
	at = text && printed ? names_add(&w->prints, text) : NAMES_NONE;
	if (at == NAMES_NONE)
		return NULL;
	if (at == known)
		printed[at] = NAMES_NONE;
	return &printed[at];
}

/*
 * Puts the header whose parts were written from `from` on into the list. If there is an equal one its parts are taken back, and its
 * entries alone if there is one that has them.
 */
static int enter(struct index_write *w, struct index_header *h, struct mark from, uint32_t *number)
{
	uint32_t *last = find_print(w, from);
	const struct index_header *x = (const struct index_header *)w->section[INDEX_HEADERS].ptr;

	if (!last)
		return -ENOMEM;
	x = *last != NAMES_NONE && has_entries(w, &x[*last], h, from) ? &x[*last] : NULL;
	if (x && is_header(w, x, h, from)) {
		w->section[INDEX_ENTRIES].len = from.entries;
		w->section[INDEX_PAIRS].len = from.pairs;
		w->section[INDEX_SPLICES].len = from.splices;
		*number = *last;
		return 0;
	}
	*number = *last = h->like = elements(w, INDEX_HEADERS, sizeof(*h));
	if (x && !h->ckpt) {
		w->section[INDEX_ENTRIES].len = from.entries;
		h->first_entry = x->first_entry;
		h->like = x->like;
	}
	text_add_bytes(&w->section[INDEX_HEADERS], h, sizeof(*h));
	return 0;
}

int index_write_header(struct index_write *w, const struct ckpt *header, bool is_ckpt, uint64_t file_size, uint32_t *number,
		       struct error *err)
{
	const struct safetensors *st = &header->st;
	struct index_header out = {
		.file_size = file_size, .data_start = st->data_start, .ckpt = is_ckpt,
		.first_entry = elements(w, INDEX_ENTRIES, sizeof(struct index_entry)), .entries = (uint32_t)st->count,
		.first_pair = elements(w, INDEX_PAIRS, sizeof(struct index_pair)), .meta = (uint32_t)st->meta_count,
		.left_out = (uint32_t)header->left_out_count,
		.first_splice = elements(w, INDEX_SPLICES, sizeof(struct ckpt_splice)), .splices = (uint32_t)header->splice_count,
	};

	struct mark from = mark(w);

	if (!put_entries(w, st) || !put_pairs(w, st->meta, st->meta_count) || !put_pairs(w, header->left_out, header->left_out_count))
		return error_nomem(err);
	text_add_bytes(&w->section[INDEX_SPLICES], header->splices, header->splice_count * sizeof(*header->splices));
	if (failed(w) || enter(w, &out, from, number) < 0 || failed(w))
		return error_nomem(err);
	return fits(w) ? 0 : error_set(err, -E2BIG, "the headers are more than an index can hold");
}

int index_write_file(struct index_write *w, const char *path, const struct index_file *file, struct error *err)
{
	struct added *files = arena_grow(w->arena, w->files, w->file_count, &w->file_room, sizeof(*files));
	const char *own = arena_strndup(w->arena, path, strlen(path));

	if (!files || !own)
		return error_nomem(err);
	w->files = files;
	w->files[w->file_count++] = (struct added){ own, *file };
	return 0;
}

static int by_path(const void *a, const void *b)
{
	return strcmp(((const struct added *)a)->path, ((const struct added *)b)->path);
}

static int put_files(struct index_write *w, struct error *err)
{
	struct text *paths = &w->section[INDEX_PATH_BYTES];

	if (w->file_count)
		qsort(w->files, w->file_count, sizeof(*w->files), by_path);
	for (uint64_t i = 0; i < w->file_count; i++) {
		const struct added *f = &w->files[i];
		uint32_t end;

		if (i && strcmp(f->path, f[-1].path) == 0)
			return error_set(err, -EEXIST, "%s: two files of that name", f->path);
		text_add_bytes(&w->section[INDEX_FILES], &f->file, sizeof(f->file));
		text_add_bytes(paths, f->path, strlen(f->path) + 1);
		end = (uint32_t)paths->len;
		text_add_bytes(&w->section[INDEX_PATH_ENDS], &end, sizeof(end));
	}
	return 0;
}

struct numbered {
	const char *name;
	uint32_t number;
};

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct numbered *)a)->name, ((const struct numbered *)b)->name);
}

/* The names in their order. *final [names.count] is where each of them went. */
static int put_names(struct index_write *w, uint32_t **final, struct error *err)
{
	struct numbered *list = arena_alloc(w->arena, w->names.count, sizeof(*list));
	struct text *names = &w->section[INDEX_NAME_BYTES];

	*final = arena_alloc(w->arena, w->names.count, sizeof(**final));
	if (!list || !*final)
		return error_nomem(err);
	for (uint32_t i = 0; i < w->names.count; i++)
		list[i] = (struct numbered){ w->names.name[i], i };
	if (w->names.count)
		qsort(list, w->names.count, sizeof(*list), by_name);
	for (uint32_t i = 0; i < w->names.count; i++) {
		uint32_t end;

		(*final)[list[i].number] = i;
		text_add_bytes(names, list[i].name, strlen(list[i].name) + 1);
		end = (uint32_t)names->len;
		text_add_bytes(&w->section[INDEX_NAME_ENDS], &end, sizeof(end));
	}
	return 0;
}

static void renumber(struct index_write *w, const uint32_t *final)
{
	struct index_entry *e = (void *)w->section[INDEX_ENTRIES].ptr;
	struct index_pair *p = (void *)w->section[INDEX_PAIRS].ptr;

	for (uint32_t i = 0, n = elements(w, INDEX_ENTRIES, sizeof(*e)); i < n; i++)
		e[i].name = final[e[i].name];
	for (uint32_t i = 0, n = elements(w, INDEX_PAIRS, sizeof(*p)); i < n; i++)
		p[i] = (struct index_pair){ final[p[i].key], final[p[i].value] };
}

/* Puts the sections together; each is given back as soon as it is in its place. */
static void join(struct index_write *w, struct text *out)
{
	struct index_head head = { .magic = INDEX_MAGIC, .version = INDEX_VERSION, .shared = w->shared };

	text_add_bytes(out, &head, sizeof(head));
	for (int i = 0; i < INDEX_SECTIONS; i++) {
		struct text *s = &w->section[i];

		head.count[i] = s->len / index_width((enum index_section)i);
		text_add_bytes(out, s->ptr, s->len);
		text_pad(out, 0, (8 - s->len % 8) % 8);
		text_free(s);
	}
	if (out->failed)
		return;
	memcpy(out->ptr, &head, sizeof(head));
	index_sum((const uint8_t *)out->ptr, out->len, &head);
	memcpy(out->ptr, &head, sizeof(head));
}

int index_write_finish(struct index_write *w, struct text *out, struct error *err)
{
	uint32_t *final;
	int code = put_names(w, &final, err);

	if (code == 0)
		code = put_files(w, err);
	if (code < 0)
		return code;
	renumber(w, final);
	if (failed(w))
		return error_nomem(err);
	if (!fits(w))
		return error_set(err, -E2BIG, "the names are more than an index can hold");
	join(w, out);
	return out->failed ? error_nomem(err) : 0;
}
