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

#include "fs/checking.h"
#include "fs/mapped.h"
#include "layout/step.h"

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

static int verify_ckpt(const struct source *source, struct arena *arena, struct error *err)
{
	struct error why = { "" };
	struct verifying v = { arena, &why };
	int code = mapped_call(source, verify_mapped, &v, err);

	return code < 0 && why.msg[0] ? error_set(err, code, "%s: %s", source->path, why.msg) : code;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct safetensors_entry *)a)->name, ((const struct safetensors_entry *)b)->name);
}

static int add_tensor(const struct source *source, const struct safetensors_entry *e, uint64_t start, uint8_t *window, uLong *crc,
		      struct error *err)
{
	int code = 0;

	*crc = crc32(*crc, (const Bytef *)e->name, (uInt)strlen(e->name));
	for (uint64_t at = e->begin, len; code == 0 && at < e->end; at += len) {
		len = e->end - at < WINDOW ? e->end - at : WINDOW;
		code = source_read(source, start + at, window, len, err);
		if (code == 0)
			*crc = crc32(*crc, window, (uInt)len);
	}
	return code;
}

static int verify_safetensors(const struct source *source, struct arena *arena, struct error *err)
{
	struct safetensors st;
	struct safetensors_entry *sorted;
	uint8_t *window;
	const char *expected;
	uLong crc = 0;
	int code = load_header(source, arena, &st, err);

	if (code < 0 || !(expected = safetensors_meta_get(&st, "crc_num")))
		return code;
	sorted = arena_alloc(arena, st.count, sizeof(*sorted));
	window = arena_alloc(arena, WINDOW, 1);
	if (!sorted || !window)
		return error_nomem(err);
	if (st.count)
		memcpy(sorted, st.entries, st.count * sizeof(*sorted));
	qsort(sorted, st.count, sizeof(*sorted), by_name);
	for (uint64_t i = 0; code == 0 && i < st.count; i++)
		code = add_tensor(source, &sorted[i], st.data_start, window, &crc, err);
	if (code == 0 && strtoull(expected, NULL, 10) != crc)
		return error_set(err, -EBADMSG, "%s: crc_num: the file says %s, its bytes give %lu", source->path, expected, crc);
	return code;
}

int check_crc_file(const struct source *source, struct error *err)
{
	struct arena *arena = arena_new();
	int code = !arena ? error_nomem(err) : step_is_ckpt(source->path) ? verify_ckpt(source, arena, err) :
		   verify_safetensors(source, arena, err);

	arena_free(arena);
	return code;
}
