/* SPDX-License-Identifier: Apache-2.0 */
/* See fds.h. Descriptors that nobody holds are in a list from the one used last to the one unused for longest. */
#include <pthread.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "fs/source/fds.h"

#define SPARE 64     /* descriptors for everything that is no source */
#define SHARED_MIN 4 /* sources that come and go, however low the limit is */

struct fds {
	pthread_mutex_t lock;
	struct fds_slot *newest, *oldest;     /* protected by lock: open, and nobody holds them */
	uint64_t idle, kept, owners;          /* protected by lock */
	uint64_t kept_max, idle_max;
};

uint64_t fds_limit(void)
{
	struct rlimit limit;

	return getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY ? limit.rlim_cur : INT32_MAX;
}

struct fds *fds_new(uint64_t limit)
{
	struct fds *fds = calloc(1, sizeof(*fds));
	uint64_t spare = limit / 2 < SPARE ? limit / 2 : SPARE;

	if (!fds)
		return NULL;
	pthread_mutex_init(&fds->lock, NULL);
	fds->owners = 1;
	fds->idle_max = (limit - spare) / 4 > SHARED_MIN ? (limit - spare) / 4 : SHARED_MIN;
	fds->kept_max = limit - spare > fds->idle_max ? limit - spare - fds->idle_max : 0;
	return fds;
}

struct fds *fds_share(struct fds *fds)
{
	pthread_mutex_lock(&fds->lock);
	fds->owners++;
	pthread_mutex_unlock(&fds->lock);
	return fds;
}

void fds_free(struct fds *fds)
{
	bool last;

	if (!fds)
		return;
	pthread_mutex_lock(&fds->lock);
	last = --fds->owners == 0;
	pthread_mutex_unlock(&fds->lock);
	if (!last)
		return;
	pthread_mutex_destroy(&fds->lock);
	free(fds);
}

bool fds_keep(struct fds *fds)
{
	bool room;

	pthread_mutex_lock(&fds->lock);
	room = fds->kept < fds->kept_max;
	fds->kept += room;
	pthread_mutex_unlock(&fds->lock);
	return room;
}

void fds_unkeep(struct fds *fds)
{
	pthread_mutex_lock(&fds->lock);
	fds->kept--;
	pthread_mutex_unlock(&fds->lock);
}

static void take_out(struct fds *fds, struct fds_slot *slot)
{
	*(slot->newer ? &slot->newer->older : &fds->newest) = slot->older;
	*(slot->older ? &slot->older->newer : &fds->oldest) = slot->newer;
	slot->older = slot->newer = NULL;
	fds->idle--;
}

static void put_in(struct fds *fds, struct fds_slot *slot)
{
	slot->older = fds->newest;
	*(fds->newest ? &fds->newest->newer : &fds->oldest) = slot;
	fds->newest = slot;
	fds->idle++;
}

static int hold(struct fds *fds, struct fds_slot *slot)
{
	if (slot->fd >= 0 && slot->users++ == 0)
		take_out(fds, slot);
	return slot->fd;
}

int fds_hold(struct fds *fds, struct fds_slot *slot)
{
	int fd;

	pthread_mutex_lock(&fds->lock);
	fd = hold(fds, slot);
	pthread_mutex_unlock(&fds->lock);
	return fd;
}

int fds_offer(struct fds *fds, struct fds_slot *slot, int fd)
{
	int have;

	pthread_mutex_lock(&fds->lock);
	if (slot->fd < 0) {
		slot->fd = fd;
		slot->users = 1;
		have = fd;
	} else {
		have = hold(fds, slot);
	}
	pthread_mutex_unlock(&fds->lock);
	if (have != fd)
		close(fd);
	return have;
}

/* Takes the descriptor that was unused for longest out of its slot; -1 when there is none. */
static int evict(struct fds *fds)
{
	struct fds_slot *slot = fds->oldest;
	int fd = slot ? slot->fd : -1;

	if (slot) {
		take_out(fds, slot);
		slot->fd = -1;
	}
	return fd;
}

void fds_release(struct fds *fds, struct fds_slot *slot)
{
	int old = -1;

	pthread_mutex_lock(&fds->lock);
	if (--slot->users == 0)
		put_in(fds, slot);
	if (fds->idle > fds->idle_max)
		old = evict(fds);
	pthread_mutex_unlock(&fds->lock);
	if (old >= 0)
		close(old);
}

bool fds_spare(struct fds *fds)
{
	int old;

	pthread_mutex_lock(&fds->lock);
	old = evict(fds);
	pthread_mutex_unlock(&fds->lock);
	if (old >= 0)
		close(old);
	return old >= 0;
}

void fds_close(struct fds *fds, struct fds_slot *slot)
{
	int fd;

	pthread_mutex_lock(&fds->lock);
	fd = slot->fd;
	if (fd >= 0)
		take_out(fds, slot);
	slot->fd = -1;
	pthread_mutex_unlock(&fds->lock);
	if (fd >= 0)
		close(fd);
}
