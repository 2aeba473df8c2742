/* SPDX-License-Identifier: Apache-2.0 */
/* Weights files go into the checkpoint in their order, whoever reads them. */
#include <errno.h>

#include "fs/model/loading.h"
#include "fs/source/headers.h"

/* What adding files needs. */
struct adding {
	struct loading *ld;
	struct checkpoint_builder *builder;
	struct checkpoint_file *files;
};

static int add_file(void *arg, const struct headers_file *file, struct error *err)
{
	const struct adding *a = arg;
	const struct ckpt *ckpt = file->content;
	struct checkpoint_file *f = &a->files[file->index];
	int code = 0;

	f->source = file->source;
	f->entries = file->entries;
	for (uint64_t i = 0; code == 0 && i < ckpt->left_out_count; i++)
		code = checkpoint_leave_out(a->builder, ckpt->left_out[i].key, ckpt->left_out[i].value, err);
	return code == 0 ? checkpoint_add(a->builder, f, &ckpt->st, err) : code;
}

int load_refused(const struct loading *ld, int code, const struct error *err)
{
	if (code >= 0 || code == -ENOMEM || !ld->look || !ld->look->refused)
		return code;
	ld->look->refused(ld->look->arg, err->msg);
	return 0;
}

static int refused(void *arg, int code, const struct error *err)
{
	const struct adding *a = arg;

	return load_refused(a->ld, code, err);
}

/* Says where the headers came from, and to who has named an index why it was not of use. */
static int tell_headers(struct loading *ld, struct error *err)
{
	struct model *m = ld->model;
	struct cache_told t;
	int code = 0;

	if (!m->cache)
		return 0;
	cache_tell(m->cache, &t);
	m->headers = arena_printf(m->arena, "%llu read%s%s", (unsigned long long)t.read, t.trouble ? "; " : "", t.trouble ? t.trouble : "");
	if (t.found)
		m->headers = arena_printf(m->arena, "%llu from %s, %llu read", (unsigned long long)t.found, t.path, (unsigned long long)t.read);
	if (t.named && t.trouble)
		code = load_warn(ld, t.trouble, err);
	else if (t.named && t.read && (!ld->look || ld->look->cache == CACHE_USE))
		code = load_warn(ld, arena_printf(m->arena, "%s: %llu files are not in it as they are, and were read", t.path,
						  (unsigned long long)t.read), err);
	return m->headers ? code : error_nomem(err);
}

int load_add(struct loading *ld, struct checkpoint_builder *builder, struct checkpoint_file *files, uint64_t count, struct error *err)
{
	struct adding a = { ld, builder, files };
	const char **paths = arena_alloc(ld->model->arena, count, sizeof(*paths));
	struct headers_work work = { .paths = paths, .count = count, .sources = ld->model->sources, .take = add_file, .failed = refused,
				     .arg = &a, .quiet = ld->options->quiet || ld->one_of_many };
	int code;

	if (!paths)
		return error_nomem(err);
	for (uint64_t i = 0; i < count; i++)
		paths[i] = files[i].path;
	cache_free(ld->model->cache);
	ld->model->cache = cache_begin(ld->options, ld->look ? ld->look->cache : CACHE_USE, paths, count);
	work.cache = cache_hooks(ld->model->cache);
	code = headers_read(&work, err);
	if (code == 0)
		code = tell_headers(ld, err);
	cache_rest(ld->model->cache);
	return code;
}

int load_begin_sources(struct loading *ld, struct error *err)
{
	struct model *m = ld->model;

	source_list_free(m->sources);
	m->sources = source_list_bounded(ld->base->fds);
	if (!m->sources)
		return error_nomem(err);
	m->sources->fence = ld->options->fence;
	return 0;
}
