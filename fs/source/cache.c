/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See cache.h. The index is read-only while headers are read; all that is written in that time is learn()'s, which is called by one
 * thread at a time.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "fs/options/point.h"
#include "fs/source/cache.h"
#include "fs/source/cache_dir.h"
#include "layout/checkpoint/index_write.h"
#include "layout/formats/step.h"
#include "layout/view/fingerprint.h"

#define NAME_ROOM 64
#define IDS_MAX (UINT64_C(1) << 24)
#define UNKNOWN UINT32_MAX

struct cache {
	const struct options *options;
	enum cache_mode mode;
	struct arena *arena; /* of what lives as long as the cache */
	struct headers_cache hooks;
	struct cache_dir dir;
	char name[NAME_ROOM];
	time_t began;
	dev_t *ours; /* [ours_count] devices of our own mounts */
	uint64_t ours_count;

	struct bytes bytes;  /* malloc'ed: the index that was found */
	struct arena *link;  /* of `index`; NULL: there is none */
	struct index index;
	bool *kept;          /* [files of the index]: found, and to be kept */

	struct index_write *w; /* NULL until something is to be written */
	uint32_t *numbers;     /* [number_room] of headers in it, by id; UNKNOWN */
	uint64_t number_room;
	bool failed;           /* nothing will be written */

	const char **lies; /* [lie_count] */
	uint64_t lie_count, lie_room;
	struct cache_told told;
};

/* The path of a file as an index has it: below SOURCE where it is shared. */
static const char *key_of(const struct cache *c, const char *path, bool shared)
{
	for (uint32_t i = 0; shared && i < c->options->source.count; i++) {
		const char *source = c->options->source.item[i];
		size_t len = strlen(source);

		if (strcmp(path, source) == 0)
			return strrchr(path, '/') + 1;
		if (strncmp(path, source, len) == 0 && (path[len] == '/' || source[len - 1] == '/'))
			return path + len + (path[len] == '/');
	}
	return path;
}

static bool is_ours(const struct cache *c, dev_t device)
{
	for (uint64_t i = 0; i < c->ours_count; i++)
		if (c->ours[i] == device)
			return true;
	return false;
}

static bool matches(const struct index_file *f, const struct source_stamp *s, bool shared)
{
	if (f->size != s->size || f->seconds != s->mtime.tv_sec || f->nanos != (uint64_t)s->mtime.tv_nsec)
		return false;
	return shared || (f->dev == s->dev && f->ino == s->ino && f->changed_seconds == s->ctime.tv_sec &&
			  f->changed_nanos == (uint64_t)s->ctime.tv_nsec);
}

/* What the index has of a file as it is now, or NULL. */
static const struct index_file *look_up(const struct cache *c, const char *path, const struct source_stamp *stamp)
{
	const struct index_file *f = c->link ? index_find(&c->index, key_of(c, path, c->index.shared)) : NULL;
	bool is_ckpt;

	if (!f || !matches(f, stamp, c->index.shared) || is_ours(c, stamp->dev))
		return NULL;
	index_header(&c->index, f, &is_ckpt);
	return is_ckpt == step_is_ckpt(path) ? f : NULL;
}

static const struct ckpt *find(void *arg, const char *path, const struct source_stamp *stamp, uint64_t *entries)
{
	const struct cache *c = arg;
	const struct index_file *f = c->mode == CACHE_USE ? look_up(c, path, stamp) : NULL;
	bool is_ckpt;

	if (!f)
		return NULL;
	*entries = index_entries(&c->index, f);
	return index_header(&c->index, f, &is_ckpt);
}

/* Where the number of a header is kept; NULL when that cannot be. */
static uint32_t *number_of(struct cache *c, uint64_t id)
{
	uint64_t room = c->number_room ? c->number_room * 2 : 64;
	uint32_t *more;

	if (id < c->number_room)
		return &c->numbers[id];
	while (room <= id)
		room *= 2;
	more = id < IDS_MAX ? arena_alloc(c->arena, room, sizeof(*more)) : NULL;
	if (!more)
		return NULL;
	if (c->number_room)
		memcpy(more, c->numbers, c->number_room * sizeof(*more));
	for (uint64_t i = c->number_room; i < room; i++)
		more[i] = UNKNOWN;
	c->numbers = more;
	c->number_room = room;
	return &more[id];
}

static struct index_file stamped(const struct source_stamp *s, uint32_t header, bool shared)
{
	struct index_file f = { .size = s->size, .seconds = s->mtime.tv_sec, .nanos = (uint32_t)s->mtime.tv_nsec, .header = header };

	if (!shared) {
		f.dev = s->dev;
		f.ino = s->ino;
		f.changed_seconds = s->ctime.tv_sec;
		f.changed_nanos = (uint32_t)s->ctime.tv_nsec;
	}
	return f;
}

/* Remembers a file that was read. */
static int remember(struct cache *c, const char *path, const struct source_stamp *stamp, const struct ckpt *content, uint64_t id)
{
	bool shared = c->mode == CACHE_MAKE;
	uint32_t *number = number_of(c, id);
	struct index_file file;
	struct error ignored;

	c->w = c->w ? c->w : index_write_new(shared);
	if (!c->w || !number)
		return -ENOMEM;
	if (*number == UNKNOWN && index_write_header(c->w, content, step_is_ckpt(path), stamp->size, number, &ignored) < 0)
		return -ENOMEM;
	file = stamped(stamp, *number, shared);
	return index_write_file(c->w, key_of(c, path, shared), &file, &ignored);
}

/* Whether a file could be written to in the time that its mtime stands for. */
static bool is_young(const struct cache *c, const struct source_stamp *stamp)
{
	return stamp->mtime.tv_sec > c->began - CACHE_YOUNG;
}

static void compare(struct cache *c, const char *path, const struct source_stamp *stamp, const struct ckpt *content)
{
	const struct index_file *f = look_up(c, path, stamp);
	struct error why;
	const char **lies;
	bool is_ckpt;

	if (!f || index_differs(index_header(&c->index, f, &is_ckpt), content, &why) == 0)
		return;
	lies = arena_grow(c->arena, c->lies, c->lie_count, &c->lie_room, sizeof(*lies));
	if (!lies)
		return;
	c->lies = lies;
	c->lies[c->lie_count] = arena_printf(c->arena, "%s: its index %s is wrong: %s", path, c->told.path, why.msg);
	c->lie_count += c->lies[c->lie_count] != NULL;
}

/* Whether what is read is worth to be remembered at all. */
static bool remembers(const struct cache *c)
{
	return !c->failed && (c->mode == CACHE_MAKE || (c->mode == CACHE_USE && c->dir.kind == CACHE_DIR_FOLDER));
}

static void learn(void *arg, const char *path, const struct source_stamp *stamp, const struct ckpt *content, uint64_t id)
{
	struct cache *c = arg;
	const struct index_file *f = c->mode == CACHE_USE ? look_up(c, path, stamp) : NULL;

	if (c->mode == CACHE_COMPARE)
		compare(c, path, stamp, content);
	if (f) {
		c->kept[f - (const struct index_file *)c->index.at[INDEX_FILES]] = true;
		c->told.found++;
		return;
	}
	c->told.read++;
	if (!remembers(c))
		return;
	if (is_ours(c, stamp->dev))
		c->told.ours++;
	else if (is_young(c, stamp))
		c->told.young++;
	else
		c->failed = remember(c, path, stamp, content, id) < 0;
}

/* The name of the index for these files. */
static int name_index(struct cache *c, const char *const *paths, uint64_t count)
{
	struct fingerprint_state *state = fingerprint_begin();
	char hex[FINGERPRINT_TEXT];

	if (!state)
		return -ENOMEM;
	for (uint64_t i = 0; i < count; i++)
		fingerprint_add_text(state, paths[i]);
	fingerprint_write(fingerprint_end(state), hex);
	c->told.path = c->dir.path;
	if (c->dir.kind == CACHE_DIR_FILE)
		return 0;
	memcpy(c->name, hex, strlen(hex));
	memcpy(c->name + strlen(hex), ".index", sizeof(".index"));
	c->told.path = arena_printf(c->arena, "%s/%s", c->dir.path, c->name);
	return c->told.path ? 0 : -ENOMEM;
}

static void forget(struct cache *c)
{
	free((void *)c->bytes.ptr);
	c->bytes = (struct bytes){ NULL, 0 };
	arena_free(c->link);
	c->link = NULL;
	index_write_free(c->w);
	c->w = NULL;
}

/* Loads the index, if there is one. */
static int load(struct cache *c, struct error *err)
{
	int code = cache_dir_read(&c->dir, c->name, c->options->source.item[0], &c->bytes, err);

	if (code < 0)
		return code;
	c->link = arena_new();
	code = c->link ? index_parse((uint8_t *)c->bytes.ptr, c->bytes.len, c->link, &c->index, err) : error_nomem(err);
	if (code < 0)
		return error_prefix(err, code, "%s: not used", c->told.path);
	c->kept = arena_alloc(c->link, c->index.count[INDEX_FILES], sizeof(*c->kept));
	return c->kept ? 0 : error_nomem(err);
}

static int begin(struct cache *c, const char *const *paths, uint64_t count)
{
	struct error why;
	int code = cache_dir_find(c->options, c->arena, &c->dir);

	if (code == 0 && (c->dir.kind != CACHE_DIR_NONE || c->mode == CACHE_MAKE))
		code = point_devices(c->arena, &c->ours, &c->ours_count);
	if (code < 0 || c->dir.kind == CACHE_DIR_NONE || c->mode == CACHE_MAKE)
		return code;
	code = name_index(c, paths, count);
	if (code < 0)
		return code;
	c->told.named = c->dir.kind == CACHE_DIR_FILE;
	code = load(c, &why);
	if (code == 0)
		return 0;
	forget(c);
	if (code != -ENOENT || c->told.named)
		c->told.trouble = arena_strndup(c->arena, why.msg, strlen(why.msg));
	return 0;
}

struct cache *cache_begin(const struct options *o, enum cache_mode mode, const char *const *paths, uint64_t count)
{
	struct cache *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->options = o;
	c->mode = mode;
	c->began = time(NULL);
	c->hooks = (struct headers_cache){ find, learn, c };
	c->arena = arena_new();
	if (c->arena && begin(c, paths, count) == 0)
		return c;
	cache_free(c);
	return NULL;
}

void cache_free(struct cache *c)
{
	if (!c)
		return;
	forget(c);
	arena_free(c->arena);
	free(c);
}

const struct headers_cache *cache_hooks(const struct cache *c)
{
	return c ? &c->hooks : NULL;
}

void cache_rest(struct cache *c)
{
	if (c && (!c->w || c->failed))
		forget(c);
}

void cache_tell(const struct cache *c, struct cache_told *out)
{
	*out = c->told;
}

/* Puts the files that were found to those that were read. */
static int keep_found(struct cache *c, struct error *err)
{
	const struct index_file *files = c->link ? c->index.at[INDEX_FILES] : NULL;
	uint64_t headers = c->link ? c->index.count[INDEX_HEADERS] : 0;
	uint32_t *numbers = arena_alloc(c->arena, headers, sizeof(*numbers));
	int code = numbers ? 0 : error_nomem(err);

	for (uint64_t i = 0; code == 0 && i < headers; i++)
		numbers[i] = UNKNOWN;
	for (uint64_t i = 0; code == 0 && c->link && i < c->index.count[INDEX_FILES]; i++) {
		struct index_file f = files[i];
		bool is_ckpt;
		const struct ckpt *header = index_header(&c->index, &files[i], &is_ckpt);

		if (!c->kept[i])
			continue;
		if (numbers[f.header] == UNKNOWN)
			code = index_write_header(c->w, header, is_ckpt, f.size, &numbers[f.header], err);
		f.header = numbers[f.header];
		if (code == 0)
			code = index_write_file(c->w, index_path(&c->index, i), &f, err);
	}
	return code;
}

static int write_index(struct cache *c, struct error *err)
{
	struct text file = TEXT_EMPTY;
	int code = keep_found(c, err);

	if (code == 0)
		code = index_write_finish(c->w, &file, err);
	if (code == 0)
		code = cache_dir_write(&c->dir, c->name, (struct bytes){ (const uint8_t *)file.ptr, file.len }, err);
	text_free(&file);
	return code;
}

void cache_commit(struct cache *c, const struct log *log)
{
	struct error err;

	if (!c)
		return;
	if (c->told.trouble && log)
		log_warn(log, "%s", c->told.trouble);
	if (c->w && !c->failed && c->mode == CACHE_USE && write_index(c, &err) < 0 && log)
		log_warn(log, "%s", err.msg);
	forget(c);
}

int cache_save(struct cache *c, const char *path, struct cache_made *out, struct error *err)
{
	struct text file = TEXT_EMPTY;
	const struct index_head *head;
	int code = c->failed ? error_nomem(err) : 0;

	c->w = c->w ? c->w : index_write_new(true);
	if (code == 0)
		code = c->w ? index_write_finish(c->w, &file, err) : error_nomem(err);
	if (code == 0)
		code = cache_dir_save(path, (struct bytes){ (const uint8_t *)file.ptr, file.len }, err);
	if (code == 0) {
		head = (const void *)file.ptr;
		*out = (struct cache_made){ file.len, head->count[INDEX_FILES], head->count[INDEX_HEADERS] };
	}
	text_free(&file);
	forget(c);
	return code;
}

const char *const *cache_lies(const struct cache *c, uint64_t *count)
{
	*count = c->lie_count;
	return c->lies;
}
