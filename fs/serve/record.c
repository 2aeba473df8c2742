/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdlib.h>

#include "fs/serve/record.h"
#include "layout/view/about.h"

static const char readme[] =
	"This directory is a view that gatherfs gathers from other files; nothing of it is a copy.\n"
	"\n"
	"  .gatherfs/status        what is shown, what was left out, and problems since mounting; status.json is the same for programs\n"
	"  .gatherfs/sources.json  the files that it is gathered from\n"
	"  .gatherfs/layout.json   each tensor, its parts, and the file and bytes that hold each part\n"
	"  .gatherfs/strategy.ckpt the strategy of the source, merged, where there is one\n"
	"  tensors/                each tensor as .txt, .json, .npy and .bin, in folders by the dots of its name\n"
	"\n"
	"With steps=all there is a folder for each step: .gatherfs/ beside them has the status, and the one in each of them\n"
	"sources.json and layout.json. Files that are opened one after the other through `latest` may be of two steps; go\n"
	"to the folder that it names, once.\n"
	"\n"
	"An I/O error means that a source file has changed since mounting; .gatherfs/status names it.\n"
	"`gatherfs umount` ends the mount.\n";

static void write_source(const struct model *m, uint32_t i, struct text *t)
{
	const struct source *s = &m->sources->list[i];
	int64_t rank = about_rank(s->path);

	text_add(t, "%s\n    {\"number\": %" PRIu32 ", \"path\": ", i ? "," : "", i);
	text_json_ascii(t, s->path);
	if (rank == ABOUT_NO_RANK)
		text_add(t, ", \"rank\": null");
	else
		text_add(t, ", \"rank\": %" PRId64, rank);
	text_add(t, ", \"bytes\": %" PRIu64 ", \"mtime_ns\": %" PRIu64 "%09ld, \"device\": %" PRIu64 ", \"inode\": %" PRIu64 "}", s->stamp.size,
		 (uint64_t)s->stamp.mtime.tv_sec, s->stamp.mtime.tv_nsec, (uint64_t)s->stamp.dev, (uint64_t)s->stamp.ino);
}

static void write_sources(const struct model *m, struct text *t)
{
	text_add(t, "{\n  \"sources\": [");
	for (uint32_t i = 0; i < m->sources->count; i++)
		write_source(m, i, t);
	text_add(t, "\n  ]\n}\n");
}

static void write_tensors(const struct tensor *tensors, uint64_t count, struct about *about, bool *any, struct text *t)
{
	for (uint64_t i = 0; i < count; i++) {
		text_add(t, *any ? ",\n" : "\n");
		*any = true;
		about->tensor = &tensors[i];
		about_json(about, t);
	}
}

static void write_layout(const struct model *m, struct text *t)
{
	struct about_source *sources = calloc(m->sources->count + 1, sizeof(*sources));
	struct about about = { .sources = sources };
	bool any = false;

	if (!sources) {
		t->failed = true;
		return;
	}
	for (uint32_t i = 0; i < m->sources->count; i++) {
		const struct source *s = &m->sources->list[i];

		sources[i] = (struct about_source){ s->path, about_rank(s->path), s->splices, s->splice_count };
	}
	text_add(t, "{\"tensors\": [");
	if (m->checkpoint) {
		write_tensors(m->checkpoint->tensors, m->checkpoint->count, &about, &any, t);
		write_tensors(m->checkpoint->outside, m->checkpoint->outside_count, &about, &any, t);
	}
	text_add(t, "]}\n");
	free(sources);
}

void record_write(const struct model *m, enum tree_kind kind, struct text *text)
{
	if (kind == TREE_SOURCES)
		write_sources(m, text);
	else if (kind == TREE_LAYOUT)
		write_layout(m, text);
	else
		text_add(text, "%s", readme);
}
