/* SPDX-License-Identifier: Apache-2.0 */
/* What check has found, for people and for programs. */
#include <inttypes.h>

#include "fs/base/term.h"
#include "fs/verbs/checking.h"

#define SHOWN 200 /* findings in the text; the JSON has all */

static void add_finding(const struct finding *f, const struct term *term, struct text *out)
{
	const char *word = f->fault ? "fault" : "warning", *name = findings_name(f->kind);

	text_add(out, "%s%-7s%s  %-8s  ", term_style(term, f->fault ? TERM_RED : TERM_YELLOW), word, term_style(term, TERM_PLAIN), name);
	term_wrap(out, f->message, term->columns, 19);
	text_add(out, "\n");
}

static void add_counts(const struct check *c, const struct term *term, double seconds, struct text *out)
{
	char a[TERM_TEXT], b[TERM_TEXT], n[TERM_TEXT];
	struct text line = TEXT_EMPTY;

	if (!c->model)
		return;
	text_add(&line, "%s tensors, %s read from %u files, %" PRIu64 " blocks compared with their copies",
		 term_number(n, c->model->checkpoint->count + c->model->checkpoint->outside_count), term_size(a, c->replicas.bytes),
		 c->model->sources->count, c->compared);
	if (term->is_terminal && seconds >= 0.1)
		text_add(&line, ", in %.1f s, %s/s", seconds, term_size(b, (uint64_t)((double)c->replicas.bytes / seconds)));
	out->failed |= line.failed;
	term_wrap(out, line.ptr ? line.ptr : "", term->columns, 0);
	text_add(out, "\n");
	text_free(&line);
}

static void add_verdict(const struct check *c, const struct term *term, struct text *out)
{
	uint64_t faults = c->findings.faults, warnings = c->findings.count - faults;

	text_add(out, "%s%s", term_style(term, TERM_BOLD), term_style(term, faults ? TERM_RED : TERM_GREEN));
	if (faults)
		text_add(out, "%" PRIu64 " fault%s", faults, faults == 1 ? "" : "s");
	else
		text_add(out, "sound");
	text_add(out, "%s", term_style(term, TERM_PLAIN));
	if (warnings)
		text_add(out, ", %" PRIu64 " warning%s", warnings, warnings == 1 ? "" : "s");
	text_add(out, "\n");
}

void check_write(const struct check *c, double seconds, struct text *out)
{
	struct term term = term_of(stdout);
	bool quiet = c->options->quiet;
	uint64_t shown = 0;

	for (uint64_t i = 0; i < c->findings.count && shown < SHOWN; i++)
		if (c->findings.list[i].fault || !quiet) {
			add_finding(&c->findings.list[i], &term, out);
			shown++;
		}
	if (shown == SHOWN && c->findings.count > shown)
		text_add(out, "... and more, %" PRIu64 " in all; --json has them\n", c->findings.count);
	if (quiet)
		return;
	add_counts(c, &term, seconds, out);
	add_verdict(c, &term, out);
}

static void add_text(struct text *out, const char *key, const char *value)
{
	if (!value)
		return;
	text_add(out, ", \"%s\": ", key);
	text_json_ascii(out, value);
}

static void add_json(const struct finding *f, struct text *out)
{
	text_add(out, "{\"severity\": \"%s\", \"kind\": \"%s\"", f->fault ? "fault" : "warning", findings_name(f->kind));
	add_text(out, "message", f->message);
	add_text(out, "tensor", f->tensor);
	add_text(out, "file", f->file);
	for (uint32_t i = 0; f->ranks && i < f->rank_count; i++)
		text_add(out, i ? ", %u" : ", \"ranks\": [%u", f->ranks[i]);
	text_add(out, f->ranks && f->rank_count ? "]" : "");
	if (f->index) {
		text_add(out, ", \"index\": [");
		for (uint32_t a = 0; a < f->axes; a++)
			text_add(out, a ? ", %" PRIu64 : "%" PRIu64, f->index[a]);
		text_add(out, "]");
	}
	text_add(out, "}");
}

void check_write_json(const struct check *c, struct text *out)
{
	uint64_t faults = c->findings.faults;

	text_add(out, "{\n  \"verdict\": \"%s\",\n  \"faults\": %" PRIu64 ",\n  \"warnings\": %" PRIu64, faults ? "faulty" : "sound", faults,
		 c->findings.count - faults);
	if (c->model)
		text_add(out, ",\n  \"tensors\": %" PRIu64 ",\n  \"files\": %u,\n  \"bytes_read\": %" PRIu64 ",\n  \"blocks_compared\": %" PRIu64,
			 c->model->checkpoint->count + c->model->checkpoint->outside_count, c->model->sources->count, c->replicas.bytes,
			 c->compared);
	text_add(out, ",\n  \"findings\": [");
	for (uint64_t i = 0; i < c->findings.count; i++) {
		text_add(out, i ? ",\n    " : "\n    ");
		add_json(&c->findings.list[i], out);
	}
	text_add(out, "\n  ]\n}\n");
}
