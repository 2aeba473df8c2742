/* SPDX-License-Identifier: Apache-2.0 */
/* What is told here is under the lock of the follower: the watcher changes it, and holds the lock only for that. */
#include <inttypes.h>

#include "fs/serve/report.h"
#include "fs/serve/root.h"
#include "fs/serve/status_steps.h"

static const char *const state_names[] = {
	[FOLLOW_NEW] = "waiting", [FOLLOW_SHOWN] = "shown", [FOLLOW_INCOMPLETE] = "incomplete", [FOLLOW_BROKEN] = "broken",
};

static const char *why_of(const struct follow_step *s)
{
	return s->state == FOLLOW_NEW ? "not looked at yet" : s->why ? s->why : "out of memory";
}

static struct model_texts strategy_files(const struct follow *f)
{
	return (struct model_texts){ f->base->strategy.paths, f->base->strategy.strategy ? f->base->strategy.count : 0 };
}

static struct model_texts source_dirs(const struct follow *f)
{
	return (struct model_texts){ f->options->source.item, f->options->source.count };
}

static uint64_t count_shown(const struct follow *f)
{
	uint64_t n = 0;

	for (uint64_t i = 0; i < f->count; i++)
		n += f->steps[i]->state == FOLLOW_SHOWN;
	return n;
}

static void add_facts(struct text *t, const struct status *s)
{
	struct follow *f = s->follow;
	struct model_texts sources = source_dirs(f), strategies = strategy_files(f);
	uint64_t shown = count_shown(f), retired = hub_retired(f->hub);
	char latest[HUB_NAME];

	report_fields(t, "source", &sources);
	report_field(t, "kind", "distributed, a folder for each step");
	report_fields(t, "strategy", &strategies);
	text_add(t, "%-12s %" PRIu64 " shown, %" PRIu64 " left out", "steps", shown, f->count - shown);
	if (retired)
		text_add(t, ", %" PRIu64 " gone but still in use", retired);
	text_add(t, "\n");
	report_field(t, "latest", root_latest(f->hub, latest) ? latest : "no step is complete yet");
	status_reading_text(s, t);
	if (f->trouble.msg[0])
		report_field(t, "trouble", f->trouble.msg);
}

/* What is special about a step that is shown. */
static void add_details(struct text *t, const struct model *m)
{
	text_add(t, "%" PRIu64 " files, %" PRIu64 " bytes, from %" PRIu32 " source files", m->view.count, m->tree.bytes, m->sources->count);
	if (m->checkpoint->note_count)
		text_add(t, ", %" PRIu64 " names left out (status.json has them)", m->checkpoint->note_count);
	if (m->headers) {
		text_add(t, "; headers: ");
		text_shown(t, m->headers);
	}
	text_add(t, "\n");
	for (uint64_t i = 0; i < m->warnings.count; i++) {
		text_add(t, "    warning: ");
		text_shown(t, m->warnings.list[i]);
		text_add(t, "\n");
	}
}

static void add_step(struct text *t, const struct follow_step *s)
{
	text_add(t, "  %s  %s: ", s->name, state_names[s->state]);
	if (s->shown) {
		add_details(t, s->shown->model);
		return;
	}
	text_shown(t, why_of(s));
	text_add(t, "\n");
}

void status_steps_text(const struct status *s, struct text *t)
{
	struct follow *f = s->follow;

	pthread_mutex_lock(&f->lock);
	add_facts(t, s);
	text_add(t, "\nsteps, newest first:%s\n", f->count ? "" : " none");
	for (uint64_t i = 0; i < f->count; i++)
		add_step(t, f->steps[i]);
	pthread_mutex_unlock(&f->lock);
	report_problems(t, f->base->problems);
}

static void json_step(struct text *t, const struct follow_step *s)
{
	const struct model *m = s->shown ? s->shown->model : NULL;
	static const struct model_texts none;

	text_add(t, "\n    {\"name\": ");
	text_json_ascii(t, s->name);
	report_json_text(t, "state", state_names[s->state]);
	report_json_text(t, "why", m ? NULL : why_of(s));
	report_json_number(t, "files", m ? m->view.count : 0);
	report_json_number(t, "bytes", m ? m->tree.bytes : 0);
	report_json_number(t, "source_files", m ? m->sources->count : s->seen.count);
	report_json_number(t, "tensors", m ? m->checkpoint->count : 0);
	report_json_number(t, "tensors_outside_strategy", m ? m->checkpoint->outside_count : 0);
	if (m)
		report_json_headers(t, m);
	report_json_texts(t, "warnings", m ? &m->warnings : &none);
	report_json_left_out(t, m ? m->checkpoint : NULL);
	text_add(t, "}");
}

void status_steps_json(const struct status *s, struct text *t)
{
	struct follow *f = s->follow;
	struct model_texts sources = source_dirs(f), strategies = strategy_files(f);
	char latest[HUB_NAME];

	pthread_mutex_lock(&f->lock);
	report_json_texts(t, "sources", &sources);
	report_json_text(t, "kind", "distributed, a folder for each step");
	report_json_texts(t, "strategy", &strategies);
	report_json_text(t, "latest", root_latest(f->hub, latest) ? latest : NULL);
	report_json_text(t, "trouble", f->trouble.msg[0] ? f->trouble.msg : NULL);
	report_json_number(t, "retired", hub_retired(f->hub));
	status_reading_json(s, t);
	report_key(t, "steps");
	text_add(t, "[");
	for (uint64_t i = 0; i < f->count; i++) {
		text_add(t, i ? "," : "");
		json_step(t, f->steps[i]);
	}
	text_add(t, "]");
	pthread_mutex_unlock(&f->lock);
	report_json_problems(t, f->base->problems);
}
