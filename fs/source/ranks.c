/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "fs/base/patience.h"
#include "fs/base/pool.h"
#include "fs/source/ranks.h"

#define THREADS 8 /* a distant filesystem takes its time over each folder, whatever the processors do */
#define FEW 32    /* folders that are listed before threads could be had */

static int list_names(const struct scan_list *list, struct arena *arena, struct ranks_folder *out, struct error *err)
{
	const char **names = arena_alloc(arena, list->count, sizeof(*names));
	uint64_t ckpt = 0;

	if (!names)
		return error_nomem(err);
	for (uint64_t i = 0; i < list->count; i++) {
		const struct scan_entry *e = &list->entries[i];

		if (!e->is_there || !step_is_weights(e->name))
			continue;
		names[out->count++] = e->name;
		ckpt += step_is_ckpt(e->name);
	}
	out->names = names;
	if (ckpt && ckpt < out->count)
		return error_set(err, -EINVAL, "%s: both .ckpt and .safetensors files; which of them is the checkpoint?", out->path);
	return 0;
}

/* Folders that several threads list; their ranks and paths are known. */
struct listing {
	struct ranks_folder *folders; /* [count] */
	atomic_bool *done;            /* [count] */
	uint64_t count;
	const struct fence *fence;
	struct arena *arena;
	pthread_mutex_t lock; /* of the arena, which takes over those of the threads */
};

/* What a thread fills. */
struct lister {
	struct listing *listing;
	struct arena *arena;
};

/* The first folder that is not listed yet. */
static const char *at_hand(void *arg)
{
	const struct listing *l = arg;

	for (uint64_t i = 0; i < l->count; i++)
		if (!atomic_load(&l->done[i]))
			return l->folders[i].path;
	return NULL;
}

static int list_folder(uint64_t index, void *state, void *arg, struct error *err)
{
	const struct listing *l = arg;
	const struct lister *own = state;
	struct ranks_folder *f = &l->folders[index];
	struct scan_list list;
	int code = scan_dir(f->path, l->fence, own->arena, &list, err);

	atomic_store(&l->done[index], true);
	return code < 0 ? code : list_names(&list, own->arena, f, err);
}

static void *lister_new(void *arg)
{
	struct lister *own = calloc(1, sizeof(*own));

	if (own)
		*own = (struct lister){ arg, arena_new() };
	if (own && own->arena)
		return own;
	free(own);
	return NULL;
}

static void lister_free(void *state)
{
	struct lister *own = state;

	pthread_mutex_lock(&own->listing->lock);
	arena_adopt(own->listing->arena, own->arena);
	pthread_mutex_unlock(&own->listing->lock);
	free(own);
}

static int list_all(struct ranks_folder *folders, uint64_t count, const struct fence *fence, struct arena *arena, struct error *err)
{
	struct listing l = { .folders = folders, .count = count, .fence = fence, .arena = arena, .lock = PTHREAD_MUTEX_INITIALIZER,
			     .done = arena_alloc(arena, count, sizeof(*l.done)) };
	struct pool_work work = { .count = count, .threads = count > FEW ? THREADS : 1, .task = list_folder, .arg = &l, .state_new = lister_new,
				  .state_free = lister_free };
	struct patience *patience;
	int code;

	if (!l.done)
		return error_nomem(err);
	patience = count ? patience_begin(at_hand, &l) : NULL;
	code = pool_run(&work, err);
	patience_end(patience);
	pthread_mutex_destroy(&l.lock);
	return code;
}

static int by_rank(const void *a, const void *b)
{
	const struct ranks_folder *x = a, *y = b;

	return x->rank < y->rank ? -1 : x->rank > y->rank;
}

int ranks_scan(const char *source, const struct scan_list *entries, struct arena *arena, struct ranks *out, struct error *err)
{
	struct ranks_folder *folders = arena_alloc(arena, entries->count, sizeof(*folders));
	uint64_t n = 0, rank;

	if (!folders)
		return error_nomem(err);
	for (uint64_t i = 0; i < entries->count; i++) {
		if (!entries->entries[i].is_dir || !step_rank_of_dir(entries->entries[i].name, &rank))
			continue;
		folders[n] = (struct ranks_folder){ .rank = (uint32_t)rank, .path = arena_printf(arena, "%s/%s", source, entries->entries[i].name) };
		if (!folders[n].path)
			return error_nomem(err);
		if (rank > INT32_MAX)
			return error_set(err, -EINVAL, "%s: no such rank: at most %d is possible", folders[n].path, INT32_MAX);
		n++;
	}

	int code = list_all(folders, n, entries->fence, arena, err);

	if (code < 0)
		return code;
	qsort(folders, n, sizeof(*folders), by_rank);
	for (uint64_t i = 1; i < n; i++)
		if (folders[i].rank == folders[i - 1].rank)
			return error_set(err, -EINVAL, "rank %u has two folders: %s and %s", folders[i].rank, folders[i - 1].path, folders[i].path);
	*out = (struct ranks){ folders, n };
	return 0;
}

/* An insertion sort, which is stable and quick here: nodes usually have one run of ranks each. */
int ranks_unite(const struct ranks *parts, uint64_t count, struct arena *arena, struct ranks *out, struct error *err)
{
	struct ranks_folder *all;
	uint64_t total = 0, n = 0;

	for (uint64_t p = 0; p < count; p++)
		total += parts[p].count;
	all = arena_alloc(arena, total, sizeof(*all));
	if (!all)
		return error_nomem(err);
	for (uint64_t p = 0; p < count; p++)
		for (uint64_t i = 0; i < parts[p].count; i++) {
			uint64_t at = n++;

			for (; at > 0 && all[at - 1].rank > parts[p].folders[i].rank; at--)
				all[at] = all[at - 1];
			all[at] = parts[p].folders[i];
		}
	*out = (struct ranks){ all, total };
	return 0;
}

static int newest_first(const void *a, const void *b)
{
	return step_compare(b, a);
}

int ranks_steps(const struct ranks *ranks, struct arena *arena, struct step **steps, uint64_t *count, struct error *err)
{
	uint64_t total = 0, n = 0;

	for (uint64_t r = 0; r < ranks->count; r++)
		total += ranks->folders[r].count;
	*steps = arena_alloc(arena, total, sizeof(**steps));
	if (!*steps)
		return error_nomem(err);
	for (uint64_t r = 0; r < ranks->count; r++)
		for (uint64_t i = 0; i < ranks->folders[r].count; i++)
			(*steps)[n++] = step_parse(ranks->folders[r].names[i]);
	qsort(*steps, n, sizeof(**steps), newest_first);
	*count = 0;
	for (uint64_t i = 0; i < n; i++)
		if (i == 0 || step_compare(&(*steps)[i], &(*steps)[i - 1]) != 0)
			(*steps)[(*count)++] = (*steps)[i];
	return 0;
}

static const char *path_of(const struct ranks_folder *f, const char *name, struct arena *arena)
{
	return arena_printf(arena, "%s/%s", f->path, name);
}

int ranks_at_step(const struct ranks *ranks, const struct step *step, struct arena *arena, const char **paths, struct error *err)
{
	for (uint64_t r = 0; r < ranks->count; r++) {
		const struct ranks_folder *f = &ranks->folders[r];
		const char *found = NULL;

		for (uint64_t i = 0; i < f->count; i++) {
			struct step have = step_parse(f->names[i]);

			if (step_compare(&have, step) != 0)
				continue;
			if (found)
				return error_set(err, -EINVAL, "%s: %s and %s are of one step; -o step=SUFFIX says which is meant", f->path, found,
						 f->names[i]);
			found = f->names[i];
		}
		paths[r] = found ? path_of(f, found, arena) : NULL;
		if (found && !paths[r])
			return error_nomem(err);
	}
	return 0;
}

int ranks_at_suffix(const struct ranks *ranks, const char *suffix, struct arena *arena, const char **paths, struct step *step,
		    struct error *err)
{
	const char *first = NULL;

	for (uint64_t r = 0; r < ranks->count; r++) {
		const struct ranks_folder *f = &ranks->folders[r];
		int64_t i = step_choose(f->names, f->count, suffix);

		paths[r] = NULL;
		if (i == -2)
			return error_set(err, -EINVAL, "%s: the names of several files end in \"%s\"; -o step= must name one", f->path, suffix);
		if (i < 0)
			continue;

		struct step have = step_parse(f->names[i]);

		paths[r] = path_of(f, f->names[i], arena);
		if (!paths[r])
			return error_nomem(err);
		if (first && step_compare(&have, step) != 0)
			return error_set(err, -EINVAL, "step=%s is not one step: %s and %s", suffix, first, paths[r]);
		first = first ? first : paths[r];
		*step = have;
	}
	if (!first)
		return error_set(err, -ENOENT, "no rank has a weights file whose name ends in \"%s\" (step=%s)", suffix, suffix);
	return 0;
}

const char *ranks_step_name(const struct step *step, struct arena *arena)
{
	if (!step->counted)
		return "(uncounted)";
	return step->task ? arena_printf(arena, "_%llu-%llu_%llu", (unsigned long long)step->task, (unsigned long long)step->epoch,
					 (unsigned long long)step->step) :
			    arena_printf(arena, "%llu_%llu", (unsigned long long)step->epoch, (unsigned long long)step->step);
}
