/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a strategy file, of both kinds: one that is taken is the same after writing and parsing it. */
#include <string.h>

#include "layout/formats/strategy.h"
#include "tests/fuzz/fuzz.h"

static void check_layout(const struct strategy *s, const struct layout *l)
{
	uint64_t blocks = 1;

	FUZZ_PROMISE(l->devices == s->per_stage && l->axes <= BOX_AXES && l->opt_shards >= 1 && l->grid.axes == l->axes);
	for (uint32_t a = 0; a < l->axes; a++) {
		FUZZ_PROMISE(l->grid.cuts[a] >= 1);
		blocks *= l->grid.cuts[a];
	}
	FUZZ_PROMISE(blocks == l->grid.blocks && blocks <= l->devices);
}

static void check_strategy(const struct strategy *s)
{
	for (uint64_t i = 0; i < s->count; i++) {
		const struct strategy_entry *e = &s->entries[i], *found;
		uint64_t count;

		FUZZ_PROMISE(e->stage < s->stages);
		check_layout(s, e->layout);
		found = strategy_find(s, e->name, &count);
		FUZZ_PROMISE(found && found <= e && e < found + count);
	}
}

static void check_same(const struct strategy *a, const struct strategy *b)
{
	FUZZ_PROMISE(a->count == b->count && a->stages == b->stages && a->per_stage == b->per_stage);
	for (uint64_t i = 0; i < a->count; i++) {
		FUZZ_PROMISE(strcmp(a->entries[i].name, b->entries[i].name) == 0 && a->entries[i].stage == b->entries[i].stage);
		FUZZ_PROMISE(a->entries[i].layout->grid.blocks == b->entries[i].layout->grid.blocks);
	}
}

static void use(struct strategy_file *file, struct arena *arena)
{
	struct strategy *s, *again;
	struct strategy_file copy;
	struct bytes written;
	struct error err;

	file->path = "input";
	if (strategy_unite(file, 1, arena, &s, &err) < 0)
		return;
	check_strategy(s);
	FUZZ_PROMISE(strategy_write(s, arena, &written, &err) == 0);
	FUZZ_PROMISE(strategy_parse_pb(written, arena, &copy, &err) == 0);
	copy.path = "written";
	FUZZ_PROMISE(strategy_unite(&copy, 1, arena, &again, &err) == 0);
	check_same(s, again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static int (*const parse[])(struct bytes, struct arena *, struct strategy_file *, struct error *) = { strategy_parse_pb,
													     strategy_parse_json };

	for (int i = 0; i < 2; i++) {
		struct arena *arena = arena_new();
		struct strategy_file file;
		struct error err = { "" };

		if (parse[i]((struct bytes){ .ptr = data, .len = size }, arena, &file, &err) == 0)
			use(&file, arena);
		else
			FUZZ_PROMISE(err.msg[0]);
		arena_free(arena);
	}
	return 0;
}
