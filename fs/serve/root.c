/* SPDX-License-Identifier: Apache-2.0 */
/* The root of many is searched from end to end: it has as many entries as the training keeps steps. */
#include <stdlib.h>
#include <string.h>

#include "fs/serve/root.h"

bool root_is(struct hub *hub, const struct hub_node *at)
{
	return hub_is_many(hub) && at->of == hub_root(hub) && at->node->kind == TREE_DIR;
}

uint64_t root_number(const struct hub_node *at)
{
	return at->node->kind == TREE_DOOR ? tensors_number(at->model) : tree_number(at->tree, at->node);
}

/* The root of a model's own tree. */
static struct hub_node root_of(struct hub_model *m)
{
	return (struct hub_node){ m, m->model, &m->model->tree, m->model->tree.nodes };
}

struct hub_node root_parent(struct hub *hub, const struct hub_node *dir)
{
	const struct hub_node up = { dir->of, dir->model, dir->tree, &dir->tree->nodes[dir->node->parent] };

	if (dir->node != dir->tree->nodes)
		return up;
	return root_of(dir->tree == &dir->model->tree ? hub_root(hub) : dir->of);
}

struct search {
	struct hub *hub;
	const char *name;
	struct hub_model *found;
};

static bool match(struct hub_model *m, void *arg)
{
	struct search *s = arg;

	if (strcmp(m->name, s->name) != 0)
		return true;
	hub_hold(s->hub, m, 1);
	s->found = m;
	return false;
}

static bool find_model(struct hub *hub, const char *name, struct hub_node *out)
{
	struct search s = { .hub = hub, .name = name };

	hub_each(hub, match, &s);
	if (s.found)
		*out = root_of(s.found);
	return s.found;
}

bool root_enter(struct hub_node *at)
{
	const struct tree *inside;

	if (at->node->kind != TREE_DOOR)
		return true;
	inside = tensors_tree(at->model);
	if (!inside)
		return false;
	at->tree = inside;
	at->node = inside->nodes;
	return true;
}

/* Everything but the models: the nodes of the tree that `dir` is in. A door leads somewhere only where there are tensors. */
static void find_node(struct hub *hub, const struct hub_node *dir, const char *name, struct hub_node *out)
{
	const struct tree_node *node = tree_find(dir->tree, dir->node, name);
	char target[HUB_NAME];

	out->node = node;
	if (node && ((node->kind == TREE_LINK && !root_latest(hub, target)) || (node->kind == TREE_DOOR && tensors_numbers(dir->model) == 0)))
		out->node = NULL;
}

bool root_child(struct hub *hub, const struct hub_node *dir, const char *name, struct hub_node *out)
{
	*out = *dir;
	if (strcmp(name, "..") == 0)
		*out = root_parent(hub, dir);
	else if (strcmp(name, ".") != 0)
		find_node(hub, dir, name, out);
	if (!out->node)
		return root_is(hub, dir) && find_model(hub, name, out);
	hub_hold(hub, out->of, 1);
	return true;
}

struct newest {
	bool found;
	struct step step;
	char name[HUB_NAME];
	struct timespec mtime;
};

static bool take_newer(struct hub_model *m, void *arg)
{
	struct newest *newest = arg;

	if (!m->is_step || (newest->found && step_compare(&m->step, &newest->step) < 0))
		return true;
	newest->found = true;
	newest->step = m->step;
	newest->mtime = m->model->mtime;
	strcpy(newest->name, m->name);
	return true;
}

bool root_latest(struct hub *hub, char name[HUB_NAME])
{
	struct newest newest = { 0 };

	hub_each(hub, take_newer, &newest);
	strcpy(name, newest.name);
	return newest.found;
}

static bool add_up(struct hub_model *m, void *arg)
{
	struct root_sum *sum = arg;

	sum->models++;
	sum->nodes += m->model->tree.count;
	sum->bytes += m->model->tree.bytes;
	return true;
}

struct root_sum root_sum(struct hub *hub)
{
	const struct model *root = hub_root(hub)->model;
	struct root_sum sum = { .nodes = root->tree.count, .bytes = root->tree.bytes };
	struct newest newest = { .mtime = root->mtime };

	hub_each(hub, add_up, &sum);
	hub_each(hub, take_newer, &newest);
	sum.mtime = newest.mtime;
	return sum;
}

/* A list in the making: first it is only counted. */
struct listing {
	struct root_list *list;
	uint64_t count;
};

static bool count_one(struct hub_model *m, void *arg)
{
	(void)m;
	++*(uint64_t *)arg;
	return true;
}

static bool list_one(struct hub_model *m, void *arg)
{
	struct listing *l = arg;

	if (l->list->count == l->count)
		return false;

	struct root_entry *e = &l->list->entries[l->list->count++];

	*e = (struct root_entry){ .number = m->model->tree.base, .step = m->step, .is_step = m->is_step };
	strcpy(e->name, m->name);
	return true;
}

static int by_step(const void *a, const void *b)
{
	const struct root_entry *x = a, *y = b;

	return x->is_step && y->is_step ? step_compare(&x->step, &y->step) : x->is_step - y->is_step;
}

/* Models may come between counting and listing; those are not listed this time. */
struct root_list *root_list(struct hub *hub)
{
	const struct tree *tree = &hub_root(hub)->model->tree;
	struct listing l = { 0 };
	struct root_entry *link;

	hub_each(hub, count_one, &l.count);
	l.list = calloc(1, sizeof(*l.list) + (l.count + 1) * sizeof(*l.list->entries));
	if (!l.list)
		return NULL;
	hub_each(hub, list_one, &l);
	qsort(l.list->entries, l.list->count, sizeof(*l.list->entries), by_step);
	link = &l.list->entries[l.list->count];
	if (!root_latest(hub, link->name))
		return l.list;
	strcpy(link->name, tree->nodes[1].name);
	link->number = tree->base + 1;
	link->link = true;
	l.list->count++;
	return l.list;
}
