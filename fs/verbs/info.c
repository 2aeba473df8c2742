/* SPDX-License-Identifier: Apache-2.0 */
/* gatherfs info: what a SOURCE is, from headers alone; with dry_run, what a view with these options would look like. */
#include <inttypes.h>
#include <string.h>

#include "fs/base/term.h"
#include "fs/verbs/info.h"
#include "fs/verbs/verbs.h"
#include "layout/names/recipe.h"

#define STEPS_SHOWN 8

static int find_steps(struct info *in, struct error *err)
{
	struct arena *arena = in->model->arena;
	int code = load_ranks(in->options, true, arena, &in->ranks, err);
	uint32_t *numbers;

	if (code == 0)
		code = ranks_steps(&in->ranks, arena, &in->steps, &in->step_count, err);
	if (code < 0)
		return code;
	numbers = arena_alloc(arena, in->ranks.count, sizeof(*numbers));
	if (!numbers)
		return error_nomem(err);
	for (uint64_t i = 0; i < in->ranks.count; i++)
		if (i == 0 || in->ranks.folders[i].rank != numbers[in->rank_count - 1])
			numbers[in->rank_count++] = in->ranks.folders[i].rank;
	in->rank = numbers;
	return 0;
}

/* The name of a field; the first of several lines has it. */
static void name_field(const struct info *in, struct text *out, const char *name)
{
	text_add(out, "%s%-10s%s  ", term_style(&in->term, TERM_CYAN), name, term_style(&in->term, TERM_PLAIN));
}

static void add_texts(const struct info *in, struct text *out, const char *name, const struct model_texts *list)
{
	for (uint64_t i = 0; i < list->count; i++) {
		name_field(in, out, i == 0 ? name : "");
		term_name(out, list->list[i], 0);
		text_add(out, "\n");
	}
}

static void add_steps(const struct info *in, struct text *out)
{
	if (!in->model->step)
		return;
	name_field(in, out, "step");
	term_name(out, in->model->step, 0);
	if (in->step_count > 1)
		text_add(out, ", of %" PRIu64 ":", in->step_count);
	for (uint64_t i = 0; in->step_count > 1 && i < in->step_count && i < STEPS_SHOWN; i++)
		text_add(out, " %s", ranks_step_name(&in->steps[i], in->model->arena));
	text_add(out, in->step_count > STEPS_SHOWN ? " ...\n" : "\n");
}

static void add_matrices(const struct info *in, struct text *out)
{
	for (uint32_t i = 0; i < in->sum.matrix_count; i++) {
		const struct layout *l = in->sum.matrix[i].layout;

		name_field(in, out, i == 0 ? "devices" : "");
		for (uint32_t m = 0; m < l->matrix_axes; m++)
			text_add(out, m ? ", %u" : "[%u", l->matrix[m]);
		text_add(out, "] for %" PRIu64 " tensor%s%s\n", in->sum.matrix[i].tensors, in->sum.matrix[i].tensors == 1 ? "" : "s",
			 in->sum.more_matrices && i + 1 == in->sum.matrix_count ? "; there are others" : "");
	}
}

static void add_strategy(const struct info *in, struct text *out)
{
	const struct strategy *s = in->model->strategy;

	if (!s)
		return;
	name_field(in, out, "strategy");
	text_add(out, "%u %s of %u %s, from %" PRIu64 " %s\n", s->stages, s->stages == 1 ? "stage" : "stages", s->per_stage,
		 s->per_stage == 1 ? "rank" : "ranks",
		 in->model->strategy_files.count, in->model->strategy_files.count == 1 ? "file" : "files");
	add_texts(in, out, "", &in->model->strategy_files);
	add_matrices(in, out);
}

static void add_sizes(const struct info *in, struct text *out)
{
	const struct checkpoint *ckpt = in->model->checkpoint;
	const struct summary *sum = &in->sum;
	char a[TERM_TEXT], b[TERM_TEXT];

	name_field(in, out, "tensors");
	text_add(out, "%s", term_number(a, ckpt->count));
	if (ckpt->outside_count)
		text_add(out, ", and %s outside the strategy", term_number(a, ckpt->outside_count));
	text_add(out, "\n");
	name_field(in, out, "elements");
	text_add(out, "%s\n", term_number(a, sum->elements));
	name_field(in, out, "bytes");
	text_add(out, "%s", term_size(a, sum->bytes));
	if (in->rank_count)
		text_add(out, "; %s in the files, %.2f times as many%s", term_size(b, sum->held),
			 sum->bytes ? (double)sum->held / (double)sum->bytes : 1, sum->deduplicated ? " (redundancy was removed)" : "");
	text_add(out, "\n");
}

static void add_dtypes(const struct info *in, struct text *out)
{
	const char *name = "dtypes";
	char size[TERM_TEXT];

	for (uint32_t d = DTYPE_COUNT; d-- > 0;)
		if (in->sum.dtype[d].tensors) {
			name_field(in, out, name);
			text_add(out, "%-6s %10s in %" PRIu64 " tensor%s\n", dtype_name(d), term_size(size, in->sum.dtype[d].bytes),
				 in->sum.dtype[d].tensors, in->sum.dtype[d].tensors == 1 ? "" : "s");
			name = "";
		}
}

static void write_text(const struct info *in, struct text *out)
{
	const struct model *m = in->model;

	add_texts(in, out, "source", &m->source_dirs);
	name_field(in, out, "kind");
	text_add(out, "%s", m->kind);
	if (in->rank_count) {
		text_add(out, ": ");
		describe_rank_list(out, in->rank, in->rank_count);
	}
	text_add(out, "\n");
	if (m->names) {
		name_field(in, out, "names");
		text_add(out, "%s\n", m->names);
	}
	add_steps(in, out);
	add_strategy(in, out);
	add_sizes(in, out);
	add_dtypes(in, out);
	if (m->checkpoint->note_count) {
		name_field(in, out, "left out");
		text_add(out, "%" PRIu64 " names (--json lists them)\n", m->checkpoint->note_count);
	}
	add_texts(in, out, "warning", &m->warnings);
}

static int run(struct subject *s, struct error *err)
{
	struct text out = TEXT_EMPTY;
	struct info in = { .options = &s->options, .term = term_of(stdout) };
	int code = subject_load(s, s->options.dry_run, err);

	in.model = s->model;
	if (code == 0 && s->model->step)
		code = find_steps(&in, err);
	if (code < 0)
		return code;
	summary_of(s->model->checkpoint, &in.sum);
	if (s->options.json)
		info_json(&in, &out);
	else
		write_text(&in, &out);
	if (s->options.has_names && !s->options.json)
		info_names(&in, &out);
	if (s->options.dry_run && !s->options.json)
		info_files(&in, &out);
	return term_output(&out, err);
}

/* `--names SOURCE`: names in general, so those of Hugging Face, which every family has. */
static void complete_names(int argc, char **argv)
{
	static char hf[] = "--names=hf";

	for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
		bool naming = i + 1 < argc && (strcmp(argv[i + 1], "keep") == 0 || recipe_naming_find(argv[i + 1]) < RECIPE_NAMINGS);

		if (strcmp(argv[i], "--names") == 0 && !naming)
			argv[i] = hf;
	}
}

int info_main(int argc, char **argv)
{
	struct subject s;
	struct error err = { "" };
	int code;

	complete_names(argc, argv);
	code = subject_begin(&s, argc, argv, 0, 0);
	return subject_end(&s, code == SUBJECT_GO ? run(&s, &err) : code, &err);
}
