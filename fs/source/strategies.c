/* SPDX-License-Identifier: Apache-2.0 */
/* MindSpore writes one equal file for each rank of a stage; reading one of the equal ones is enough (as merge_pipeline_strategys does). */
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fs/base/buffer.h"
#include "fs/base/patience.h"
#include "fs/base/pool.h"
#include "fs/source/scan.h"
#include "fs/source/slurp.h"
#include "fs/source/strategies.h"

#define THREADS 8

/* The files to read, collected from names and folders. */
struct found {
	const char **paths;
	uint64_t count, room;
	bool ckpt, json; /* kinds seen */
	struct arena *arena;
	const struct fence *fence;
};

static int add_path(struct found *f, const char *path, struct error *err)
{
	const char **paths = arena_grow(f->arena, f->paths, f->count, &f->room, sizeof(*paths));

	if (!paths)
		return error_nomem(err);
	f->paths = paths;
	if (!path)
		return error_nomem(err);
	f->paths[f->count++] = path;
	f->json |= scan_ends_in(path, ".json");
	f->ckpt |= !scan_ends_in(path, ".json");
	if (f->json && f->ckpt)
		return error_set(err, -EINVAL, "%s: .ckpt and .json strategies together; which of them is the strategy?", path);
	return 0;
}

static int add_folder(struct found *f, const char *path, struct error *err)
{
	struct scan_list list;
	uint64_t before = f->count;
	int code = scan_dir(path, f->fence, f->arena, &list, err);

	for (uint64_t i = 0; code == 0 && i < list.count; i++) {
		const struct scan_entry *e = &list.entries[i];

		if (e->is_there && (scan_ends_in(e->name, ".ckpt") || scan_ends_in(e->name, ".json")))
			code = add_path(f, arena_printf(f->arena, "%s/%s", path, e->name), err);
	}
	if (code == 0 && f->count == before)
		return error_set(err, -ENOENT, "%s: no strategy in it: expected .ckpt or .json files", path);
	return code;
}

static int add_named(struct found *f, const char *path, struct error *err)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return error_set(err, -errno, "strategy %s: %s", path, strerror(errno));
	return S_ISDIR(st.st_mode) ? add_folder(f, path, err) : add_path(f, path, err);
}

static bool is_dir(const char *path)
{
	struct stat st;

	return path && stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* A folder that several SOURCEs lie beside is read once. */
static bool is_read(const struct found *f, const char *folder)
{
	size_t len = strlen(folder);

	for (uint64_t i = 0; i < f->count; i++)
		if (strncmp(f->paths[i], folder, len) == 0 && f->paths[i][len] == '/')
			return true;
	return false;
}

static bool is_file(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

static int look_up(struct found *f, const char *source, struct error *err)
{
	const char *slash = strrchr(source, '/');
	const char *beside = arena_printf(f->arena, "%.*s/strategy", slash ? (int)(slash - source) : 0, source);
	const char *inside = arena_printf(f->arena, "%s/strategy", source);
	const char *shown = arena_printf(f->arena, "%s/.gatherfs/" STRATEGIES_SHOWN, source);
	const char *folder;

	if (!beside || !inside || !shown)
		return error_nomem(err);
	if (is_file(shown))
		return add_path(f, shown, err);
	if (is_dir(beside) && is_dir(inside))
		return error_set(err, -EINVAL, "two strategies: %s and %s; -o strategy= says which is meant", beside, inside);
	folder = is_dir(beside) ? beside : is_dir(inside) ? inside : NULL;
	return folder && !is_read(f, folder) ? add_folder(f, folder, err) : 0;
}

static int look_up_all(struct found *f, const struct options_list *sources, bool optional, struct error *err)
{
	int code = 0;

	for (uint32_t i = 0; code == 0 && i < sources->count; i++)
		code = look_up(f, sources->item[i], err);
	if (code < 0 || f->count || optional)
		return code;
	return error_set(err, -ENOENT, "%s: no strategy: there is no folder \"strategy\" beside it or in it; -o strategy=FILE|DIR names it, "
			 "-o strategy=none says that every rank holds whole tensors", sources->item[0]);
}

static bool later(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec > b->tv_sec || (a->tv_sec == b->tv_sec && a->tv_nsec > b->tv_nsec);
}

/* Files read so far, and what tells equal ones. */
struct reading {
	const struct found *found;
	struct strategy_file *files; /* [count] distinct */
	uint64_t *first;             /* [count] where each is among the files that were found */
	uint64_t count;
	struct hashed {
		struct fingerprint print;
		struct timespec mtime;
		atomic_bool done;
	} *hashed;                   /* [found->count] */
};

/* The first file that is not read yet. */
static const char *at_hand(void *arg)
{
	const struct reading *r = arg;

	for (uint64_t i = 0; i < r->found->count; i++)
		if (!atomic_load(&r->hashed[i].done))
			return r->found->paths[i];
	return NULL;
}

static int hash_one(uint64_t index, void *state, void *arg, struct error *err)
{
	const struct reading *r = arg;
	struct slurp how = { .max = STRATEGIES_FILE_MAX, .fence = r->found->fence, .mtime = &r->hashed[index].mtime };
	int code = slurp_fingerprint(r->found->paths[index], &how, state, &r->hashed[index].print, err);

	atomic_store(&r->hashed[index].done, true);
	return code;
}

static void *room_new(void *arg)
{
	(void)arg;
	return buffer_new(SLURP_ROOM);
}

/* The text of a file that was hashed, if it is still the same. */
static int read_text(const struct reading *r, uint64_t index, struct arena *scratch, struct bytes *text, struct error *err)
{
	const char *path = r->found->paths[index];
	struct slurp how = { .arena = scratch, .max = STRATEGIES_FILE_MAX, .fence = r->found->fence };
	int code = slurp_file(path, &how, text, err);
	struct fingerprint_state *state = code == 0 ? fingerprint_begin() : NULL;

	if (code < 0 || !state)
		return code < 0 ? code : error_nomem(err);
	fingerprint_add(state, text->ptr, text->len);
	if (!fingerprint_equal(fingerprint_end(state), r->hashed[index].print))
		return error_set(err, -EBUSY, "strategy %s: changed while it was read", path);
	return 0;
}

static bool is_new(const struct reading *r, uint64_t index)
{
	for (uint64_t i = 0; i < r->count; i++)
		if (fingerprint_equal(r->hashed[index].print, r->hashed[r->first[i]].print))
			return false;
	return true;
}

/* Reads a file, the first of its equals, again. */
static int parse_one(struct reading *r, uint64_t index, struct error *err)
{
	const char *path = r->found->paths[index];
	struct arena *scratch = arena_new(), *arena = r->found->arena;
	struct strategy_file *file = &r->files[r->count];
	struct bytes text;
	int code = scratch ? read_text(r, index, scratch, &text, err) : error_nomem(err);

	if (code == 0) {
		code = scan_ends_in(path, ".json") ? strategy_parse_json(text, arena, file, err) : strategy_parse_pb(text, arena, file, err);
		if (code < 0)
			error_prefix(err, code, "strategy %s", path);
	}
	arena_free(scratch);
	file->path = path;
	r->first[r->count++] = index;
	return code;
}

static int parse_all(struct reading *r, struct strategies *out, struct error *err)
{
	int code = 0;

	for (uint64_t i = 0; code == 0 && i < r->found->count; i++) {
		if (later(&r->hashed[i].mtime, &out->newest))
			out->newest = r->hashed[i].mtime;
		if (is_new(r, i))
			code = parse_one(r, i, err);
	}
	return code;
}

/* All files are hashed by several threads first, for a distant filesystem takes its time over each; then one of each kind is parsed. */
static int read_all(const struct found *f, struct strategies *out, struct error *err)
{
	struct reading r = { .found = f };
	struct pool_work work = { .count = f->count, .threads = THREADS, .task = hash_one, .arg = &r, .state_new = room_new, .state_free = free };
	struct patience *patience;
	struct strategy *united;
	int code;

	r.files = arena_alloc(f->arena, f->count, sizeof(*r.files));
	r.first = arena_alloc(f->arena, f->count, sizeof(*r.first));
	r.hashed = arena_alloc(f->arena, f->count, sizeof(*r.hashed));
	if (!r.files || !r.first || !r.hashed)
		return error_nomem(err);
	patience = patience_begin(at_hand, &r);
	code = pool_run(&work, err);
	patience_end(patience);
	if (code == 0)
		code = parse_all(&r, out, err);
	if (code == 0)
		code = strategy_unite(r.files, r.count, f->arena, &united, err);
	if (code == 0)
		out->strategy = united;
	return code;
}

int strategies_load(const struct strategies_look *look, struct arena *arena, struct strategies *out, struct error *err)
{
	const struct options_list *named = look->named;
	struct found f = { .arena = arena, .fence = look->fence };
	int code = 0;

	*out = (struct strategies){ 0 };
	for (uint32_t i = 0; code == 0 && i < named->count; i++)
		code = add_named(&f, named->item[i], err);
	if (code == 0 && named->count == 0)
		code = look_up_all(&f, look->sources, look->optional, err);
	if (code == 0 && f.count)
		code = read_all(&f, out, err);
	out->paths = f.paths;
	out->count = f.count;
	return code;
}
