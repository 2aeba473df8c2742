/* SPDX-License-Identifier: Apache-2.0 */
/* Weights files: a header or an index is read, and what it lists goes into the checkpoint. A new source format is a function here. */
#include <errno.h>

#include "fs/loading.h"
#include "fs/mapped.h"
#include "layout/ckpt.h"
#include "layout/safetensors.h"

#define FIRST_READ (UINT64_C(64) << 10) /* bytes read at once: most headers, whole */

/* Reads the header of `s`: the first read usually has all of it. *json lives in `scratch`. */
static int read_header(const struct source *s, struct arena *scratch, struct bytes *json, struct error *err)
{
	uint64_t first = s->stamp.size < FIRST_READ ? s->stamp.size : FIRST_READ, length;
	uint8_t *head = arena_alloc(scratch, first, 1), *whole;
	int code = head ? source_read(s, 0, head, first, err) : error_nomem(err);

	if (code == 0)
		code = safetensors_length((struct bytes){ head, first < 8 ? first : 8 }, s->stamp.size, &length, err);
	if (code < 0)
		return code;
	*json = (struct bytes){ head + 8, length };
	if (8 + length <= first)
		return 0;
	whole = arena_alloc(scratch, length, 1);
	*json = (struct bytes){ whole, length };
	return whole ? source_read(s, 8, whole, length, err) : error_nomem(err);
}

int load_header(const struct source *s, struct arena *scratch, struct safetensors *st, struct error *err)
{
	struct bytes json;
	int code = read_header(s, scratch, &json, err);

	if (code == 0)
		code = safetensors_parse(json, s->stamp.size, scratch, st, err);
	return code < 0 ? error_prefix(err, code, "%s", s->path) : 0;
}

/* What indexing a mapped .ckpt file needs. */
struct indexing {
	struct arena *scratch;
	struct ckpt ckpt;
	struct error *err;
};

static int index_ckpt(struct bytes file, void *arg)
{
	struct indexing *in = arg;

	return ckpt_index(file, in->scratch, &in->ckpt, in->err);
}

/* A .ckpt file as a new source, its index in `scratch`. */
static int open_ckpt(struct sources *sources, uint32_t source, struct arena *scratch, struct ckpt *ckpt, struct error *err)
{
	const struct source *s = &sources->list[source];
	struct error why = { "" };
	struct indexing in = { .scratch = scratch, .err = &why };
	int code = mapped_call(s, index_ckpt, &in, err);

	if (code < 0)
		return why.msg[0] ? error_set(err, code, "%s: %s", s->path, why.msg) : code;
	*ckpt = in.ckpt;
	return source_splice(sources, source, ckpt->splices, ckpt->splice_count, err);
}

static int add_opened(struct loading *ld, struct checkpoint_builder *builder, const struct checkpoint_file *file, struct arena *scratch,
		      struct error *err)
{
	struct ckpt ckpt = { .left_out_count = 0 };
	int code = step_is_ckpt(file->path) ? open_ckpt(ld->model->sources, file->source, scratch, &ckpt, err) :
					      load_header(&ld->model->sources->list[file->source], scratch, &ckpt.st, err);

	for (uint64_t i = 0; code == 0 && i < ckpt.left_out_count; i++)
		code = checkpoint_leave_out(builder, ckpt.left_out[i].key, ckpt.left_out[i].value, err);
	return code == 0 ? checkpoint_add(builder, file, &ckpt.st, err) : code;
}

int load_refused(const struct loading *ld, int code, const struct error *err)
{
	if (code >= 0 || code == -ENOMEM || !ld->look || !ld->look->refused)
		return code;
	ld->look->refused(ld->look->arg, err->msg);
	return 0;
}

int load_add(struct loading *ld, struct checkpoint_builder *builder, struct checkpoint_file *file, struct error *err)
{
	struct arena *scratch = arena_new();
	int code = scratch ? source_open(ld->model->sources, file->path, &file->source, err) : error_nomem(err);

	if (code == 0)
		code = add_opened(ld, builder, file, scratch, err);
	arena_free(scratch);
	return load_refused(ld, code, err);
}
