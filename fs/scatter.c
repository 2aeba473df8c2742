/* SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>

#include "fs/scatter.h"

static struct scatter_read *ending_at(struct scatter *s, uint32_t source, uint64_t src)
{
	for (uint32_t i = s->count; i-- > 0;)
		if (s->reads[i].source == source && s->reads[i].src + s->reads[i].len == src)
			return &s->reads[i];
	return NULL;
}

static bool extend(struct scatter_read *r, struct iovec to)
{
	struct iovec *last = &r->to[r->count - 1];

	if ((uint8_t *)last->iov_base + last->iov_len != to.iov_base)
		return false;
	last->iov_len += to.iov_len;
	r->len += to.iov_len;
	return true;
}

bool scatter_extend(struct scatter *s, uint32_t source, uint64_t src, struct iovec to)
{
	struct scatter_read *r = ending_at(s, source, src);

	return r && extend(r, to);
}

bool scatter_add(struct scatter *s, uint32_t source, uint64_t src, struct iovec to)
{
	struct scatter_read *r = ending_at(s, source, src);

	if (r && extend(r, to))
		return true;
	if (!r || r->count == SCATTER_PARTS) {
		if (s->count == SCATTER_READS)
			return false;
		r = &s->reads[s->count++];
		r->source = source;
		r->src = src;
		r->len = 0;
		r->count = 0;
	}
	r->to[r->count++] = to;
	r->len += to.iov_len;
	return true;
}
