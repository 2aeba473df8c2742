/* SPDX-License-Identifier: Apache-2.0 */
/* Whose a mount's files are, who may read them, and how old they are. */
#include <sys/stat.h>
#include <unistd.h>

#include "fs/model/loading.h"

static bool later(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec > b->tv_sec || (a->tv_sec == b->tv_sec && a->tv_nsec > b->tv_nsec);
}

/* Where nothing is read from SOURCE, its folder stands for it. */
static void take_folder(struct loading *ld)
{
	struct model *m = ld->model;
	struct stat st;

	if (stat(ld->source, &st) < 0)
		st = (struct stat){ .st_uid = geteuid(), .st_gid = getegid() };
	m->uid = st.st_uid;
	m->gid = st.st_gid;
	m->file_mode = ld->folders & 0444;
	m->mtime = st.st_mtim;
}

static void take_sources(struct loading *ld)
{
	struct model *m = ld->model;
	const struct source *s = m->sources->list;
	bool one_uid = true, one_gid = true;

	m->file_mode = 0444;
	for (uint32_t i = 0; i < m->sources->count; i++) {
		m->file_mode &= s[i].mode;
		one_uid &= s[i].uid == s[0].uid;
		one_gid &= s[i].gid == s[0].gid;
		if (later(&s[i].stamp.mtime, &m->mtime))
			m->mtime = s[i].stamp.mtime;
	}
	m->uid = one_uid ? s[0].uid : geteuid();
	m->gid = one_gid ? s[0].gid : getegid();
}

/* A mount shows no more than the narrowest of its sources, unless root says otherwise. */
void load_attributes(struct loading *ld)
{
	const struct options *o = ld->options;
	struct model *m = ld->model;

	if (m->sources->count)
		take_sources(ld);
	else
		take_folder(ld);
	if (o->has_uid)
		m->uid = o->uid;
	if (o->has_gid)
		m->gid = o->gid;
	if (o->has_mode)
		m->file_mode = o->mode & 0444;
	m->dir_mode = o->has_mode ? m->file_mode | m->file_mode >> 2 : ld->folders & 0555;
}
