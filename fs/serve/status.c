/* SPDX-License-Identifier: Apache-2.0 */
/* The two reports are written side by side, so that what one tells the other tells too. */
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "fs/serve/report.h"
#include "fs/serve/status_steps.h"

#define NOTES_SHOWN 200 /* of what was left out, in the text; the JSON has all of it */

static void add_left_out(struct text *t, const struct checkpoint *ckpt)
{
	if (!ckpt || ckpt->note_count == 0)
		return;
	text_add(t, "\nleft out (%" PRIu64 "):\n", ckpt->note_count);
	for (uint64_t i = 0; i < ckpt->note_count && i < NOTES_SHOWN; i++) {
		text_add(t, "  ");
		text_shown(t, ckpt->notes[i].key);
		text_add(t, ": ");
		text_shown(t, ckpt->notes[i].value);
		text_add(t, "\n");
	}
	if (ckpt->note_count > NOTES_SHOWN)
		text_add(t, "  ... and %" PRIu64 " more, in status.json\n", ckpt->note_count - NOTES_SHOWN);
}

static void add_facts(struct text *t, const struct status *s)
{
	const struct model *m = s->model;

	report_fields(t, "source", &m->source_dirs);
	report_field(t, "kind", m->kind ? m->kind : "unknown");
	if (m->step)
		report_field(t, "step", m->step);
	report_fields(t, "strategy", &m->strategy_files);
	if (m->checkpoint)
		text_add(t, "%-12s %" PRIu64 ", and %" PRIu64 " outside the strategy\n", "tensors", m->checkpoint->count,
			 m->checkpoint->outside_count);
	text_add(t, "%-12s %" PRIu64 ", %" PRIu64 " bytes, from %" PRIu32 " source files\n", "files", m->view.count, m->tree.bytes,
		 m->sources->count);
	report_field(t, "headers", m->headers ? m->headers : "read");
	status_reading_text(s, t);
}

static void add_model(struct text *t, const struct status *s)
{
	add_facts(t, s);
	if (s->model->warnings.count)
		text_add(t, "\n");
	report_fields(t, "warning", &s->model->warnings);
	add_left_out(t, s->model->checkpoint);
	report_problems(t, s->model->problems);
}

void status_text(const struct status *s, struct text *t)
{
	text_add(t, "gatherfs %s, process %d, mounted ", GATHERFS_VERSION, (int)getpid());
	report_time(t, s->since);
	text_add(t, " on ");
	text_shown(t, s->mountpoint);
	text_add(t, "\n\n");
	if (s->follow)
		status_steps_text(s, t);
	else
		add_model(t, s);
}

static void json_model(struct text *t, const struct status *s)
{
	const struct model *m = s->model;

	report_json_texts(t, "sources", &m->source_dirs);
	report_json_text(t, "kind", m->kind);
	report_json_text(t, "step", m->step);
	report_json_texts(t, "strategy", &m->strategy_files);
	report_json_number(t, "tensors", m->checkpoint ? m->checkpoint->count : 0);
	report_json_number(t, "tensors_outside_strategy", m->checkpoint ? m->checkpoint->outside_count : 0);
	report_json_number(t, "files", m->view.count);
	report_json_number(t, "bytes", m->tree.bytes);
	report_json_number(t, "source_files", m->sources->count);
	report_json_headers(t, m);
	status_reading_json(s, t);
	report_json_texts(t, "warnings", &m->warnings);
	report_json_left_out(t, m->checkpoint);
	report_json_problems(t, m->problems);
}

void status_json(const struct status *s, struct text *t)
{
	text_add(t, "{\n  \"version\": \"%s\"", GATHERFS_VERSION);
	report_json_number(t, "process", (uint64_t)getpid());
	report_json_text(t, "mountpoint", s->mountpoint);
	report_json_time(t, "mounted", s->since);
	if (s->follow)
		status_steps_json(s, t);
	else
		json_model(t, s);
	text_add(t, "\n}\n");
}
