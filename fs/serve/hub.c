/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One count for each model says how often it is held: once by the hub while it is shown, and by the kernel's look-ups, open
 * files and requests at work. Who takes it to zero puts the model on the list of the dead; it is freed by the keeper, because closing
 * the last descriptor of a large deleted file can take a second, and threads that answer requests must not wait for that. Nothing
 * takes a count up from zero again.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "fs/serve/hub.h"

#define PAUSE 250 /* ms before the kernel is told of a retired model again; then twice that, and so on */
#define PAUSES 8  /* times that it doubles */

struct hub {
	pthread_rwlock_t lock;
	bool many;
	struct hub_model root;      /* held by nobody, there to the end */
	struct hub_model **list;    /* [count] by number, without the root and the dead; protected by the lock */
	uint64_t count, capacity;
	struct hub_model *dead;     /* protected by the lock */
	uint64_t next;              /* the keeper's: first number that was never used */
	int event;
	void (*tell)(void *arg, uint64_t parent, const char *name);
	void *tell_arg;
};

/* How many numbers a model takes. */
static uint64_t numbers_of(const struct model *m)
{
	return m->tree.count + tensors_numbers(m);
}

/* The root folder of many and the link in it; what else is in it are models. */
static int build_root(struct model *m, struct error *err)
{
	struct tree_node *nodes = arena_alloc(m->arena, 2, sizeof(*nodes));

	if (!nodes)
		return error_nomem(err);
	nodes[0] = (struct tree_node){ .name = "", .kind = TREE_DIR, .first = 1, .count = 1 };
	nodes[1] = (struct tree_node){ .name = "latest", .kind = TREE_LINK };
	m->tree = (struct tree){ .nodes = nodes, .count = 2, .base = HUB_ROOT };
	return 0;
}

/* Who waits to write goes first: readers come all the time. */
static int init_lock(pthread_rwlock_t *lock)
{
	pthread_rwlockattr_t attr;
	int rc = pthread_rwlockattr_init(&attr);

	if (rc != 0)
		return -rc;
	pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	rc = pthread_rwlock_init(lock, &attr);
	pthread_rwlockattr_destroy(&attr);
	return -rc;
}

struct hub *hub_new(struct model *root, bool many, struct error *err)
{
	struct hub *hub = calloc(1, sizeof(*hub));
	int rc = hub ? init_lock(&hub->lock) : -ENOMEM;

	if (rc < 0) {
		error_set(err, rc, "cannot make a list of models: %s", strerror(-rc));
		model_free(root);
		free(hub);
		return NULL;
	}
	hub->many = many;
	hub->root.model = root;
	hub->event = many ? eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK) : -1;
	if (many && hub->event < 0)
		rc = error_set(err, -errno, "cannot make an event: %s", strerror(errno));
	else
		rc = many ? build_root(root, err) : tree_build(&root->view, HUB_ROOT, root->arena, &root->tree, err);
	if (rc < 0) {
		hub_free(hub);
		return NULL;
	}
	hub->next = HUB_ROOT + numbers_of(root);
	return hub;
}

static void free_model(struct hub_model *m)
{
	model_free(m->model);
	free(m);
}

void hub_free(struct hub *hub)
{
	if (!hub)
		return;
	hub_reap(hub);
	for (uint64_t i = 0; i < hub->count; i++)
		free_model(hub->list[i]);
	model_free(hub->root.model);
	if (hub->event >= 0)
		close(hub->event);
	pthread_rwlock_destroy(&hub->lock);
	free(hub->list);
	free(hub);
}

void hub_set_tell(struct hub *hub, void (*tell)(void *arg, uint64_t parent, const char *name), void *arg)
{
	hub->tell = tell;
	hub->tell_arg = arg;
}

/* The lock is held for writing. */
static int make_room(struct hub *hub)
{
	uint64_t capacity = hub->capacity ? hub->capacity * 2 : 16;
	struct hub_model **list;

	if (hub->count < hub->capacity)
		return 0;
	list = reallocarray(hub->list, capacity, sizeof(*list));
	if (!list)
		return -ENOMEM;
	hub->list = list;
	hub->capacity = capacity;
	return 0;
}

static struct hub_model *new_model(struct hub *hub, struct model *model, const struct hub_as *as, struct error *err)
{
	struct tree_place place = as->place;
	struct hub_model *m = calloc(1, sizeof(*m));
	int rc = m ? 0 : error_nomem(err);

	place.base = hub->next;
	if (rc == 0 && strlen(as->name) >= sizeof(m->name))
		rc = error_set(err, -ENAMETOOLONG, "%s: too long a name", as->name);
	if (rc == 0)
		rc = tree_build_at(&model->view, &place, model->arena, &model->tree, err);
	if (rc < 0) {
		model_free(model);
		free(m);
		return NULL;
	}
	m->model = model;
	m->held = 1;
	strcpy(m->name, as->name);
	m->is_step = as->step;
	if (as->step)
		m->step = *as->step;
	return m;
}

static void tell_tree(const struct hub *hub, struct hub_model *m, const struct tree *tree)
{
	for (uint32_t i = 0; i < tree->count; i++)
		for (uint32_t c = 0; tree->nodes[i].kind == TREE_DIR && c < tree->nodes[i].count && atomic_load(&m->held) > 1; c++)
			hub->tell(hub->tell_arg, tree->base + i, tree->nodes[tree->nodes[i].first + c].name);
}

/*
 * Has the kernel drop the names of a retired model, from the root of its tree on: a file that is in use keeps its folders, but without
 * its name it is forgotten as soon as it is closed. Stops when nobody but the keeper holds the model. The lock must not be held:
 * the kernel may have to wait for a look-up to be answered first.
 */
static void tell(const struct hub *hub, struct hub_model *m)
{
	const struct tree *trees[] = { &m->model->tree, tensors_made(m->model) };

	m->told++;
	if (!hub->tell || atomic_load(&m->held) <= 1)
		return;
	hub->tell(hub->tell_arg, HUB_ROOT, m->name);
	for (int k = 0; k < 2; k++)
		if (trees[k])
			tell_tree(hub, m, trees[k]);
}

static void let_go(struct hub *hub, struct hub_model *m)
{
	tell(hub, m);
	hub_drop(hub, m, 1);
}

struct hub_model *hub_show(struct hub *hub, struct model *model, const struct hub_as *as, struct hub_model *instead, struct error *err)
{
	struct hub_model *m = new_model(hub, model, as, err);
	int rc;

	if (!m)
		return NULL;
	hub->next += numbers_of(model);
	pthread_rwlock_wrlock(&hub->lock);
	rc = make_room(hub);
	if (rc == 0) {
		hub->list[hub->count++] = m; /* its numbers are the highest */
		if (instead)
			instead->retired = true;
	}
	pthread_rwlock_unlock(&hub->lock);
	if (rc < 0) {
		free_model(m);
		error_nomem(err);
		return NULL;
	}
	if (instead)
		let_go(hub, instead);
	return m;
}

void hub_retire(struct hub *hub, struct hub_model *m)
{
	pthread_rwlock_wrlock(&hub->lock);
	m->retired = true;
	pthread_rwlock_unlock(&hub->lock);
	let_go(hub, m);
}

void hub_reap(struct hub *hub)
{
	struct hub_model *m, *next;
	eventfd_t ignored;

	if (hub->event >= 0)
		eventfd_read(hub->event, &ignored);
	pthread_rwlock_wrlock(&hub->lock);
	m = hub->dead;
	hub->dead = NULL;
	pthread_rwlock_unlock(&hub->lock);
	for (; m; m = next) {
		next = m->next_dead;
		free_model(m);
	}
}

int hub_event(const struct hub *hub)
{
	return hub->event;
}

/* The place of the last model whose numbers begin at or before `number`, or -1. The lock is held. */
static int64_t place_of(const struct hub *hub, uint64_t number)
{
	int64_t lo = 0, hi = (int64_t)hub->count;

	while (lo < hi) {
		int64_t mid = lo + (hi - lo) / 2;

		if (hub->list[mid]->model->tree.base <= number)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo - 1;
}

/* Moves a model that nobody holds from the list to the dead. */
static void bury(struct hub *hub, struct hub_model *m)
{
	pthread_rwlock_wrlock(&hub->lock);
	int64_t i = place_of(hub, m->model->tree.base);
	memmove(&hub->list[i], &hub->list[i + 1], (hub->count - (uint64_t)i - 1) * sizeof(*hub->list));
	hub->count--;
	m->next_dead = hub->dead;
	hub->dead = m;
	pthread_rwlock_unlock(&hub->lock);
	eventfd_write(hub->event, 1);
}

void hub_hold(struct hub *hub, struct hub_model *m, uint64_t count)
{
	if (m != &hub->root)
		atomic_fetch_add(&m->held, count);
}

void hub_drop(struct hub *hub, struct hub_model *m, uint64_t count)
{
	if (m != &hub->root && count > 0 && atomic_fetch_sub(&m->held, count) == count)
		bury(hub, m);
}

/* Holds a model unless nobody else does: then it is about to be buried. */
static bool hold_living(struct hub_model *m)
{
	uint64_t held = atomic_load(&m->held);

	while (held > 0)
		if (atomic_compare_exchange_weak(&m->held, &held, held + 1))
			return true;
	return false;
}

/* The first retired model behind `number`, held. */
static struct hub_model *next_retired(struct hub *hub, uint64_t number)
{
	struct hub_model *found = NULL;

	pthread_rwlock_rdlock(&hub->lock);
	for (uint64_t i = 0; i < hub->count && !found; i++)
		if (hub->list[i]->retired && hub->list[i]->model->tree.base > number && hold_living(hub->list[i]))
			found = hub->list[i];
	pthread_rwlock_unlock(&hub->lock);
	return found;
}

/* Each time the pause is twice as long: a reader may stay for hours. */
int64_t hub_prune(struct hub *hub, int64_t now)
{
	int64_t next = INT64_MAX;
	struct hub_model *m;

	for (uint64_t number = 0; (m = next_retired(hub, number)) != NULL; hub_drop(hub, m, 1)) {
		number = m->model->tree.base;
		if (m->due && m->due <= now)
			tell(hub, m);
		if (!m->due || m->due <= now)
			m->due = now + (PAUSE << (m->told < PAUSES ? m->told : PAUSES));
		next = m->due < next ? m->due : next;
	}
	return next;
}

/* The node of a model that has this number. One of tensors/ may come from before the tree was made: in a handle of an NFS client. */
static bool take(struct hub_model *m, uint64_t number, struct hub_node *out)
{
	const struct tree *tree = &m->model->tree;
	const struct tree_node *node = tree_get(tree, number);

	if (!node && tree->door && number == tensors_number(m->model) && !tensors_made(m->model))
		node = &tree->nodes[tree->door];
	else if (!node && (tree = tensors_tree(m->model)))
		node = tree_get(tree, number);
	*out = (struct hub_node){ m, m->model, tree, node };
	return node != NULL;
}

bool hub_get(struct hub *hub, uint64_t number, struct hub_node *out)
{
	struct hub_model *m = NULL;

	if (number - HUB_ROOT < numbers_of(hub->root.model))
		return take(&hub->root, number, out);
	pthread_rwlock_rdlock(&hub->lock);
	int64_t i = place_of(hub, number);
	if (i >= 0 && number - hub->list[i]->model->tree.base < numbers_of(hub->list[i]->model) && hold_living(hub->list[i]))
		m = hub->list[i];
	pthread_rwlock_unlock(&hub->lock);
	if (!m || take(m, number, out))
		return m;
	hub_drop(hub, m, 1);
	return false;
}

void hub_forget(struct hub *hub, uint64_t number, uint64_t count)
{
	struct hub_node at;

	if (hub_get(hub, number, &at))
		hub_drop(hub, at.of, count + 1);
}

bool hub_is_many(const struct hub *hub)
{
	return hub->many;
}

struct hub_model *hub_root(struct hub *hub)
{
	return &hub->root;
}

void hub_each(struct hub *hub, bool (*fn)(struct hub_model *m, void *arg), void *arg)
{
	bool more = true;

	pthread_rwlock_rdlock(&hub->lock);
	for (uint64_t i = 0; i < hub->count && more; i++)
		if (!hub->list[i]->retired)
			more = fn(hub->list[i], arg);
	pthread_rwlock_unlock(&hub->lock);
}

uint64_t hub_retired(struct hub *hub)
{
	uint64_t n = 0;

	pthread_rwlock_rdlock(&hub->lock);
	for (uint64_t i = 0; i < hub->count; i++)
		n += hub->list[i]->retired;
	pthread_rwlock_unlock(&hub->lock);
	return n;
}
