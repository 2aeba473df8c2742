/* SPDX-License-Identifier: Apache-2.0 */
/* The hub without FUSE: a fake kernel holds numbers and forgets them; a model is freed when its file is closed, which can be seen. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "fs/serve/root.h"

#define FILES 3
#define MANY 200
#define THREADS 4

/* A model of FILES files, and one source, whose descriptor tells whether the model is there. */
static struct model *new_model(int *fd)
{
	static const char *const paths[FILES] = { "a", "folder/b", "folder/c" };
	static const struct image image = { .size = 10 };
	struct model *m = model_new();
	struct error err;
	uint32_t source;

	for (int i = 0; i < FILES; i++)
		cr_assert_eq(view_add(&m->view, m->arena, paths[i], &image, &err), 0);
	cr_assert_eq(source_open(m->sources, "/proc/self/exe", &source, &err), 0);
	if (fd)
		*fd = m->sources->list[0].fd;
	return m;
}

static bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

static struct hub *new_hub(void)
{
	struct error err;
	struct hub *hub = hub_new(model_new(), true, &err);

	cr_assert(hub, "%s", err.msg);
	return hub;
}

static struct hub_model *show(struct hub *hub, uint64_t number, int *fd, struct hub_model *instead)
{
	char name[32];
	struct step step = { .counted = true, .epoch = 1, .step = number };
	struct hub_as as = { .name = name, .step = &step };
	struct hub_model *m;
	struct error err;

	snprintf(name, sizeof(name), "1_%d", (int)number);
	m = hub_show(hub, new_model(fd), &as, instead, &err);
	cr_assert(m, "%s", err.msg);
	return m;
}

static struct hub_node root_of(struct hub *hub)
{
	struct hub_node at;

	cr_assert(hub_get(hub, HUB_ROOT, &at));
	return at;
}

/* Looks a name up in the root, as the kernel does; its number, 0 when it is not there. */
static uint64_t look_up(struct hub *hub, const char *name)
{
	struct hub_node root = root_of(hub), at;

	return root_child(hub, &root, name, &at) ? root_number(&at) : 0;
}

Test(hub, one_model)
{
	struct error err;
	int fd;
	struct hub *hub = hub_new(new_model(&fd), false, &err);
	struct hub_node root, at, up;

	cr_assert(hub);
	root = root_of(hub);
	cr_assert_eq(hub_event(hub), -1);
	cr_assert_not(root_is(hub, &root), "the root of one model stays as it is");
	cr_assert(root_child(hub, &root, "folder", &at));
	up = root_parent(hub, &at);
	cr_assert_eq(root_number(&up), HUB_ROOT);
	cr_assert(root_child(hub, &at, "c", &at));
	cr_assert(hub_get(hub, root_number(&at), &up));
	cr_assert_str_eq(up.node->name, "c");
	cr_assert_not(root_child(hub, &root, "x", &at));
	cr_assert_not(hub_get(hub, root_number(&up) + 100, &at));
	cr_assert_not(hub_get(hub, 0, &at));
	for (int i = 0; i < 10; i++)
		hub_forget(hub, HUB_ROOT, 5); /* the kernel forgets a root it has never looked up, at the end */
	cr_assert(is_open(fd));
	hub_free(hub);
	cr_assert_not(is_open(fd));
}

Test(hub, freed_when_nobody_holds_it)
{
	struct hub *hub = new_hub();
	int fd;
	struct hub_model *m = show(hub, 1, &fd, NULL);
	uint64_t number = look_up(hub, "1_1");
	struct hub_node at, open;

	cr_assert_neq(number, 0);
	cr_assert_eq(look_up(hub, "1_1"), number);
	cr_assert(hub_get(hub, number, &open)); /* a file that is open */
	hub_retire(hub, m);
	hub_reap(hub);
	cr_assert_eq(look_up(hub, "1_1"), 0, "a retired model has no name");
	cr_assert(hub_get(hub, number, &at), "but numbers");
	hub_drop(hub, at.of, 1);
	cr_assert_eq(hub_retired(hub), 1);
	hub_forget(hub, number, 1);
	hub_reap(hub);
	cr_assert(is_open(fd), "one of two look-ups is forgotten");
	hub_forget(hub, number, 1);
	hub_reap(hub);
	cr_assert(is_open(fd), "the file is open");
	hub_drop(hub, open.of, 1);
	cr_assert_not(hub_get(hub, number, &at), "nobody holds it");
	cr_assert(is_open(fd), "the keeper frees");
	hub_reap(hub);
	cr_assert_not(is_open(fd));
	cr_assert_eq(hub_retired(hub), 0);
	hub_free(hub);
}

Test(hub, forgotten_while_shown)
{
	struct hub *hub = new_hub();
	int fd;
	struct hub_model *m = show(hub, 1, &fd, NULL);

	for (int i = 0; i < 3; i++) {
		uint64_t number = look_up(hub, "1_1");

		hub_forget(hub, number, 1);
		hub_reap(hub);
		cr_assert(is_open(fd), "it is shown");
	}
	hub_retire(hub, m);
	hub_reap(hub);
	cr_assert_not(is_open(fd));
	hub_free(hub);
}

Test(hub, numbers_are_never_used_again)
{
	struct hub *hub = new_hub();
	struct hub_model *m = NULL;
	struct hub_node at;
	uint64_t last = HUB_ROOT;

	for (int i = 0; i < 50; i++) {
		m = show(hub, 1, NULL, m); /* the same name each time */
		uint64_t number = look_up(hub, "1_1");
		cr_assert_gt(number, last);
		cr_assert_not(i > 0 && hub_get(hub, last, &at), "the old number");
		hub_forget(hub, number, 1);
		hub_reap(hub);
		last = number;
	}
	hub_free(hub);
}

Test(hub, latest_and_listing)
{
	static const uint64_t order[] = { 20, 100, 3 };
	static const char *const names[] = { "beside", "1_3", "1_20", "1_100", "latest" };
	struct hub *hub = new_hub();
	struct hub_node root = root_of(hub), at;
	struct hub_model *m[3];
	struct hub_as as = { .name = "beside" };
	struct root_list *list;
	struct root_sum sum;
	struct error err;
	char latest[HUB_NAME];

	cr_assert(root_is(hub, &root));
	cr_assert_not(root_latest(hub, latest));
	cr_assert_not(root_child(hub, &root, "latest", &at));
	cr_assert(hub_show(hub, new_model(NULL), &as, NULL, &err));
	cr_assert_not(root_latest(hub, latest), "what is no step is not the latest");
	for (int i = 0; i < 3; i++)
		m[i] = show(hub, order[i], NULL, NULL);
	cr_assert(root_latest(hub, latest));
	cr_assert_str_eq(latest, "1_100");
	cr_assert(root_child(hub, &root, "latest", &at));
	cr_assert_eq(at.node->kind, TREE_LINK);
	list = root_list(hub);
	cr_assert_eq(list->count, 5);
	for (int i = 0; i < 5; i++) {
		cr_assert_str_eq(list->entries[i].name, names[i]);
		cr_assert_eq(list->entries[i].link, i == 4);
		cr_assert_eq(list->entries[i].number, look_up(hub, names[i]));
	}
	free(list);
	sum = root_sum(hub);
	cr_assert_eq(sum.models, 4);
	cr_assert_eq(sum.bytes, 4 * FILES * 10);
	hub_retire(hub, m[1]);
	cr_assert(root_latest(hub, latest));
	cr_assert_str_eq(latest, "1_20");
	hub_free(hub);
}

Test(hub, dots)
{
	struct hub *hub = new_hub();
	struct hub_node root = root_of(hub), step, folder, at;

	show(hub, 1, NULL, NULL);
	cr_assert(root_child(hub, &root, "1_1", &step));
	cr_assert(root_child(hub, &step, "folder", &folder));
	cr_assert(root_child(hub, &folder, "..", &at));
	cr_assert_eq(root_number(&at), root_number(&step));
	cr_assert(root_child(hub, &folder, ".", &at));
	cr_assert_eq(root_number(&at), root_number(&folder));
	cr_assert(root_child(hub, &step, "..", &at));
	cr_assert_eq(root_number(&at), HUB_ROOT);
	cr_assert(root_child(hub, &root, "..", &at));
	cr_assert_eq(root_number(&at), HUB_ROOT);
	cr_assert_not(root_child(hub, &step, "latest", &at));
	hub_free(hub);
}

/* What the kernel was told. */
struct told {
	char text[256];
	struct hub *hub;
	uint64_t forget;  /* once told of the root's entry, it forgets a look-up of this number */
};

static void tell(void *arg, uint64_t parent, const char *name)
{
	struct told *t = arg;

	sprintf(t->text + strlen(t->text), "%d/%s ", (int)parent, name);
	if (t->forget)
		hub_forget(t->hub, t->forget, 1);
	t->forget = 0;
}

Test(hub, the_kernel_is_told)
{
	struct hub *hub = new_hub();
	struct told told = { .hub = hub };
	int fd;
	struct hub_model *m = show(hub, 1, &fd, NULL), *next;
	uint64_t number = look_up(hub, "1_1");
	char all[128];

	hub_set_tell(hub, tell, &told);
	sprintf(all, "1/1_1 %d/a %d/folder %d/b %d/c ", (int)number, (int)number, (int)number + 2, (int)number + 2);
	next = show(hub, 1, NULL, m);
	cr_assert_str_eq(told.text, all);
	cr_assert_eq(hub_prune(hub, 1000), 1500);
	cr_assert_eq(hub_prune(hub, 1499), 1500);
	cr_assert_str_eq(told.text, all, "told too early");
	cr_assert_eq(hub_prune(hub, 1500), 2500);
	cr_assert_eq(strlen(told.text), 2 * strlen(all), "told again: %s", told.text);
	*told.text = '\0';
	told.forget = number;
	cr_assert_eq(hub_prune(hub, 2500), 4500);
	cr_assert_str_eq(told.text, "1/1_1 ", "it goes on though nobody holds the model");
	hub_reap(hub);
	cr_assert_not(is_open(fd));
	cr_assert_eq(hub_prune(hub, 9999), INT64_MAX);
	*told.text = '\0';
	hub_retire(hub, next);
	cr_assert_str_eq(told.text, "", "the kernel never knew it");
	hub_free(hub);
}

/* A thread that is a kernel: looks names up, holds what it finds for a while, and forgets it. */
struct client {
	struct hub *hub;
	atomic_bool *stop;
	uint64_t found;
};

static void *be_kernel(void *arg)
{
	struct client *c = arg;
	uint64_t held[16] = { 0 };

	for (unsigned i = 0; !*c->stop || i < 64; i++) {
		struct hub_node root = root_of(c->hub), at;
		uint64_t *slot = &held[i % 16];
		char name[HUB_NAME];

		if (*slot) {
			if (!hub_get(c->hub, *slot, &at) || fcntl(at.model->sources->list[0].fd, F_GETFD) < 0 || root_number(&at) != *slot)
				return NULL; /* what is held must be there */
			hub_drop(c->hub, at.of, 1);
			hub_forget(c->hub, *slot, 1);
		}
		*slot = root_latest(c->hub, name) && root_child(c->hub, &root, name, &at) ? root_number(&at) : 0;
		c->found += *slot != 0;
	}
	for (int i = 0; i < 16; i++)
		if (held[i])
			hub_forget(c->hub, held[i], 1);
	return c;
}

Test(hub, threads)
{
	struct hub *hub = new_hub();
	atomic_bool stop = false;
	struct client clients[THREADS];
	pthread_t threads[THREADS];
	struct hub_model *m = NULL;
	void *well;

	for (int i = 0; i < THREADS; i++) {
		clients[i] = (struct client){ .hub = hub, .stop = &stop };
		pthread_create(&threads[i], NULL, be_kernel, &clients[i]);
	}
	for (int i = 0; i < MANY; i++) {
		struct hub_model *next = show(hub, (uint64_t)i / 2, NULL, i % 2 ? m : NULL);

		if (m && i % 2 == 0)
			hub_retire(hub, m);
		m = next;
		usleep(500);
		hub_reap(hub);
	}
	stop = true;
	for (int i = 0; i < THREADS; i++) {
		pthread_join(threads[i], &well);
		cr_assert(well, "a model went while it was held");
		cr_assert_gt(clients[i].found, 0, "a weak test");
	}
	hub_retire(hub, m);
	hub_reap(hub);
	cr_assert_eq(hub_retired(hub), 0, "all are forgotten");
	cr_assert_eq(root_sum(hub).models, 0);
	hub_free(hub);
}
