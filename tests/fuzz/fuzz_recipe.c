/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a recipe: one that is taken is applied to a small model of its own names, which fits or is refused with a reason; what
 * it makes of it has one name a tensor.
 */
#include <string.h>

#include "layout/names/convert.h"
#include "tests/fuzz/fuzz.h"

#define MOST 200

/* A tensor for every name of the recipe, with the first and second value of its indexes. */
static uint64_t make(const struct figures *f, const struct pattern *p, struct arena *arena, struct tensor *t, uint64_t count)
{
	static const uint64_t shape[2] = { 6, 4 };
	static const struct piece piece;
	uint64_t values[FACTORS_WORDS];

	memcpy(values, f->first, sizeof(values));
	for (uint32_t k = 0; k < 2 && count < MOST; k++) {
		t[count++] = (struct tensor){ .name = pattern_format(p, "", values, arena), .source_name = "s", .shape = shape, .axes = 2,
					      .dtype = DTYPE_BF16, .bytes = 48, .pieces = &piece, .grid = box_uncut(2) };
		for (uint32_t i = 0; i < p->count; i++)
			figures_next(f, p->index[i], &values[p->index[i]]);
		if (p->count == 0)
			break;
	}
	return count;
}

static void apply(const struct figures *f, bool hf, enum recipe_naming to, struct arena *arena)
{
	struct tensor tensors[MOST];
	struct checkpoint ckpt = { .tensors = tensors };
	struct convert_options options = { .figures = f, .to = to };
	struct convert_done done;
	struct error err = { "" };
	struct names seen = names_new(arena);

	for (uint32_t i = 0; i < f->recipe->line_count; i++)
		for (uint32_t p = 0; p < (hf ? f->recipe->lines[i].count : 1); p++)
			ckpt.count = make(f, hf ? &f->recipe->lines[i].parts[p].hf : &f->recipe->lines[i].ms, arena, tensors, ckpt.count);
	if (convert_checkpoint(&ckpt, &options, arena, &done, &err) < 0) {
		FUZZ_PROMISE(err.msg[0] && ckpt.tensors == tensors);
		return;
	}
	if (to == RECIPE_HF ? done.from.hf : !done.from.hf && done.from.naming == to && done.from.flags == f->flags)
		return; /* these names are there already, and nothing was done */
	for (uint64_t i = 0; i < ckpt.count; i++)
		FUZZ_PROMISE(names_add(&seen, ckpt.tensors[i].name) == i && ckpt.tensors[i].axes <= BOX_AXES);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *arena = arena_new();
	struct figures_config config = { 0 };
	struct recipe *recipe;
	struct figures figures;
	struct error err = { "" };
	int code = recipe_parse((struct bytes){ .ptr = data, .len = size }, arena, &recipe, &err);

	if (code == 0)
		code = figures_read(recipe, &config, arena, &figures, &err);
	for (uint32_t n = 0; code == 0 && n < 2 * RECIPE_NAMINGS; n++)
		apply(&figures, n % 2, (enum recipe_naming)(n / 2), arena);
	FUZZ_PROMISE(code == 0 || err.msg[0]);
	arena_free(arena);
	return 0;
}
