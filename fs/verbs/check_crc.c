/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The checksums that MindSpore writes with crc_check: at the end of a .ckpt file, over all before it; as metadata crc_num of a
 * safetensors file, the crc32 of names and bytes of its tensors in the order of names.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <zlib.h>

#include "fs/source/header.h"
#include "fs/source/mapped.h"
#include "fs/verbs/checking.h"
#include "layout/formats/step.h"

#define WINDOW (UINT64_C(256) << 10) /* bytes read at a time */

/* What working on a mapped .ckpt file needs. */
struct verifying {
	struct arena *arena;
	struct error *err;
};

static int verify_mapped(struct bytes file, void *arg)
{
	struct verifying *v = arg;
	struct ckpt ckpt;
	int code = ckpt_index(file, v->arena, &ckpt, v->err);

	if (code < 0 || !ckpt.has_crc)
		return code;
	madvise((void *)(uintptr_t)file.ptr, file.len, MADV_SEQUENTIAL);
	return ckpt_verify(file, &ckpt, v->err) < 0 ? -EBADMSG : 0;
}

static int verify_ckpt(const struct source *source, struct arena *arena, struct progress *progress, struct error *err)
{
	struct error why = { "" };
	struct verifying v = { arena, &why };
	int code = mapped_call(source, verify_mapped, &v, err);

	progress_add(progress, source->stamp.size);
	return code < 0 && why.msg[0] ? error_set(err, code, "%s: %s", source->path, why.msg) : code;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct safetensors_entry *)a)->name, ((const struct safetensors_entry *)b)->name);
}

/* A checksum in the making. */
struct summing {
	const struct source *source;
	struct progress *progress;
	uint8_t *window; /* [WINDOW] */
	uint64_t start;  /* of the data in the file */
	uLong crc;
};

static int add_tensor(struct summing *s, const struct safetensors_entry *e, struct error *err)
{
	int code = 0;

	s->crc = crc32(s->crc, (const Bytef *)e->name, (uInt)strlen(e->name));
	for (uint64_t at = e->begin, len; code == 0 && at < e->end; at += len) {
		len = e->end - at < WINDOW ? e->end - at : WINDOW;
		code = source_read(s->source, s->start + at, s->window, len, err);
		if (code == 0)
			s->crc = crc32(s->crc, s->window, (uInt)len);
		progress_add(s->progress, len);
	}
	return code;
}

static int verify_safetensors(const struct source *source, struct arena *arena, struct progress *progress, struct error *err)
{
	struct summing sum = { .source = source, .progress = progress, .window = arena_alloc(arena, WINDOW, 1) };
	struct safetensors st;
	struct safetensors_entry *sorted;
	const char *expected;
	int code = header_parse(source, arena, &st, err);

	if (code < 0 || !(expected = safetensors_meta_get(&st, "crc_num")))
		return code;
	sum.start = st.data_start;
	sorted = arena_alloc(arena, st.count, sizeof(*sorted));
	if (!sorted || !sum.window)
		return error_nomem(err);
	if (st.count)
		memcpy(sorted, st.entries, st.count * sizeof(*sorted));
	qsort(sorted, st.count, sizeof(*sorted), by_name);
	for (uint64_t i = 0; code == 0 && i < st.count; i++)
		code = add_tensor(&sum, &sorted[i], err);
	if (code == 0 && strtoull(expected, NULL, 10) != sum.crc)
		return error_set(err, -EBADMSG, "%s: crc_num: the file says %s, its bytes give %lu", source->path, expected, sum.crc);
	return code;
}

int check_crc_file(const struct source *source, struct progress *progress, struct error *err)
{
	struct arena *arena = arena_new();
	int code;

	if (!arena)
		return error_nomem(err);
	code = step_is_ckpt(source->path) ? verify_ckpt(source, arena, progress, err) : verify_safetensors(source, arena, progress, err);
	arena_free(arena);
	return code;
}
