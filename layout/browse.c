/* SPDX-License-Identifier: Apache-2.0 */
/* See browse.h. Paths are compared with '/' as the lowest of all bytes, which is the order by parts. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "layout/browse.h"
#include "layout/text.h"
#include "layout/utf8.h"

static const char *const endings[BROWSE_KINDS] = { ".txt", ".json", ".npy", ".bin" };

const char *browse_ending(enum browse_kind kind)
{
	return endings[kind];
}

bool browse_file(const char *file, uint64_t *stem, enum browse_kind *kind)
{
	const char *dot = strrchr(file, '.');

	for (uint32_t i = 0; dot && i < BROWSE_KINDS; i++)
		if (strcmp(dot, endings[i]) == 0 && dot != file) {
			*stem = (uint64_t)(dot - file);
			*kind = (enum browse_kind)i;
			return true;
		}
	return false;
}

static bool is_plain(uint32_t len, uint32_t code)
{
	return len > 0 && utf8_is_harmless(code) && code != '%' && code != '/';
}

/* A path being written: `part` counts the bytes of its last part. */
struct escaping {
	struct text text;
	uint64_t part;
};

/* Adds a character, which stays in one piece; the part always keeps room for the sign that it goes on. */
static void put(struct escaping *e, const void *bytes, uint64_t len)
{
	if (e->part + len > BROWSE_PART_MAX - 1) {
		text_add_bytes(&e->text, "%/", 2);
		e->part = 0;
	}
	text_add_bytes(&e->text, bytes, len);
	e->part += len;
}

static void put_hex(struct escaping *e, const uint8_t *bytes, uint64_t len)
{
	static const char hex[] = "0123456789ABCDEF";

	for (uint64_t i = 0; i < len; i++)
		put(e, (const char[]){ '%', hex[bytes[i] >> 4], hex[bytes[i] & 15] }, 3);
}

static void end_part(struct escaping *e)
{
	if (e->part == 0)
		text_add_bytes(&e->text, "%", 1);
	e->part = 0;
}

const char *browse_escape(const char *name, struct arena *arena)
{
	struct escaping e = { .text = TEXT_EMPTY };
	const uint8_t *p = (const uint8_t *)name;
	struct bytes out;

	for (uint64_t left = strlen(name); left > 0;) {
		uint32_t code = 0, len = utf8_decode(p, left, &code), used = len ? len : 1;

		if (*p == '.') {
			end_part(&e);
			text_add_bytes(&e.text, "/", 1);
		} else if (is_plain(len, code)) {
			put(&e, p, used);
		} else {
			put_hex(&e, p, used);
		}
		p += used;
		left -= used;
	}
	end_part(&e);
	return text_finish(&e.text, arena, &out) < 0 ? NULL : (const char *)out.ptr;
}

static int hex_digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/*
 * Undoes what stands at *p, of a part that begins at `part`, and moves *p behind it: the byte it stands for, 0 for a sign that stands
 * for nothing, negative for what is no sign.
 */
static int undo(const char **p, const char *part)
{
	const char *s = *p;

	if (*s != '%') {
		*p = s + 1;
		return *s == '/' ? '.' : (unsigned char)*s;
	}
	if (s[1] == '/' || s[1] == '\0') {
		*p = s == part || s[1] == '\0' ? s + 1 : s + 2; /* an empty part, or one that goes on */
		return 0;
	}
	*p = s + 3;
	return hex_digit(s[1]) < 0 || hex_digit(s[2]) < 0 ? -1 : hex_digit(s[1]) << 4 | hex_digit(s[2]);
}

int browse_unescape(const char *path, struct arena *arena, const char **name)
{
	char *out = arena_alloc(arena, strlen(path) + 1, 1), *end = out;
	const char *again;

	if (!out)
		return -ENOMEM;
	for (const char *p = path, *part = path; *p;) {
		int byte = undo(&p, part);

		if (byte < 0)
			return -EINVAL;
		if (p[-1] == '/')
			part = p;
		if (byte > 0)
			*end++ = (char)byte;
	}
	*name = out;
	again = browse_escape(out, arena);
	return !again ? -ENOMEM : strcmp(again, path) == 0 ? 0 : -EINVAL; /* one name, one path */
}

/* The order of the index. */
static int compare_paths(const char *a, const char *b)
{
	while (*a && *a == *b) {
		a++;
		b++;
	}

	int x = *a == '/' ? 0x100 : (unsigned char)*a, y = *b == '/' ? 0x100 : (unsigned char)*b;

	x = x == 0 ? 0 : x == 0x100 ? 1 : x + 1; /* the end first, then '/' */
	y = y == 0 ? 0 : y == 0x100 ? 1 : y + 1;
	return x - y;
}

static int compare_entries(const void *a, const void *b)
{
	return compare_paths(((const struct browse_entry *)a)->path, ((const struct browse_entry *)b)->path);
}

/* A tensor with holes has blocks that cannot be read. */
static bool take(const struct tensor *tensors, uint64_t count, struct arena *arena, struct browse_index *index)
{
	for (uint64_t i = 0; i < count; i++) {
		struct browse_entry *e = &index->entries[index->count];

		if (tensors[i].holes)
			continue;
		index->count++;
		e->tensor = &tensors[i];
		e->path = browse_escape(tensors[i].name, arena);
		if (!e->path)
			return false;
	}
	return true;
}

int browse_index(const struct checkpoint *ckpt, struct arena *arena, struct browse_index *out)
{
	*out = (struct browse_index){ .entries = arena_alloc(arena, ckpt->count + ckpt->outside_count, sizeof(*out->entries)) };
	if (!out->entries || !take(ckpt->tensors, ckpt->count, arena, out) || !take(ckpt->outside, ckpt->outside_count, arena, out))
		return -ENOMEM;
	qsort(out->entries, out->count, sizeof(*out->entries), compare_entries);
	return 0;
}

struct browse_folder browse_root(const struct browse_index *index)
{
	return (struct browse_folder){ .end = index->count };
}

/* -1, 0, 1 as what entry `i` has in this folder comes before, is, or comes after the tensor or the folder called `name`. */
static int place(const struct browse_index *index, const struct browse_folder *folder, uint64_t i, const struct browse_child *of)
{
	const char *path = index->entries[i].path + folder->skip;
	uint64_t n = 0;

	while (n < of->len && path[n] == of->name[n])
		n++;
	if (n < of->len) /* a '/' or the end is before any byte of a part */
		return !path[n] || path[n] == '/' || (unsigned char)path[n] < (unsigned char)of->name[n] ? -1 : 1;
	if (path[n] != '\0' && path[n] != '/')
		return 1;
	return (path[n] == '/') - of->is_folder;
}

/* The first entry in [first, folder->end) that has a place of at least `least`. */
static uint64_t bisect(const struct browse_index *index, const struct browse_folder *folder, uint64_t first, const struct browse_child *of, int least)
{
	uint64_t end = folder->end;

	while (first < end) {
		uint64_t middle = first + (end - first) / 2;

		if (place(index, folder, middle, of) < least)
			first = middle + 1;
		else
			end = middle;
	}
	return first;
}

/* Fills in what `out` is, which has a name and begins at entry `first`. */
static void fill(const struct browse_index *index, const struct browse_folder *folder, uint64_t first, struct browse_child *out)
{
	out->entry = first;
	if (out->is_folder)
		out->folder = (struct browse_folder){ .first = first, .end = bisect(index, folder, first, out, 1),
						      .skip = folder->skip + out->len + 1 };
}

bool browse_next(const struct browse_index *index, const struct browse_folder *folder, uint64_t *at, struct browse_child *out)
{
	if (*at >= folder->end)
		return false;
	out->name = index->entries[*at].path + folder->skip;
	out->len = strcspn(out->name, "/");
	out->is_folder = out->name[out->len] == '/';
	fill(index, folder, *at, out);
	*at = out->is_folder ? out->folder.end : *at + 1;
	return true;
}

bool browse_find(const struct browse_index *index, const struct browse_folder *folder, const char *name, uint64_t len, bool is_folder,
		 struct browse_child *out)
{
	uint64_t first;

	*out = (struct browse_child){ .name = name, .len = len, .is_folder = is_folder };
	first = bisect(index, folder, folder->first, out, 0);
	if (first == folder->end || place(index, folder, first, out) != 0)
		return false;
	fill(index, folder, first, out);
	return true;
}
