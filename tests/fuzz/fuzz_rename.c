/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as rules, and behind a NUL the names that they are applied to, one a line: what rename.h promises of the checkpoint that
 * comes out.
 */
#include <string.h>

#include "layout/base/names.h"
#include "layout/names/rename.h"
#include "tests/fuzz/fuzz.h"

#define NAMES 8

/* Tensors of these names, but for those that no checkpoint has. */
static uint64_t make(const uint8_t *text, size_t size, struct arena *arena, struct tensor *t)
{
	const char *line = arena_strndup(arena, (const char *)text, size), *end;
	struct names seen = names_new(arena);
	uint64_t count = 0;

	for (; line && count < NAMES; line = *end ? end + 1 : NULL) {
		end = strchrnul(line, '\n');
		const char *name = arena_strndup(arena, line, (size_t)(end - line));

		if (*name && fuzz_is_utf8(name) && names_find(&seen, name) == NAMES_NONE) {
			names_add(&seen, name);
			t[count++] = (struct tensor){ .name = name, .source_name = name };
		}
	}
	return count;
}

static void check_all(const struct checkpoint *ckpt, const struct tensor *before, struct arena *arena)
{
	struct names seen = names_new(arena);

	for (uint64_t i = 0; i < ckpt->count; i++) {
		const struct tensor *t = &ckpt->tensors[i];
		uint64_t same = 0;

		FUZZ_PROMISE(*t->name && fuzz_is_utf8(t->name) && names_add(&seen, t->name) == i);
		FUZZ_PROMISE(checkpoint_find(ckpt->tensors, ckpt->count, t->name) == t);
		for (uint64_t k = 0; k < ckpt->count; k++)
			same += before[k].source_name == t->source_name;
		FUZZ_PROMISE(same == 1);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char usual[] = "model.layers.10.attention.wq.weight\nadam_m.a-b\nx";
	const uint8_t *nul = size ? memchr(data, 0, size) : NULL, *names = nul ? nul + 1 : (const uint8_t *)usual;
	size_t len = nul ? (size_t)(data + size - names) : sizeof(usual) - 1;
	struct arena *arena = arena_new();
	struct tensor tensors[NAMES];
	struct pair meta[] = { { "x", "Int4" }, { "format", "ms" } };
	struct checkpoint ckpt = { .tensors = tensors, .meta = meta, .meta_count = 2, .count = make(names, len, arena, tensors) };
	struct error err = { "" };
	struct rename *rules;
	int code = rename_parse((struct bytes){ data, nul ? (size_t)(nul - data) : size }, &rules, &err);

	if (code == 0) {
		code = rename_checkpoint(&ckpt, rules, arena, &err);
		rename_free(rules);
	}
	FUZZ_PROMISE(code == 0 || err.msg[0]);
	if (code == 0)
		check_all(&ckpt, tensors, arena);
	arena_free(arena);
	return 0;
}
