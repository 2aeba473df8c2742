/* SPDX-License-Identifier: Apache-2.0 */
/* See stats_write.h. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "fs/base/table.h"
#include "fs/verbs/stats_write.h"
#include "layout/checkpoint/describe.h"

#define BAR_MAX 48      /* columns of the longest bar */
#define LINE 80         /* columns where the stream has no width */
#define BESIDE_BAR 44   /* columns of the edges and the count */
#define DIGITS "%.6g"   /* of a number that people read */

static void add_number(struct table *t, bool any, double v)
{
	if (any)
		table_add(t, DIGITS, v);
	else
		table_add(t, "-");
}

/* An end of a tensor: integers of 64 bits in full. */
static void add_end(struct table *t, const struct moments *m, enum values_kind kind, bool max)
{
	char out[VALUES_TEXT];

	if (kind >= VALUES_FLOAT || m->finite == 0)
		add_number(t, m->finite > 0, max ? m->ends.max : m->ends.min);
	else
		table_add(t, "%s", moments_end_text(m, kind, max, out));
}

static void add_row(struct table *t, const struct tensor *tensor, const struct moments *m)
{
	enum values_kind kind = values_kind(tensor->dtype);

	add_end(t, m, kind, false);
	add_end(t, m, kind, true);
	add_number(t, m->finite > 0, m->mean);
	add_number(t, m->finite > 0, sqrt(moments_variance(m)));
	table_add(t, "%" PRIu64, m->zeros);
	table_add(t, "%" PRIu64, m->nans);
	table_add(t, "%" PRIu64, m->plus_infs + m->minus_infs);
	table_add(t, "%s", tensor->name);
}

static void add_totals(const struct stats_write *s, const struct term *term, struct text *out)
{
	const struct moments *m = &s->all;
	uint64_t infs = m->plus_infs + m->minus_infs, numbers = m->finite + m->nans + infs;
	char a[TERM_TEXT], b[TERM_TEXT], c[TERM_TEXT];

	text_add(out, "%s%s tensor%s%s, %s numbers", term_style(term, TERM_BOLD), term_number(a, s->counted), s->counted == 1 ? "" : "s",
		 term_style(term, TERM_PLAIN), term_number(b, numbers));
	if (m->finite > 0)
		text_add(out, ": " DIGITS " to " DIGITS ", mean " DIGITS ", deviation " DIGITS, m->ends.min, m->ends.max, m->mean,
			 sqrt(moments_variance(m)));
	text_add(out, "\n%s zero%s (%.3g%%)", term_number(a, m->zeros), m->zeros == 1 ? "" : "s",
		 numbers ? 100.0 * (double)m->zeros / (double)numbers : 0.0);
	text_add(out, "%s, %s NaN, %s infinite%s\n", m->nans + infs ? term_style(term, TERM_RED) : "", term_number(b, m->nans),
		 term_number(c, infs), m->nans + infs ? term_style(term, TERM_PLAIN) : "");
	if (s->counted < s->count)
		text_add(out, "(without the %s outside the strategy)\n", term_number(a, s->count - s->counted));
}

/* A bar of `eighths` of a column: what is there at all shows. */
static void add_bar(const struct term *term, uint64_t eighths, struct text *out)
{
	static const char *const part[] = { "", "\u258f", "\u258e", "\u258d", "\u258c", "\u258b", "\u258a", "\u2589" };

	text_add(out, " %s", term_style(term, TERM_CYAN));
	for (uint64_t i = 0; i < eighths / 8; i++)
		text_add(out, "%s", term->utf8 ? "\u2588" : "#");
	if (eighths % 8)
		text_add(out, "%s", term->utf8 ? part[eighths % 8] : eighths < 8 ? "." : "");
	text_add(out, "%s", term_style(term, TERM_PLAIN));
}

static void add_histogram(const struct histogram *h, const struct term *term, struct text *out)
{
	uint32_t room = (term->columns ? term->columns : LINE) > BESIDE_BAR + 8 ? (term->columns ? term->columns : LINE) - BESIDE_BAR : 8;
	uint64_t width = 8 * (uint64_t)(room < BAR_MAX ? room : BAR_MAX), most = 0;
	char n[TERM_TEXT];

	for (uint32_t i = 0; i < HISTOGRAM_BINS; i++)
		most = h->count[i] > most ? h->count[i] : most;
	text_add(out, "\n");
	for (uint32_t i = 0; i < HISTOGRAM_BINS; i++) {
		double share = most ? (double)h->count[i] / (double)most : 0;
		uint64_t eighths = (uint64_t)(share * (double)width + 0.5);

		text_add(out, "%11.4g .. %-11.4g %16s", h->edge[i], h->edge[i + 1], term_number(n, h->count[i]));
		if (h->count[i] > 0)
			add_bar(term, eighths ? eighths : 1, out);
		text_add(out, "\n");
	}
}

void stats_write_text(const struct stats_write *s, bool more, struct text *out)
{
	static const struct table_column columns[] = { { "MIN", true, 0 }, { "MAX", true, 0 }, { "MEAN", true, 0 }, { "STD", true, 0 },
						       { "ZEROS", true, 0 }, { "NAN", true, 0 }, { "INF", true, 0 }, { "TENSOR", false, 0 } };
	struct table table = table_new(columns, sizeof(columns) / sizeof(*columns));
	struct term term = term_of(stdout);

	for (uint64_t i = 0; i < s->count; i++)
		add_row(&table, s->tensor[i], &s->of[i]);
	table_write(&table, &term, more, out);
	table_free(&table);
	if (more)
		add_totals(s, &term, out);
	if (more && s->has_histogram)
		add_histogram(&s->histogram, &term, out);
}

static void json_number(struct text *out, const char *name, bool any, double v)
{
	char number[VALUES_TEXT];

	text_add(out, ", \"%s\": %s", name, any && __builtin_isfinite(v) ? values_text_double(v, number) : "null");
}

static void json_end(struct text *out, const struct moments *m, enum values_kind kind, bool max)
{
	char number[VALUES_TEXT];

	text_add(out, ", \"%s\": %s", max ? "max" : "min", m->finite ? moments_end_text(m, kind, max, number) : "null");
}

/* The members that a tensor and all of them have. */
static void json_moments(struct text *out, const struct moments *m, enum values_kind kind)
{
	text_add(out, "\"finite\": %" PRIu64 ", \"zeros\": %" PRIu64 ", \"nan\": %" PRIu64 ", \"inf\": %" PRIu64 ", \"minus_inf\": %" PRIu64,
		 m->finite, m->zeros, m->nans, m->plus_infs, m->minus_infs);
	json_end(out, m, kind, false);
	json_end(out, m, kind, true);
	json_number(out, "mean", m->finite > 0, m->mean);
	json_number(out, "std", m->finite > 0, sqrt(moments_variance(m)));
}

static void json_histogram(struct text *out, const struct histogram *h)
{
	char number[VALUES_TEXT];

	text_add(out, "{\"edges\": [");
	for (uint32_t i = 0; i <= HISTOGRAM_BINS; i++)
		text_add(out, i ? ", %s" : "%s", values_text_double(h->edge[i], number));
	text_add(out, "], \"counts\": [");
	for (uint32_t i = 0; i < HISTOGRAM_BINS; i++)
		text_add(out, i ? ", %" PRIu64 : "%" PRIu64, h->count[i]);
	text_add(out, "]}");
}

void stats_write_json(const struct stats_write *s, struct text *out)
{
	text_add(out, "{\n  \"tensors\": [");
	for (uint64_t i = 0; i < s->count; i++) {
		const struct tensor *t = s->tensor[i];

		text_add(out, "%s\n    {\"name\": ", i ? "," : "");
		text_json_ascii(out, t->name);
		text_add(out, ", \"dtype\": \"%s\", \"shape\": ", dtype_name(t->dtype));
		describe_numbers(out, t->shape, t->axes);
		text_add(out, ", ");
		json_moments(out, &s->of[i], values_kind(t->dtype));
		text_add(out, "}");
	}
	text_add(out, "\n  ],\n  \"all\": {\"tensors\": %" PRIu64 ", ", s->counted);
	json_moments(out, &s->all, VALUES_FLOAT);
	text_add(out, "},\n  \"histogram\": ");
	if (s->has_histogram)
		json_histogram(out, &s->histogram);
	else
		text_add(out, "null");
	text_add(out, "\n}\n");
}
