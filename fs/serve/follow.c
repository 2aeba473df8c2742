/* SPDX-License-Identifier: Apache-2.0 */
/* See follow.h. Newer steps are built before older ones: they are waited for. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/serve/follow.h"
#include "fs/source/found_iterations.h"
#include "fs/source/kinds.h"

/* A look at SOURCE. */
struct look {
	struct follow *f;
	struct arena *arena;
	struct ranks ranks;
	struct found found;
	bool iterations;              /* the steps are iterations, which have no rank folders */
	int strategy;                 /* what reading the strategy has said */
	struct error strategy_error;
};

static void free_step(struct follow_step *s)
{
	arena_free(s->arena);
	free(s);
}

/* True where a SOURCE is not made of rank folders, nor may become so. */
static bool holds_whole_tensors(const char *source, struct arena *arena)
{
	struct scan_list list;
	struct error ignored;
	int code = scan_dir(source, NULL, arena, &list, &ignored);

	for (uint64_t i = 0; code == 0 && i < list.count; i++)
		if (list.entries[i].is_file && scan_ends_in(list.entries[i].name, ".safetensors"))
			return true;
	return code == -ENOTDIR;
}

/* Steps of two kinds side by side: what is shown stays, and the user is told. */
static int check_kinds(const struct look *look, struct error *err)
{
	struct scan_list list;
	enum kinds kind;
	int code = scan_dir(look->f->options->source.item[0], look->f->options->fence, look->arena, &list, err);

	return code < 0 ? code : kinds_choose(look->f->options, &list, &kind, err);
}

static int read_source(struct look *look, struct error *err)
{
	struct follow *f = look->f;
	int code = check_kinds(look, err);

	if (code == 0)
		code = load_ranks(f->options, true, look->arena, &look->ranks, err);
	if (code == 0)
		code = found_steps(&look->ranks, look->arena, &look->found, err);
	if (code == 0 && look->ranks.count == 0) {
		code = found_iterations(f->options, look->arena, &look->ranks, &look->found, err);
		look->iterations = look->found.count > 0;
	}
	if (code < 0)
		return code;
	if (look->ranks.count && !look->iterations) {
		pthread_mutex_lock(&f->lock);
		look->strategy = load_base_strategy(f->base, &look->ranks, &look->strategy_error);
		pthread_mutex_unlock(&f->lock);
	}
	return 0;
}

/* Shows .gatherfs/, once more when a strategy has been found at last. */
static int show_beside(struct follow *f, struct error *err)
{
	static const struct hub_as as = { ".gatherfs", NULL, { .status = "status", .status_json = "status.json", .readme = "README" } };
	struct hub_model *shown;
	struct model *m;
	int code;

	if (f->beside && (f->beside->model->strategy || !f->base->strategy.strategy))
		return 0;
	code = load_beside(f->base, &m, err);
	if (code < 0)
		return code;
	shown = hub_show(f->hub, m, &as, f->beside, err);
	f->beside = shown ? shown : f->beside;
	return shown ? 0 : -EINVAL;
}

/* How many paths a step has, those of ranks without a file among them. */
static uint64_t slots(const struct look *look, const struct follow_step *s)
{
	return look->iterations ? s->found->count : look->ranks.count;
}

/* True when building the step would tell nothing new. Fewer files do not complete a step, but one of them may have broken it. */
static bool is_current(const struct follow_step *s, uint64_t ranks)
{
	if (s->state == FOLLOW_SHOWN)
		return s->seen.count == s->found->count && seen_sources(s->shown->model->sources);
	if (s->state == FOLLOW_NEW || s->again)
		return false;
	return (s->state == FOLLOW_INCOMPLETE || s->seen.count == s->found->count) && seen_has(&s->seen, s->found, ranks);
}

/* What a step has beside its files: where they come from. The status is that of all steps, and stands beside them. */
static const struct tree_place record_place = { .door = "tensors", .sources = ".gatherfs/sources.json", .layout = ".gatherfs/layout.json" };

static int build(struct look *look, const struct follow_step *s, struct hub_model **out, struct error *err)
{
	struct load_step step = { &look->ranks, &s->step, s->found->paths };
	struct hub_as as = { .name = s->name, .step = &s->step, .place = record_place };
	struct model *m;
	int code;

	if (s->found->problem)
		return error_set(err, -EINVAL, "%s", s->found->problem);
	if (look->strategy < 0) {
		*err = look->strategy_error;
		return -EIO; /* it is not the files' fault */
	}
	code = look->iterations ? load_one_iteration(look->f->base, s->name, &m, err) : load_one_step(look->f->base, &step, &m, err);
	if (code < 0)
		return code;
	*out = hub_show(look->f->hub, m, &as, s->shown, err);
	return *out ? 0 : -ENOMEM;
}

/* Notes why a step is not shown. */
static void leave_out(struct follow_step *next, int code, const struct error *err)
{
	const char *problem = next->found ? next->found->problem : NULL;

	next->state = code == -ENODATA || code == -ENOENT ? FOLLOW_INCOMPLETE : FOLLOW_BROKEN; /* rotation may be at work */
	next->shown = NULL;
	next->why = next->arena ? arena_strndup(next->arena, err->msg, strlen(err->msg)) : NULL;
	next->again = !next->why || problem || (code != -ENODATA && code != -EINVAL);
}

static void replace(struct follow *f, struct follow_step *s, const struct follow_step *next)
{
	struct arena *old = s->arena;

	pthread_mutex_lock(&f->lock);
	*s = *next;
	pthread_mutex_unlock(&f->lock);
	arena_free(old);
}

/* Stops showing a step that cannot be shown as it was, and says why. */
static void hide(struct follow *f, struct follow_step *s, struct follow_step *next, int code, const struct error *err)
{
	struct hub_model *shown = s->shown;
	bool known = s->why && strcmp(s->why, err->msg) == 0;

	leave_out(next, code, err);
	if (f->log && next->state == FOLLOW_BROKEN && !known)
		log_warn(f->log, "step %s is left out: %s", s->name, err->msg);
	replace(f, s, next);
	if (shown)
		hub_retire(f->hub, shown);
}

static void build_step(struct look *look, struct follow_step *s)
{
	struct follow_step next = *s;
	struct error err;
	int code;

	next.why = NULL;
	next.arena = arena_new();
	code = next.arena ? seen_note(s->found, slots(look, s), next.arena, &next.seen, &err) : error_nomem(&err);
	if (code == 0)
		code = build(look, s, &next.shown, &err);
	if (code < 0) {
		hide(look->f, s, &next, code, &err);
		return;
	}
	next.state = FOLLOW_SHOWN;
	next.again = false;
	replace(look->f, s, &next);
}

static struct follow_step *find(const struct follow *f, const struct step *step)
{
	for (uint64_t i = 0; i < f->count; i++)
		if (step_compare(&f->steps[i]->step, step) == 0)
			return f->steps[i];
	return NULL;
}

/* The lock is held. */
static int append(struct follow *f, const struct found_step *found)
{
	struct follow_step *s;

	if (f->count == f->capacity) {
		uint64_t capacity = f->capacity ? f->capacity * 2 : 16;
		struct follow_step **bigger = reallocarray(f->steps, capacity, sizeof(*bigger));

		if (!bigger)
			return -ENOMEM;
		f->steps = bigger;
		f->capacity = capacity;
	}
	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	s->step = found->step;
	s->found = found;
	strncpy(s->name, found->name, sizeof(s->name) - 1);
	f->steps[f->count++] = s;
	return 0;
}

static int newest_first(const void *a, const void *b)
{
	struct follow_step *const *x = a, *const *y = b;

	return step_compare(&(*y)->step, &(*x)->step);
}

/* Notes which steps are there. A step that finds no memory is found again the next time. */
static void note_found(struct look *look)
{
	struct follow *f = look->f;

	pthread_mutex_lock(&f->lock);
	for (uint64_t i = 0; i < f->count; i++)
		f->steps[i]->found = NULL;
	for (uint64_t i = 0; i < look->found.count; i++) {
		struct follow_step *s = find(f, &look->found.steps[i].step);

		if (s)
			s->found = &look->found.steps[i];
		else if (append(f, &look->found.steps[i]) < 0)
			break;
	}
	if (f->count)
		qsort(f->steps, f->count, sizeof(*f->steps), newest_first);
	pthread_mutex_unlock(&f->lock);
}

/* Forgets the steps that are no longer there. */
static void drop_gone(struct follow *f)
{
	for (uint64_t i = f->count; i-- > 0;) {
		struct follow_step *s = f->steps[i];

		if (s->found)
			continue;
		pthread_mutex_lock(&f->lock);
		memmove(&f->steps[i], &f->steps[i + 1], (f->count - i - 1) * sizeof(*f->steps));
		f->count--;
		pthread_mutex_unlock(&f->lock);
		if (s->shown)
			hub_retire(f->hub, s->shown);
		free_step(s);
	}
}

/* SOURCE cannot be listed: steps whose files are all in place stay. */
static void hide_changed(struct follow *f, const struct error *err)
{
	for (uint64_t i = 0; i < f->count; i++) {
		struct follow_step *s = f->steps[i], next = *s;

		if (!s->shown || seen_sources(s->shown->model->sources))
			continue;
		next.arena = arena_new();
		next.seen.count = 0;
		next.found = NULL; /* it is of the last look */
		hide(f, s, &next, -EIO, err);
	}
}

static void update(struct look *look)
{
	struct follow *f = look->f;

	note_found(look);
	drop_gone(f);
	for (uint64_t i = 0; i < f->count && !f->stop; i++)
		if (!is_current(f->steps[i], slots(look, f->steps[i])))
			build_step(look, f->steps[i]);
}

static void note_trouble(struct follow *f, const struct error *err)
{
	if (f->log && err && strcmp(f->trouble.msg, err->msg) != 0)
		log_warn(f->log, "%s", err->msg);
	pthread_mutex_lock(&f->lock);
	f->trouble = err ? *err : (struct error){ .msg = "" };
	pthread_mutex_unlock(&f->lock);
}

static void keep_ranks(struct look *look)
{
	arena_free(look->f->arena);
	look->f->arena = look->arena;
	look->f->ranks = look->ranks;
}

void follow_look(struct follow *f)
{
	struct look look = { .f = f, .arena = arena_new() };
	struct error err;
	int code = look.arena ? read_source(&look, &err) : error_nomem(&err);

	if (code < 0) {
		note_trouble(f, &err);
		hide_changed(f, &err);
		arena_free(look.arena);
		return;
	}
	code = show_beside(f, &err);
	note_trouble(f, look.strategy < 0 ? &look.strategy_error : code < 0 ? &err : NULL);
	update(&look);
	keep_ranks(&look);
}

/* What is wrong with SOURCE as a whole is the user's to know. Rank folders need not be there yet. */
static int check_source(struct look *look, int code, struct error *err)
{
	const struct options_list *sources = &look->f->options->source;

	for (uint32_t i = 0; look->ranks.count == 0 && i < sources->count; i++)
		if (holds_whole_tensors(sources->item[i], look->arena))
			return error_set(err, -EINVAL, "%s holds whole tensors of one step: steps=all is for rank folders", sources->item[i]);
	if (code == 0 && look->strategy < 0)
		*err = look->strategy_error;
	return code < 0 ? code : look->strategy;
}

static int look_first(struct follow *f, struct error *err)
{
	struct look look = { .f = f, .arena = arena_new() };
	int code = look.arena ? read_source(&look, err) : error_nomem(err);

	if (look.arena)
		code = check_source(&look, code, err);
	if (code == 0)
		code = show_beside(f, err);
	if (code < 0) {
		arena_free(look.arena);
		return code;
	}
	update(&look);
	keep_ranks(&look);
	return 0;
}

static int begin(struct follow *f, struct error *err)
{
	struct model *root;
	int code = load_base_new(f->options, &f->base, err);

	if (code == 0)
		code = load_base_target(f->base, err);
	if (code == 0)
		code = load_beside(f->base, &root, err);
	if (code < 0)
		return code;
	f->hub = hub_new(root, true, err);
	return f->hub ? look_first(f, err) : -ENOMEM;
}

int follow_new(const struct options *options, struct follow **out, struct error *err)
{
	struct follow *f = calloc(1, sizeof(*f));
	int code;

	if (!f)
		return error_nomem(err);
	f->options = options;
	pthread_mutex_init(&f->lock, NULL);
	code = begin(f, err);
	if (code < 0)
		follow_free(f);
	else
		*out = f;
	return code;
}

void follow_free(struct follow *f)
{
	if (!f)
		return;
	hub_free(f->hub);
	load_base_free(f->base);
	for (uint64_t i = 0; i < f->count; i++)
		free_step(f->steps[i]);
	arena_free(f->arena);
	pthread_mutex_destroy(&f->lock);
	free(f->steps);
	free(f);
}
