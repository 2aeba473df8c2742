/* SPDX-License-Identifier: Apache-2.0 */
/* MindSpore writes one equal file for each rank of a stage; reading one of the equal ones is enough (as merge_pipeline_strategys does). */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <xxhash.h>

#include "fs/scan.h"
#include "fs/slurp.h"
#include "fs/strategies.h"

#define FILE_MAX (UINT64_C(256) << 20) /* bytes of one strategy file; real ones are a few megabytes */

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
	struct strategy_file *files; /* [count] distinct */
	XXH128_hash_t *hashes;
	uint64_t count;
	struct arena *arena;
	const struct fence *fence;
};

static bool is_new(struct reading *r, struct bytes text)
{
	XXH128_hash_t hash = XXH3_128bits(text.ptr, text.len);

	for (uint64_t i = 0; i < r->count; i++)
		if (XXH128_isEqual(hash, r->hashes[i]))
			return false;
	r->hashes[r->count] = hash;
	return true;
}

static int read_one(struct reading *r, const char *path, struct strategies *out, struct error *err)
{
	struct arena *scratch = arena_new();
	struct timespec mtime;
	struct bytes text;
	struct slurp how = { .arena = scratch, .max = FILE_MAX, .fence = r->fence, .mtime = &mtime };
	int code = scratch ? slurp_file(path, &how, &text, err) : error_nomem(err);

	if (code == 0 && later(&mtime, &out->newest))
		out->newest = mtime;
	if (code == 0 && is_new(r, text)) {
		struct strategy_file *file = &r->files[r->count++];

		code = scan_ends_in(path, ".json") ? strategy_parse_json(text, r->arena, file, err) : strategy_parse_pb(text, r->arena, file, err);
		file->path = path;
		if (code < 0)
			code = error_prefix(err, code, "strategy %s", path);
	}
	arena_free(scratch);
	return code;
}

static int read_all(struct found *f, struct strategies *out, struct error *err)
{
	struct reading r = { .arena = f->arena, .fence = f->fence };
	struct strategy *united;
	int code = 0;

	r.files = arena_alloc(f->arena, f->count, sizeof(*r.files));
	r.hashes = arena_alloc(f->arena, f->count, sizeof(*r.hashes));
	if (!r.files || !r.hashes)
		return error_nomem(err);
	for (uint64_t i = 0; code == 0 && i < f->count; i++)
		code = read_one(&r, f->paths[i], out, err);
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
