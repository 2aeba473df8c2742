/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "fs/base/patience.h"
#include "fs/source/slurp.h"
#include "fs/source/source.h"

/* Opens the file as the only one of *one, which the caller frees in any case. */
static int open_it(const char *path, const struct slurp *how, struct sources **one, struct error *err)
{
	const struct source_stamp *stamp;
	uint32_t i;
	int code;

	*one = source_list_new();
	if (!*one)
		return error_nomem(err);
	(*one)->fence = how->fence;
	code = source_open(*one, path, &i, err);
	if (code < 0)
		return code;
	stamp = &(*one)->list[i].stamp;
	if (how->mtime)
		*how->mtime = stamp->mtime;
	if (stamp->size > how->max)
		return error_set(err, -EFBIG, "%s: %llu bytes, where at most %llu make sense", path, (unsigned long long)stamp->size,
				 (unsigned long long)how->max);
	return 0;
}

static int read_all(const struct source *s, const struct slurp *how, struct bytes *out, struct error *err)
{
	uint8_t *buf = arena_alloc(how->arena, s->stamp.size, 1);

	*out = (struct bytes){ buf, s->stamp.size };
	return buf ? source_read(s, 0, buf, s->stamp.size, err) : error_nomem(err);
}

static int slurp(const char *path, const struct slurp *how, struct bytes *out, struct error *err)
{
	struct sources *one;
	int code = open_it(path, how, &one, err);

	if (code == 0)
		code = read_all(one->list, how, out, err);
	source_list_free(one);
	return code;
}

int slurp_file(const char *path, const struct slurp *how, struct bytes *out, struct error *err)
{
	struct patience *patience = patience_for(path);
	int code = slurp(path, how, out, err);

	patience_end(patience);
	return code;
}

static int add_all(const struct source *s, struct fingerprint_state *state, uint8_t *room, struct error *err)
{
	uint64_t size = s->stamp.size;
	int code = 0;

	for (uint64_t at = 0, len; code == 0 && at < size; at += len) {
		len = size - at < SLURP_ROOM ? size - at : SLURP_ROOM;
		code = source_read(s, at, room, len, err);
		if (code == 0)
			fingerprint_add(state, room, len);
	}
	return code;
}

int slurp_fingerprint(const char *path, const struct slurp *how, uint8_t *room, struct fingerprint *out, struct error *err)
{
	struct fingerprint_state *state = fingerprint_begin();
	struct sources *one = NULL;
	int code = state ? open_it(path, how, &one, err) : error_nomem(err);

	if (code == 0)
		code = add_all(one->list, state, room, err);
	source_list_free(one);
	if (state)
		*out = fingerprint_end(state);
	return code;
}
