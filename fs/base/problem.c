/* SPDX-License-Identifier: Apache-2.0 */
/* The bounded list of problems. It is only touched when something has failed, so a linear look-up under a lock will do. */
#include <stdio.h>
#include <stdlib.h>

#include "fs/base/problem.h"

struct problems *problem_list_new(void)
{
	struct problems *p = calloc(1, sizeof(*p));

	if (p && pthread_mutex_init(&p->lock, NULL) != 0) {
		free(p);
		return NULL;
	}
	if (p)
		p->owners = 1;
	return p;
}

struct problems *problem_list_share(struct problems *p)
{
	pthread_mutex_lock(&p->lock);
	p->owners++;
	pthread_mutex_unlock(&p->lock);
	return p;
}

void problem_list_free(struct problems *p)
{
	if (!p)
		return;
	pthread_mutex_lock(&p->lock);
	bool last = --p->owners == 0;
	pthread_mutex_unlock(&p->lock);
	if (!last)
		return;
	pthread_mutex_destroy(&p->lock);
	free(p);
}

/* The entry of `source`, or NULL. The lock is held. */
static struct problem *find(struct problems *p, uint32_t source)
{
	for (uint32_t i = 0; i < p->count; i++)
		if (p->list[i].source == source)
			return &p->list[i];
	return NULL;
}

/* The lock is held. */
static bool add(struct problems *p, uint32_t source, const char *msg)
{
	struct problem *old = find(p, source);
	time_t now = time(NULL);

	if (old) {
		old->count++;
		old->last = now;
		return false;
	}
	if (p->count == PROBLEM_MAX) {
		p->more++;
		return false;
	}

	struct problem *new = &p->list[p->count++];

	*new = (struct problem){ .source = source, .count = 1, .first = now, .last = now };
	snprintf(new->msg, sizeof(new->msg), "%s", msg);
	return true;
}

bool problem_add(struct problems *p, uint32_t source, const char *msg)
{
	pthread_mutex_lock(&p->lock);
	bool first = add(p, source, msg);
	pthread_mutex_unlock(&p->lock);
	return first;
}

bool problem_get(struct problems *p, uint32_t i, struct problem *out)
{
	pthread_mutex_lock(&p->lock);
	bool there = i < p->count;
	if (there)
		*out = p->list[i];
	pthread_mutex_unlock(&p->lock);
	return there;
}

uint64_t problem_more(struct problems *p)
{
	pthread_mutex_lock(&p->lock);
	uint64_t more = p->more;
	pthread_mutex_unlock(&p->lock);
	return more;
}
