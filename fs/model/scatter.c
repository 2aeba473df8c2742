/* SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>

#include "fs/model/scatter.h"

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

/* False when the read has no room for one more part. */
static bool append(struct scatter_read *r, struct iovec to)
{
	if (extend(r, to))
		return true;
	if (r->count == SCATTER_PARTS)
		return false;
	r->to[r->count++] = to;
	r->len += to.iov_len;
	return true;
}

bool scatter_join(struct scatter *s, uint32_t source, uint64_t src, struct iovec to)
{
	struct scatter_read *r = ending_at(s, source, src);

	return r && append(r, to);
}

bool scatter_add(struct scatter *s, uint32_t source, uint64_t src, struct iovec to)
{
	struct scatter_read *r;

	if (scatter_join(s, source, src, to))
		return true;
	if (s->count == SCATTER_READS)
		return false;
	r = &s->reads[s->count++];
	r->source = source;
	r->src = src;
	r->len = to.iov_len;
	r->count = 1;
	r->to[0] = to;
	return true;
}
