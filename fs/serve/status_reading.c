/* SPDX-License-Identifier: Apache-2.0 */
/* How a mount is read: ahead, past the page cache, and whether its sources are trusted. */
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fs/serve/ahead.h"
#include "fs/serve/report.h"
#include "fs/serve/status.h"

/* Every file of .gatherfs/ is open for direct I/O, as all are in a mount that is asked for it. */
void status_probe(struct status *s)
{
	char path[PATH_MAX];
	void *map;
	int fd;

	if (!s->options->direct_io || snprintf(path, sizeof(path), "%s/.gatherfs/status", s->mountpoint) >= (int)sizeof(path))
		return;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	map = mmap(NULL, 1, PROT_READ, MAP_SHARED, fd, 0);
	atomic_store(&s->direct_maps, map == MAP_FAILED ? STATUS_MAPS_NO : STATUS_MAPS_YES);
	if (map != MAP_FAILED)
		munmap(map, 1);
	close(fd);
}

/* Why the files of a direct_io mount have no shared mappings. */
static const char *no_maps(void)
{
#ifdef FUSE_CAP_DIRECT_IO_ALLOW_MMAP
	return "this kernel has none (Linux 6.6 has)";
#else
	return "the libfuse that gatherfs was built with cannot ask for them (3.16 can)";
#endif
}

static void add_direct_io(struct text *t, enum status_maps maps)
{
	text_add(t, "%-12s nothing is kept in the page cache; ", "direct I/O");
	if (maps == STATUS_MAPS_NO)
		text_add(t, "no shared mappings (ENODEV): %s\n", no_maps());
	else
		text_add(t, "%s\n", maps == STATUS_MAPS_YES ? "shared mappings work" : "shared mappings: not known");
}

static void add_trust(struct text *t, const struct status *s)
{
	text_add(t, "%-12s %s\n", "trust", reply_trusts(s->reply) ? "in the sources: what is read from them is not checked" :
		 "in the sources, until one of them could not be read: now every read is checked");
}

static void add_readahead(struct text *t, const struct status *s)
{
	uint64_t is = atomic_load(&s->readahead) / 1024, wanted = s->options->readahead / 1024;

	if (is)
		text_add(t, "%-12s %" PRIu64 " KiB", "read-ahead", is);
	else
		text_add(t, "%-12s not known: /sys cannot be read", "read-ahead");
	if (is && wanted && is != wanted)
		text_add(t, ", not the %" PRIu64 " KiB of readahead=: only root can change it, where /sys is writable", wanted);
	text_add(t, "\n");
}

static void add_sources(struct text *t, const struct status *s)
{
	struct ahead_sum sum = ahead_sum(s->ahead);

	text_add(t, "%-12s up to %" PRIu64 " bytes ahead of readers; %" PRIu64 " were asked for, and %" PRIu64 " in the page cache already\n",
		 "sources", s->options->cache_budget, sum.asked, sum.spared);
}

static void add_below(struct text *t, uint64_t sum)
{
	text_add(t, "%-12s %" PRIu64 " bytes were asked for ahead of readers who go down\n", "below", sum);
}

void status_reading_text(const struct status *s, struct text *t)
{
	add_readahead(t, s);
	if (s->options->cache_budget)
		add_sources(t, s);
	if (below_sum(s->below))
		add_below(t, below_sum(s->below));
	if (s->options->direct_io)
		add_direct_io(t, atomic_load(&s->direct_maps));
	if (s->options->trust_sources)
		add_trust(t, s);
}

static void json_flag(struct text *t, const char *key, bool value)
{
	report_key(t, key);
	text_add(t, "%s", value ? "true" : "false");
}

void status_reading_json(const struct status *s, struct text *t)
{
	struct ahead_sum sum = ahead_sum(s->ahead);

	report_json_number(t, "readahead", atomic_load(&s->readahead));
	report_json_number(t, "readahead_wanted", s->options->readahead);
	report_json_number(t, "cache_budget", s->options->cache_budget);
	report_json_number(t, "ahead_asked", sum.asked);
	report_json_number(t, "ahead_cached", sum.spared);
	report_json_number(t, "below_asked", below_sum(s->below));
	json_flag(t, "direct_io", s->options->direct_io);
	json_flag(t, "shared_mappings", !s->options->direct_io || atomic_load(&s->direct_maps) == STATUS_MAPS_YES);
	json_flag(t, "trust_sources", s->options->trust_sources);
	json_flag(t, "trusted", s->options->trust_sources && reply_trusts(s->reply));
}
