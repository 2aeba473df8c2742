/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "fs/model/gather.h"
#include "fs/model/model.h"
#include "layout/base/names.h"
#include "layout/view/about.h"
#include "layout/view/npy.h"

struct tensors {
	pthread_mutex_t lock;             /* of making */
	struct arena *arena;              /* of everything below */
	_Atomic(const struct tree *) tree;
	struct about_source *sources;     /* [model->sources->count]; made with the tree */
	_Atomic uint64_t numbers;         /* 0: not counted yet */
};

struct tensors *tensors_new(void)
{
	struct tensors *t = calloc(1, sizeof(*t));

	if (!t || pthread_mutex_init(&t->lock, NULL) != 0) {
		free(t);
		return NULL;
	}
	return t;
}

void tensors_free(struct tensors *t)
{
	if (!t)
		return;
	arena_free(t->arena);
	pthread_mutex_destroy(&t->lock);
	free(t);
}

/* A name is four files, and at most as many folders as it has characters. */
static uint64_t numbers_for(const struct tensor *tensors, uint64_t count)
{
	uint64_t n = 0;

	for (uint64_t i = 0; i < count; i++)
		n += BROWSE_KINDS + strlen(tensors[i].name) + 1;
	return n;
}

uint64_t tensors_numbers(const struct model *m)
{
	const struct checkpoint *c = m->checkpoint;
	uint64_t n = atomic_load(&m->tensors->numbers);

	if (n == 0 && c && c->count + c->outside_count > 0) {
		n = 1 + numbers_for(c->tensors, c->count) + numbers_for(c->outside, c->outside_count);
		atomic_store(&m->tensors->numbers, n);
	}
	return n;
}

uint64_t tensors_number(const struct model *m)
{
	return m->tree.base + m->tree.count;
}

/* The first folder on the path of a tensor, added to `folders`. False without memory. */
static bool add_folder(const char *name, struct names *folders)
{
	const char *path = browse_escape(name, folders->arena), *slash = path ? strchr(path, '/') : NULL;
	const char *folder = slash ? arena_strndup(folders->arena, path, (size_t)(slash - path)) : NULL;

	return slash ? folder && names_add(folders, folder) != NAMES_NONE : path != NULL;
}

/* Neighbours are in the same folder, as a rule, and are not looked at twice. */
static bool add_folders(const struct tensor *tensors, uint64_t count, struct names *folders)
{
	const char *before = "";
	size_t len = 0; /* of its first part, with the dot */
	bool done = true;

	for (uint64_t i = 0; i < count && done; i++) {
		if (tensors[i].holes || (len && strncmp(tensors[i].name, before, len) == 0))
			continue;
		before = tensors[i].name;
		len = strcspn(before, ".");
		len = before[len] ? len + 1 : 0;
		done = add_folder(before, folders);
	}
	return done;
}

uint32_t tensors_folders(const struct model *m)
{
	const struct checkpoint *c = m->checkpoint;
	struct arena *arena = c ? arena_new() : NULL;
	struct names folders = names_new(arena);
	bool done = arena && add_folders(c->tensors, c->count, &folders) && add_folders(c->outside, c->outside_count, &folders);

	arena_free(arena);
	return done ? folders.count : 0;
}

/* What is being listed: the paths in `arena`, which goes when the tree is made. */
struct listing {
	struct tree_file *files;
	uint64_t count;
	struct arena *arena;
};

/* Every form of these tensors, but for those with holes, whose blocks cannot all be read. */
static bool add_files(struct listing *l, const struct tensor *tensors, uint64_t count)
{
	for (uint64_t i = 0; i < count; i++) {
		const char *path;

		if (tensors[i].holes)
			continue;
		path = browse_escape(tensors[i].name, l->arena);
		for (enum browse_kind form = 0; form < BROWSE_KINDS; form++) {
			struct tree_file *file = &l->files[l->count++];

			*file = (struct tree_file){ .kind = TREE_TENSOR, .tensor = &tensors[i], .form = form,
						    .path = path ? arena_printf(l->arena, "%s%s", path, browse_ending(form)) : NULL };
			if (!file->path)
				return false;
		}
	}
	return true;
}

static bool list_files(const struct checkpoint *ckpt, struct listing *l)
{
	l->files = reallocarray(NULL, (ckpt->count + ckpt->outside_count) * BROWSE_KINDS + 1, sizeof(*l->files));
	return l->files && add_files(l, ckpt->tensors, ckpt->count) && add_files(l, ckpt->outside, ckpt->outside_count);
}

static bool list_sources(const struct model *m, struct tensors *t)
{
	t->sources = arena_alloc(t->arena, m->sources->count, sizeof(*t->sources));
	for (uint32_t i = 0; t->sources && i < m->sources->count; i++) {
		const struct source *s = &m->sources->list[i];

		t->sources[i] = (struct about_source){ .path = s->path, .rank = about_rank(s->path), .splices = s->splices,
						       .splice_count = s->splice_count };
	}
	return t->sources;
}

/* Makes all of it in a new arena, which is dropped when that fails. The lock is held. */
static const struct tree *make(const struct model *m, struct tensors *t)
{
	struct listing l = { .arena = arena_new() };
	struct tree *tree;
	struct error err;
	bool made = false;

	t->arena = arena_new();
	tree = t->arena ? arena_alloc(t->arena, 1, sizeof(*tree)) : NULL;
	if (l.arena && tree && list_sources(m, t) && list_files(m->checkpoint, &l))
		made = tree_build_files(l.files, l.count, tensors_number(m), t->arena, tree, &err) == 0;
	free(l.files);
	arena_free(l.arena);
	if (made)
		return tree;
	arena_free(t->arena);
	t->arena = NULL;
	return NULL;
}

const struct tree *tensors_made(const struct model *m)
{
	return atomic_load(&m->tensors->tree);
}

const struct tree *tensors_tree(const struct model *m)
{
	struct tensors *t = m->tensors;
	const struct tree *tree = atomic_load(&t->tree);

	if (tree || tensors_numbers(m) == 0)
		return tree;
	pthread_mutex_lock(&t->lock);
	tree = atomic_load(&t->tree);
	if (!tree) {
		tree = make(m, t);
		atomic_store(&t->tree, tree);
	}
	pthread_mutex_unlock(&t->lock);
	return tree;
}

/* What reads the bytes of a tensor for its corners. */
struct reading {
	const struct model *model;
	const struct image *image; /* nothing but the tensor */
	struct gather *gather;
};

static int read_corner(void *arg, uint64_t offset, uint64_t len, uint8_t *dst, struct error *err)
{
	struct reading *r = arg;
	struct gather_range range = { r->model, r->image, offset, len, dst };
	uint32_t source;

	return gather_bytes(r->gather, &range, &source, err);
}

static int write_text(const struct model *m, const struct tree_node *node, struct reading *r, struct arena *arena, struct text *text,
		      struct error *err)
{
	struct corners_array array = about_array(node->tensor);
	struct corners_reader reader = { read_corner, r };
	struct about about = { .tensor = node->tensor, .sources = m->tensors->sources };
	struct corners corners;
	int rc = corners_read(&array, &reader, arena, &corners, err);

	about.corners = &corners;
	if (rc == 0 && node->form == BROWSE_TXT)
		about_text(&about, text);
	else if (rc == 0)
		about_json(&about, text);
	return rc == 0 && text->failed ? error_nomem(err) : rc;
}

static int text_image(const struct model *m, const struct tree_node *node, struct arena *arena, const struct image **out, struct error *err)
{
	struct reading r = { .model = m, .image = npy_raw_image(node->tensor, arena), .gather = gather_new() };
	struct image *image = image_new(arena, 1);
	struct text text = TEXT_EMPTY;
	struct bytes bytes;
	int rc = r.image && r.gather && image ? write_text(m, node, &r, arena, &text, err) : error_nomem(err);

	gather_free(r.gather);
	if (rc < 0) {
		text_free(&text);
		return rc;
	}
	if (text_finish(&text, arena, &bytes) < 0)
		return error_nomem(err);
	image_add_literal(image, bytes);
	*out = image;
	return 0;
}

int tensors_image(const struct model *m, const struct tree_node *node, struct arena *arena, const struct image **out, struct error *err)
{
	if (node->form == BROWSE_TXT || node->form == BROWSE_JSON)
		return text_image(m, node, arena, out, err);
	*out = node->form == BROWSE_NPY ? npy_image(node->tensor, arena) : npy_raw_image(node->tensor, arena);
	return *out ? 0 : error_nomem(err);
}
