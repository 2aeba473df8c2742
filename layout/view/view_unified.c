/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The unified view: the whole model in parts, with the index that its readers need. Parts are filled in the order of layers,
 * so that a loader that reads them one after the other reads the layers as they run.
 *
 * index=ms follows what MindSpore's unified_safetensors writes beside its parts: param_name_map.json and hyper_param.safetensors.
 * index=hf follows Hugging Face: model.safetensors.index.json. Never both: either loader is misled by the other's index.
 */
#include <errno.h>
#include <string.h>

#include "layout/base/text.h"
#include "layout/view/view.h"

/* What one build needs from function to function. */
struct build {
	const struct checkpoint *ckpt;
	const struct view_options *options;
	struct arena *arena;
	struct view *view;
	const struct grid *uncut;
	uint64_t *part_end;    /* [parts]: number of the tensor behind the last of each part */
	const char **part_path; /* [parts] */
	uint64_t parts;
};

/* Whether a part that holds `bytes` of tensors and `header` bytes of JSON can take another tensor. */
static bool fits(const struct build *b, uint64_t bytes, uint64_t header, const struct tensor *t, uint64_t cost)
{
	return t->bytes <= b->options->part_size && bytes <= b->options->part_size - t->bytes &&
	       header + cost <= SAFETENSORS_HEADER_MAX - SAFETENSORS_ALIGN;
}

static uint64_t cost_of(const struct tensor *t)
{
	struct safetensors_entry e = { .name = t->name, .shape = t->shape, .axes = t->axes, .dtype = t->dtype };

	return safetensors_entry_cost(&e);
}

/* Bytes that the metadata takes at most: beside the tensors' lines it is small, but it comes from files too. */
static uint64_t meta_cost(const struct checkpoint *ckpt)
{
	uint64_t cost = 256;

	for (uint64_t i = 0; i < ckpt->meta_count; i++)
		cost += 6 * (strlen(ckpt->meta[i].key) + strlen(ckpt->meta[i].value)) + 8;
	return cost;
}

static int split(struct build *b, struct error *err)
{
	uint64_t bytes = 0, fixed = meta_cost(b->ckpt), header = fixed;

	b->part_end = arena_alloc(b->arena, b->ckpt->count, sizeof(*b->part_end));
	b->part_path = arena_alloc(b->arena, b->ckpt->count, sizeof(*b->part_path));
	if (!b->part_end || !b->part_path)
		return error_nomem(err);
	for (uint64_t i = 0; i < b->ckpt->count; i++) {
		const struct tensor *t = &b->ckpt->tensors[i];
		uint64_t cost = cost_of(t);

		if (i > 0 && !fits(b, bytes, header, t, cost)) {
			b->part_end[b->parts++] = i;
			bytes = 0;
			header = fixed;
		}
		bytes += t->bytes;
		header += cost;
	}
	b->part_end[b->parts++] = b->ckpt->count;
	return 0;
}

static const char *part_name(const struct build *b, uint64_t part)
{
	if (b->parts == 1 && b->options->index == VIEW_INDEX_HF)
		return "model.safetensors";
	return arena_printf(b->arena, "model-%05llu-of-%05llu.safetensors", (unsigned long long)part + 1, (unsigned long long)b->parts);
}

/* Whole tensors as the items of a file, in the arena; NULL without memory. */
static struct view_item *whole_items(const struct build *b, const struct tensor *tensors, uint64_t count)
{
	struct view_item *items = arena_alloc(b->arena, count, sizeof(*items));

	for (uint64_t i = 0; items && i < count; i++)
		items[i] = (struct view_item){ .tensor = &tensors[i], .grid = &b->uncut[tensors[i].axes] };
	return items;
}

static int add_parts(struct build *b, struct error *err)
{
	const char *format = b->options->index == VIEW_INDEX_HF ? "pt" : NULL;

	for (uint64_t p = 0, i = 0; p < b->parts; i = b->part_end[p++]) {
		uint64_t count = b->part_end[p] - i;
		struct view_item *items = whole_items(b, &b->ckpt->tensors[i], count);
		struct pairs meta = pairs_new(b->arena);
		int code = items ? view_meta(b->ckpt, format, items, count, &meta) : -ENOMEM;

		b->part_path[p] = part_name(b, p);
		code = code < 0 ? error_nomem(err) : view_add_safetensors(b->view, b->arena, b->part_path[p], items, count, &meta, err);
		if (code < 0)
			return code;
	}
	return 0;
}

/* The parameters outside the strategy, for MindSpore's readers, which take every one of them as a parameter of the network. */
static int add_hyper(struct build *b, struct error *err)
{
	uint64_t count = b->ckpt->outside_count;
	struct view_item *items = whole_items(b, b->ckpt->outside, count);
	struct pairs meta = pairs_new(b->arena);

	if (count == 0)
		return 0;
	if (!items || pairs_add(&meta, "format", "ms") < 0)
		return error_nomem(err);
	return view_add_safetensors(b->view, b->arena, "hyper_param.safetensors", items, count, &meta, err);
}

/* The index as json.dumps(indent=4) of MindSpore or json.dumps(indent=2) + newline of Hugging Face writes it. */
static void write_index(const struct build *b, struct text *text)
{
	bool hf = b->options->index == VIEW_INDEX_HF;
	int in = hf ? 2 : 4;
	uint64_t total = 0;

	for (uint64_t i = 0; i < b->ckpt->count; i++)
		total += b->ckpt->tensors[i].bytes;
	text_add(text, "{\n%*s\"metadata\": {\n%*s\"total_size\": %llu\n%*s},\n%*s\"weight_map\": {", in, "", 2 * in, "",
		 (unsigned long long)total, in, "", in, "");
	for (uint64_t p = 0, i = 0; p < b->parts; p++)
		for (; i < b->part_end[p]; i++) {
			text_word(text, i ? ",\n" : "\n");
			text_pad(text, ' ', 2 * (uint64_t)in);
			text_json_ascii(text, b->ckpt->tensors[i].name);
			text_word(text, ": \"");
			text_word(text, b->part_path[p]);
			text_word(text, "\"");
		}
	text_add(text, "\n%*s}\n}%s", in, "", hf ? "\n" : "");
}

static int add_index(struct build *b, struct error *err)
{
	bool hf = b->options->index == VIEW_INDEX_HF;
	struct text text = TEXT_EMPTY;
	struct bytes bytes;

	write_index(b, &text);
	if (text_finish(&text, b->arena, &bytes) < 0)
		return error_nomem(err);
	return view_add_literal(b->view, b->arena, hf ? "model.safetensors.index.json" : "param_name_map.json", bytes, err);
}

int view_unified(const struct checkpoint *ckpt, const struct view_options *options, struct arena *arena, struct view *out, struct error *err)
{
	struct build b = { .ckpt = ckpt, .options = options, .arena = arena, .view = out, .uncut = view_uncut(arena) };
	int code = b.uncut ? split(&b, err) : error_nomem(err);

	*out = (struct view){ 0 };
	if (code == 0)
		code = add_parts(&b, err);
	if (code == 0 && options->index == VIEW_INDEX_MS)
		code = add_hyper(&b, err);
	if (code == 0)
		code = add_index(&b, err);
	return code;
}
