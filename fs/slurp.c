/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "fs/patience.h"
#include "fs/slurp.h"
#include "fs/source.h"

static int read_all(const struct source *s, const struct slurp *how, struct bytes *out, struct error *err)
{
	uint8_t *buf;

	if (s->stamp.size > how->max)
		return error_set(err, -EFBIG, "%s: %llu bytes, where at most %llu make sense", s->path, (unsigned long long)s->stamp.size,
				 (unsigned long long)how->max);
	buf = arena_alloc(how->arena, s->stamp.size, 1);
	*out = (struct bytes){ buf, s->stamp.size };
	return buf ? source_read(s, 0, buf, s->stamp.size, err) : error_nomem(err);
}

static int slurp(const char *path, const struct slurp *how, struct bytes *out, struct error *err)
{
	struct sources *one = source_list_new();
	uint32_t i;
	int code;

	if (one)
		one->fence = how->fence;
	code = one ? source_open(one, path, &i, err) : error_nomem(err);

	if (code == 0 && how->mtime)
		*how->mtime = one->list[i].stamp.mtime;
	if (code == 0)
		code = read_all(&one->list[i], how, out, err);
	source_list_free(one);
	return code;
}

int slurp_file(const char *path, const struct slurp *how, struct bytes *out, struct error *err)
{
	struct patience *patience = how->watched ? NULL : patience_for(path);
	int code = slurp(path, how, out, err);

	patience_end(patience);
	return code;
}
