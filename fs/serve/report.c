/* SPDX-License-Identifier: Apache-2.0 */
/* See report.h. */
#include <inttypes.h>
#include <string.h>

#include "fs/serve/report.h"
#include "fs/source/cache.h"

void report_time(struct text *t, time_t when)
{
	char out[32];
	struct tm tm;

	strftime(out, sizeof(out), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&when, &tm));
	text_add(t, "%s", out);
}

void report_field(struct text *t, const char *name, const char *value)
{
	text_add(t, "%-12s ", name);
	text_shown(t, value);
	text_add(t, "\n");
}

void report_fields(struct text *t, const char *name, const struct model_texts *values)
{
	for (uint64_t i = 0; i < values->count; i++)
		report_field(t, i == 0 ? name : "", values->list[i]);
}

void report_problems(struct text *t, struct problems *problems)
{
	uint64_t more = problem_more(problems);
	struct problem p;

	text_add(t, "\nproblems since mounting:%s\n", problem_get(problems, 0, &p) ? "" : " none");
	for (uint32_t i = 0; problem_get(problems, i, &p); i++) {
		text_add(t, "  %" PRIu64 " times, last ", p.count);
		report_time(t, p.last);
		text_add(t, ": ");
		text_shown(t, p.msg);
		text_add(t, "\n");
	}
	if (more)
		text_add(t, "  and %" PRIu64 " times in other files\n", more);
}

/* One member of an object; every object here begins with a member that is always there, so a comma always comes before. */
void report_key(struct text *t, const char *key)
{
	text_add(t, ",\n  \"%s\": ", key);
}

void report_json_text(struct text *t, const char *key, const char *value)
{
	report_key(t, key);
	if (value)
		text_json_ascii(t, value);
	else
		text_add(t, "null");
}

void report_json_number(struct text *t, const char *key, uint64_t value)
{
	report_key(t, key);
	text_add(t, "%" PRIu64, value);
}

void report_json_texts(struct text *t, const char *key, const struct model_texts *values)
{
	report_key(t, key);
	text_add(t, "[");
	for (uint64_t i = 0; i < values->count; i++) {
		text_add(t, i ? ", " : "");
		text_json_ascii(t, values->list[i]);
	}
	text_add(t, "]");
}

void report_json_time(struct text *t, const char *key, time_t when)
{
	report_key(t, key);
	text_add(t, "\"");
	report_time(t, when);
	text_add(t, "\"");
}

void report_json_left_out(struct text *t, const struct checkpoint *ckpt)
{
	report_key(t, "left_out");
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

void report_json_problems(struct text *t, struct problems *problems)
{
	struct problem p;

	report_key(t, "problems");
	text_add(t, "[");
	for (uint32_t i = 0; problem_get(problems, i, &p); i++) {
		text_add(t, "%s\n    {\"message\": ", i ? "," : "");
		text_json_ascii(t, p.msg);
		text_add(t, ", \"count\": %" PRIu64 ", \"first\": \"", p.count);
		report_time(t, p.first);
		text_add(t, "\", \"last\": \"");
		report_time(t, p.last);
		text_add(t, "\"}");
	}
	text_add(t, "]");
	report_json_number(t, "more_problems", problem_more(problems));
}

void report_json_headers(struct text *t, const struct model *m)
{
	struct cache_told told = { .path = NULL };

	if (m->cache)
		cache_tell(m->cache, &told);
	report_key(t, "headers");
	text_add(t, "{\"found\": %" PRIu64 ", \"read\": %" PRIu64, told.found, told.read);
	report_json_text(t, "index", told.path);
	report_json_text(t, "trouble", told.trouble);
	text_add(t, "}");
}
