/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a metadata.json: what metadata.h promises of one that is taken. The same bytes are a key of storage_data, and a common.json. */
#include <string.h>

#include "layout/checkpoint/counters.h"
#include "layout/checkpoint/metadata.h"
#include "layout/formats/shard_id.h"
#include "tests/fuzz/fuzz.h"

static void check_tensor(const struct metadata_tensor *t)
{
	uint64_t slices = 1;

	FUZZ_PROMISE(*t->name && t->axes <= BOX_AXES && t->layout->axes == t->axes);
	for (uint32_t a = 0; a < t->axes; a++) {
		FUZZ_PROMISE(t->cuts[a] >= 1 && t->shape[a] % t->cuts[a] == 0 && t->layout->grid.cuts[a] == t->cuts[a]);
		slices *= t->cuts[a];
	}
	FUZZ_PROMISE(slices == t->slices && slices == t->layout->grid.blocks);
}

static void check_metadata(const struct metadata *md)
{
	const struct strategy *s = md->strategy;

	FUZZ_PROMISE(s->count > 0 && s->stages > 0);
	for (uint64_t i = 0; i < md->count; i++) {
		check_tensor(&md->tensors[i]);
		FUZZ_PROMISE(md->tensors[i].layout->devices == s->per_stage);
		FUZZ_PROMISE(names_find(&md->names, md->tensors[i].name) == i);
	}
	for (uint64_t i = 0; i < md->file_count; i++) {
		FUZZ_PROMISE(md->files[i].rank < s->stages * s->per_stage && !strchr(md->files[i].name, '/'));
		FUZZ_PROMISE(i == 0 || md->files[i - 1].rank <= md->files[i].rank);
	}
}

static void check_key(const uint8_t *data, size_t size, struct arena *arena)
{
	const char *key = arena_strndup(arena, (const char *)data, size < 4096 ? size : 4096);
	struct error err = { "" };
	struct shard_id id;

	if (shard_id_parse(key, arena, &id, &err) < 0) {
		FUZZ_PROMISE(err.msg[0]);
		return;
	}
	FUZZ_PROMISE(*id.name && strlen(id.name) < strlen(key));
	for (const char *p = key; *p && (uint8_t)*p < 0x80; p++)
		if (!p[1]) /* a key of ASCII alone gives a name that is UTF-8 */
			FUZZ_PROMISE(fuzz_is_utf8(id.name));
}

static void check_counters(struct bytes text, struct arena *arena)
{
	struct counters c, again;
	struct error err = { "" };
	struct bytes out;

	if (counters_parse(text, &c, &err) < 0) {
		FUZZ_PROMISE(err.msg[0]);
		return;
	}
	FUZZ_PROMISE(counters_write(&c, arena, &out, &err) == 0);
	FUZZ_PROMISE(counters_parse(out, &again, &err) == 0);
	for (int i = 0; i < COUNTERS_COUNT; i++)
		FUZZ_PROMISE(c.number[i].known == again.number[i].known && c.number[i].value == again.number[i].value);
	FUZZ_PROMISE(!again.scaled || again.loss_scale == c.loss_scale);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes text = { .ptr = data, .len = size };
	struct arena *arena = arena_new();
	struct error err = { "" };
	struct metadata *md;

	if (metadata_parse(text, "input", arena, &md, &err) == 0)
		check_metadata(md);
	else
		FUZZ_PROMISE(err.msg[0]);
	check_key(data, size, arena);
	check_counters(text, arena);
	arena_free(arena);
	return 0;
}
