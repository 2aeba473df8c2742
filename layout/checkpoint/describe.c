/* SPDX-License-Identifier: Apache-2.0 */
/* See describe.h. */
#include <inttypes.h>

#include "layout/checkpoint/describe.h"

uint64_t describe_elements(const struct tensor *t)
{
	uint64_t elements = 1;

	for (uint32_t a = 0; a < t->axes; a++)
		elements *= t->shape[a]; /* checked when the checkpoint was built */
	return elements;
}

uint64_t describe_held_bytes(const struct tensor *t)
{
	uint64_t bytes = 0;

	for (uint32_t i = 0; i < t->holding_count; i++) {
		const struct checkpoint_holding *h = &t->holdings[i];

		bytes += t->bytes / (h->layout ? h->layout->grid.blocks : 1) * h->copies.count;
	}
	return t->holding_count ? bytes : t->bytes;
}

void describe_numbers(struct text *text, const uint64_t *numbers, uint32_t count)
{
	text_add(text, "[");
	for (uint32_t i = 0; i < count; i++)
		text_add(text, i ? ", %" PRIu64 : "%" PRIu64, numbers[i]);
	text_add(text, "]");
}

void describe_cuts(struct text *text, const struct grid *grid)
{
	if (grid->blocks == 1)
		text_add(text, "whole");
	for (uint32_t a = 0; grid->blocks > 1 && a < grid->axes; a++)
		text_add(text, a ? "x%u" : "%u", grid->cuts[a]);
}

/* A run of ranks that may still grow. */
struct run_of_ranks {
	uint32_t first, last;
	bool any, more; /* there is a run; something was written before */
};

static void write_run(struct text *text, struct run_of_ranks *run)
{
	if (!run->any)
		return;
	text_add(text, run->more ? "+%u" : "%u", run->first);
	if (run->last > run->first)
		text_add(text, "-%u", run->last);
	run->more = true;
	run->any = false;
}

static void take_rank(struct text *text, struct run_of_ranks *run, uint32_t rank)
{
	if (run->any && rank == run->last + 1) {
		run->last = rank;
		return;
	}
	write_run(text, run);
	run->first = run->last = rank;
	run->any = true;
}

void describe_rank_list(struct text *text, const uint32_t *ranks, uint64_t count)
{
	struct run_of_ranks run = { 0 };

	for (uint64_t i = 0; i < count; i++)
		take_rank(text, &run, ranks[i]);
	write_run(text, &run);
	if (!run.more)
		text_add(text, "-");
}

void describe_ranks(struct text *text, const struct tensor *t)
{
	struct run_of_ranks run = { 0 };

	for (uint32_t i = 0; i < t->holding_count; i++) /* stages ascend, and so do their ranks */
		for (uint32_t c = 0; c < t->holdings[i].copies.count; c++)
			take_rank(text, &run, t->holdings[i].copies.list[c].rank);
	write_run(text, &run);
	if (!run.more)
		text_add(text, "-");
}

void describe_layout(struct text *text, const struct layout *layout)
{
	const uint32_t *map = layout->map;

	text_add(text, "\"device_matrix\": [");
	for (uint32_t i = 0; i < layout->matrix_axes; i++)
		text_add(text, i ? ", %u" : "%u", layout->matrix[i]);
	text_add(text, "], \"tensor_map\": [");
	for (uint32_t a = 0; a < layout->axes; a++) {
		text_add(text, a ? ", [" : "[");
		for (uint32_t i = 0; i < layout->map_len[a]; i++, map++)
			text_add(text, i ? ", %u" : "%u", layout->matrix_axes - 1 - *map);
		text_add(text, "]");
	}
	text_add(text, "], \"opt_shards\": %u", layout->opt_shards);
}

static void add_holding(struct text *text, const struct checkpoint_holding *h)
{
	text_add(text, "{\"stage\": %u, ", h->stage);
	if (h->layout) {
		describe_layout(text, h->layout);
		text_add(text, ", ");
	}
	text_add(text, "\"ranks\": [");
	for (uint32_t c = 0; c < h->copies.count; c++)
		text_add(text, c ? ", %u" : "%u", h->copies.list[c].rank);
	text_add(text, "]}");
}

void describe_json(struct text *text, const struct tensor *t)
{
	text_add(text, "\"name\": ");
	text_json_ascii(text, t->name);
	text_add(text, ", \"dtype\": \"%s\", \"shape\": ", dtype_name(t->dtype));
	describe_numbers(text, t->shape, t->axes);
	text_add(text, ", \"elements\": %" PRIu64 ", \"bytes\": %" PRIu64 ", \"cuts\": [", describe_elements(t), t->bytes);
	for (uint32_t a = 0; a < t->grid.axes; a++)
		text_add(text, a ? ", %u" : "%u", t->grid.cuts[a]);
	text_add(text, "], \"holdings\": [");
	for (uint32_t i = 0; i < t->holding_count; i++) {
		text_add(text, i ? ", " : "");
		add_holding(text, &t->holdings[i]);
	}
	text_add(text, "]");
}
