/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "fs/slurp.h"
#include "fs/source.h"

static int read_all(const struct source *s, uint64_t max, struct arena *arena, struct bytes *out, struct error *err)
{
	uint8_t *buf;

	if (s->stamp.size > max)
		return error_set(err, -EFBIG, "%s: %llu bytes, where at most %llu make sense", s->path, (unsigned long long)s->stamp.size,
				 (unsigned long long)max);
	buf = arena_alloc(arena, s->stamp.size, 1);
	*out = (struct bytes){ buf, s->stamp.size };
	return buf ? source_read(s, 0, buf, s->stamp.size, err) : error_nomem(err);
}

int slurp_file(const char *path, uint64_t max, struct arena *arena, struct bytes *out, struct timespec *mtime, struct error *err)
{
	struct sources *one = source_list_new();
	uint32_t i;
	int code = one ? source_open(one, path, &i, err) : error_nomem(err);

	if (code == 0 && mtime)
		*mtime = one->list[i].stamp.mtime;
	if (code == 0)
		code = read_all(&one->list[i], max, arena, out, err);
	source_list_free(one);
	return code;
}
