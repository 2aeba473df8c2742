/* SPDX-License-Identifier: Apache-2.0 */
/* The two reports are written side by side, so that what one tells the other tells too. */
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "fs/status.h"

#define NOTES_SHOWN 200 /* of what was left out, in the text; the JSON has all of it */

/* `s` with control characters escaped. */
static void add_safe(struct text *t, const char *s)
{
	struct error line;

	error_set(&line, 0, "%s", s);
	text_add(t, "%s", line.msg);
}

static void add_time(struct text *t, time_t when)
{
	char out[32];
	struct tm tm;

	strftime(out, sizeof(out), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&when, &tm));
	text_add(t, "%s", out);
}

static void add_field(struct text *t, const char *name, const char *value)
{
	text_add(t, "%-12s ", name);
	add_safe(t, value);
	text_add(t, "\n");
}

static void add_fields(struct text *t, const char *name, const struct model_texts *values)
{
	for (uint64_t i = 0; i < values->count; i++)
		add_field(t, i == 0 ? name : "", values->list[i]);
}

static void add_left_out(struct text *t, const struct checkpoint *ckpt)
{
	if (!ckpt || ckpt->note_count == 0)
		return;
	text_add(t, "\nleft out (%" PRIu64 "):\n", ckpt->note_count);
	for (uint64_t i = 0; i < ckpt->note_count && i < NOTES_SHOWN; i++) {
		text_add(t, "  ");
		add_safe(t, ckpt->notes[i].key);
		text_add(t, ": ");
		add_safe(t, ckpt->notes[i].value);
		text_add(t, "\n");
	}
	if (ckpt->note_count > NOTES_SHOWN)
		text_add(t, "  ... and %" PRIu64 " more, in status.json\n", ckpt->note_count - NOTES_SHOWN);
}

static void add_problems(struct text *t, struct problems *problems)
{
	uint64_t more = problem_more(problems);
	struct problem p;

	text_add(t, "\nproblems since mounting:%s\n", problem_get(problems, 0, &p) ? "" : " none");
	for (uint32_t i = 0; problem_get(problems, i, &p); i++) {
		text_add(t, "  %" PRIu64 " times, last ", p.count);
		add_time(t, p.last);
		text_add(t, ": ");
		add_safe(t, p.msg);
		text_add(t, "\n");
	}
	if (more)
		text_add(t, "  and %" PRIu64 " times in other files\n", more);
}

static void add_facts(struct text *t, const struct status *s)
{
	const struct model *m = s->model;
	uint64_t readahead = atomic_load(&s->readahead);

	add_fields(t, "source", &m->source_dirs);
	add_field(t, "kind", m->kind ? m->kind : "unknown");
	if (m->step)
		add_field(t, "step", m->step);
	add_fields(t, "strategy", &m->strategy_files);
	if (m->checkpoint)
		text_add(t, "%-12s %" PRIu64 ", and %" PRIu64 " outside the strategy\n", "tensors", m->checkpoint->count,
			 m->checkpoint->outside_count);
	text_add(t, "%-12s %" PRIu64 ", %" PRIu64 " bytes, from %" PRIu32 " source files\n", "files", m->view.count, m->tree.bytes,
		 m->sources->count);
	if (readahead)
		text_add(t, "%-12s %" PRIu64 " KiB\n", "read-ahead", readahead / 1024);
}

void status_text(const struct status *s, struct text *t)
{
	text_add(t, "gatherfs %s, process %d, mounted ", GATHERFS_VERSION, (int)getpid());
	add_time(t, s->since);
	text_add(t, " on ");
	add_safe(t, s->mountpoint);
	text_add(t, "\n\n");
	add_facts(t, s);
	if (s->model->warnings.count)
		text_add(t, "\n");
	add_fields(t, "warning", &s->model->warnings);
	add_left_out(t, s->model->checkpoint);
	add_problems(t, s->model->problems);
}

/* One member of an object; every object here begins with a member that is always there, so a comma always comes before. */
static void json_key_of(struct text *t, const char *key)
{
	text_add(t, ",\n  \"%s\": ", key);
}

static void json_text(struct text *t, const char *key, const char *value)
{
	json_key_of(t, key);
	if (value)
		text_json_ascii(t, value);
	else
		text_add(t, "null");
}

static void json_number(struct text *t, const char *key, uint64_t value)
{
	json_key_of(t, key);
	text_add(t, "%" PRIu64, value);
}

static void json_texts(struct text *t, const char *key, const struct model_texts *values)
{
	json_key_of(t, key);
	text_add(t, "[");
	for (uint64_t i = 0; i < values->count; i++) {
		text_add(t, i ? ", " : "");
		text_json_ascii(t, values->list[i]);
	}
	text_add(t, "]");
}

static void json_time(struct text *t, const char *key, time_t when)
{
	json_key_of(t, key);
	text_add(t, "\"");
	add_time(t, when);
	text_add(t, "\"");
}

static void json_left_out(struct text *t, const struct checkpoint *ckpt)
{
	json_key_of(t, "left_out");
	text_add(t, "[");
	for (uint64_t i = 0; ckpt && i < ckpt->note_count; i++) {
		text_add(t, "%s\n    {\"name\": ", i ? "," : "");
		text_json_ascii(t, ckpt->notes[i].key);
		text_add(t, ", \"why\": ");
		text_json_ascii(t, ckpt->notes[i].value);
		text_add(t, "}");
	}
	text_add(t, "]");
}

static void json_problems(struct text *t, struct problems *problems)
{
	struct problem p;

	json_key_of(t, "problems");
	text_add(t, "[");
	for (uint32_t i = 0; problem_get(problems, i, &p); i++) {
		text_add(t, "%s\n    {\"message\": ", i ? "," : "");
		text_json_ascii(t, p.msg);
		text_add(t, ", \"count\": %" PRIu64 ", \"first\": \"", p.count);
		add_time(t, p.first);
		text_add(t, "\", \"last\": \"");
		add_time(t, p.last);
		text_add(t, "\"}");
	}
	text_add(t, "]");
	json_number(t, "more_problems", problem_more(problems));
}

void status_json(const struct status *s, struct text *t)
{
	const struct model *m = s->model;

	text_add(t, "{\n  \"version\": \"%s\"", GATHERFS_VERSION);
	json_number(t, "process", (uint64_t)getpid());
	json_text(t, "mountpoint", s->mountpoint);
	json_time(t, "mounted", s->since);
	json_texts(t, "sources", &m->source_dirs);
	json_text(t, "kind", m->kind);
	json_text(t, "step", m->step);
	json_texts(t, "strategy", &m->strategy_files);
	json_number(t, "tensors", m->checkpoint ? m->checkpoint->count : 0);
	json_number(t, "tensors_outside_strategy", m->checkpoint ? m->checkpoint->outside_count : 0);
	json_number(t, "files", m->view.count);
	json_number(t, "bytes", m->tree.bytes);
	json_number(t, "source_files", m->sources->count);
	json_number(t, "readahead", atomic_load(&s->readahead));
	json_texts(t, "warnings", &m->warnings);
	json_left_out(t, m->checkpoint);
	json_problems(t, m->problems);
	text_add(t, "\n}\n");
}
