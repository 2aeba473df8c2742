/* SPDX-License-Identifier: Apache-2.0 */
/* Every object begins with a member that is always there, so a comma always comes before the others. */
#include <inttypes.h>
#include <string.h>

#include "fs/base/table.h"
#include "fs/verbs/info.h"

static void add_texts(struct text *out, const char *key, const struct model_texts *list)
{
	text_add(out, ",\n  \"%s\": [", key);
	for (uint64_t i = 0; i < list->count; i++) {
		text_add(out, i ? ", " : "");
		text_json_ascii(out, list->list[i]);
	}
	text_add(out, "]");
}

static void add_strategy(const struct info *in, struct text *out)
{
	const struct strategy *s = in->model->strategy;

	if (!s)
		return;
	text_add(out, ",\n  \"stages\": %u,\n  \"ranks_per_stage\": %u,\n  \"device_matrices\": [", s->stages, s->per_stage);
	for (uint32_t i = 0; i < in->sum.matrix_count; i++) {
		const struct layout *l = in->sum.matrix[i].layout;

		text_add(out, i ? ", {\"matrix\": [" : "{\"matrix\": [");
		for (uint32_t m = 0; m < l->matrix_axes; m++)
			text_add(out, m ? ", %u" : "%u", l->matrix[m]);
		text_add(out, "], \"tensors\": %" PRIu64 "}", in->sum.matrix[i].tensors);
	}
	text_add(out, "]");
}

static void add_steps(const struct info *in, struct text *out)
{
	text_add(out, ",\n  \"step\": ");
	if (in->model->step)
		text_json_ascii(out, in->model->step);
	else
		text_add(out, "null");
	text_add(out, ",\n  \"steps\": [");
	for (uint64_t i = 0; i < in->step_count; i++) {
		text_add(out, i ? ", " : "");
		text_json_ascii(out, ranks_step_name(&in->steps[i], in->model->arena));
	}
	text_add(out, "],\n  \"ranks\": [");
	for (uint64_t i = 0; i < in->rank_count; i++)
		text_add(out, i ? ", %u" : "%u", in->rank[i]);
	text_add(out, "]");
}

static void add_sizes(const struct info *in, struct text *out)
{
	const char *comma = "";

	text_add(out, ",\n  \"tensors\": %" PRIu64 ",\n  \"outside\": %" PRIu64 ",\n  \"elements\": %" PRIu64 ",\n  \"bytes\": %" PRIu64
		 ",\n  \"bytes_with_copies\": %" PRIu64 ",\n  \"redundancy_removed\": %s,\n  \"dtypes\": {", in->model->checkpoint->count,
		 in->model->checkpoint->outside_count, in->sum.elements, in->sum.bytes, in->sum.held, in->sum.deduplicated ? "true" : "false");
	for (uint32_t d = DTYPE_COUNT; d-- > 0;)
		if (in->sum.dtype[d].tensors) {
			text_add(out, "%s\"%s\": {\"tensors\": %" PRIu64 ", \"bytes\": %" PRIu64 "}", comma, dtype_name(d),
				 in->sum.dtype[d].tensors, in->sum.dtype[d].bytes);
			comma = ", ";
		}
	text_add(out, "}");
}

static void add_left_out(const struct info *in, struct text *out)
{
	const struct checkpoint *ckpt = in->model->checkpoint;

	text_add(out, ",\n  \"left_out\": [");
	for (uint64_t i = 0; i < ckpt->note_count; i++) {
		text_add(out, i ? ",\n    {\"name\": " : "\n    {\"name\": ");
		text_json_ascii(out, ckpt->notes[i].key);
		text_add(out, ", \"why\": ");
		text_json_ascii(out, ckpt->notes[i].value);
		text_add(out, "}");
	}
	text_add(out, "]");
}

/* Files that tell about the mount are no part of the model. */
static bool is_of_mount(const char *path)
{
	return strncmp(path, ".gatherfs/", 10) == 0;
}

static void add_view(const struct info *in, struct text *out)
{
	const struct view *view = &in->model->view;
	const char *comma = "";

	text_add(out, ",\n  \"view\": [");
	for (uint64_t i = 0; i < view->count; i++)
		if (!is_of_mount(view->files[i].path)) {
			text_add(out, "%s\n    {\"path\": ", comma);
			text_json_ascii(out, view->files[i].path);
			text_add(out, ", \"bytes\": %" PRIu64 "}", view->files[i].image->size);
			comma = ",";
		}
	text_add(out, "]");
}

void info_json(const struct info *in, struct text *out)
{
	text_add(out, "{\n  \"kind\": ");
	text_json_ascii(out, in->model->kind);
	add_texts(out, "sources", &in->model->source_dirs);
	add_steps(in, out);
	add_texts(out, "strategy", &in->model->strategy_files);
	add_strategy(in, out);
	add_sizes(in, out);
	add_left_out(in, out);
	add_texts(out, "warnings", &in->model->warnings);
	if (in->options->has_names)
		info_names_json(in, out);
	if (in->options->dry_run)
		add_view(in, out);
	text_add(out, "\n}\n");
}

void info_files(const struct info *in, struct text *out)
{
	static const struct table_column columns[] = { { "SIZE", true, 0 }, { "BYTES", true, 0 }, { "FILE OF THE VIEW", false, 0 } };
	struct table table = table_new(columns, sizeof(columns) / sizeof(*columns));
	const struct view *view = &in->model->view;
	uint64_t files = 0, bytes = 0;
	char a[TERM_TEXT];

	for (uint64_t i = 0; i < view->count; i++)
		if (!is_of_mount(view->files[i].path)) {
			uint64_t size = view->files[i].image->size;

			table_add(&table, "%s", term_size(a, size));
			table_add(&table, "%" PRIu64, size);
			table_add(&table, "%s", view->files[i].path);
			files++;
			bytes += size;
		}
	text_add(out, "\n");
	table_write(&table, &in->term, true, out);
	table_free(&table);
	text_add(out, "%" PRIu64 " files, %s\n", files, term_size(a, bytes));
}
