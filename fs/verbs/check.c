/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gatherfs check: everything that can be wrong with a SOURCE. A fault must not hide others, so a file that is refused is told and left
 * out, and looking goes on; only when nothing can be made of the rest it ends there.
 */
#include <errno.h>
#include <time.h>

#include "fs/base/term.h"
#include "fs/verbs/checking.h"
#include "fs/verbs/subject.h"
#include "fs/verbs/verbs.h"

static void refused(void *arg, const char *message)
{
	struct findings *f = arg;

	findings_add(f, FINDINGS_FILE, true, "%s", message);
}

/* What the index that a mount would use says of headers, and they do not say. */
static void add_lies(struct check *c)
{
	uint64_t count = 0;
	const char *const *lies = c->model->cache ? cache_lies(c->model->cache, &count) : NULL;

	for (uint64_t i = 0; i < count; i++)
		findings_add(&c->findings, FINDINGS_INDEX, true, "%s", lies[i]);
}

/* Loads the model, or finds why there is none. A negative errno only when there was nothing to check. */
static int load(struct check *c, struct subject *s, struct error *err)
{
	struct load_look look = { .refused = refused, .arg = &c->findings, .cache = CACHE_COMPARE };
	int code = load_look(&s->options, &look, &s->model, err);

	c->model = s->model;
	if (code == 0)
		for (uint64_t i = 0; i < c->model->warnings.count; i++)
			findings_add(&c->findings, FINDINGS_LOAD, false, "%s", c->model->warnings.list[i]);
	if (code == 0)
		add_lies(c);
	if (code == 0 || code == -ENOMEM)
		return code;
	if (c->findings.count == 0 && code != -EINVAL && code != -ENODATA)
		return code; /* no such SOURCE, or it may not be read */
	findings_add(&c->findings, code == -ENODATA ? FINDINGS_COVERAGE : FINDINGS_FILE, true, "%s", err->msg);
	return 0;
}

static int look(struct check *c, struct error *err)
{
	int code = check_read(c, err);

	if (code < 0)
		return code;
	check_copies(c);
	check_stages(c);
	check_values(c);
	check_ranks(c);
	return 0;
}

static double seconds_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int check(struct check *c, struct subject *s, struct error *err)
{
	double began = seconds_now();
	struct text out = TEXT_EMPTY;
	int code = load(c, s, err);

	if (code == 0 && c->model)
		code = look(c, err);
	if (code < 0)
		return code;
	check_meta(c);
	if (c->findings.failed)
		return error_nomem(err);
	if (s->options.json)
		check_write_json(c, &out);
	else
		check_write(c, seconds_now() - began, &out);
	code = term_output(&out, err);
	return code < 0 ? code : c->findings.faults ? VERBS_FAILED : VERBS_OK;
}

static int run(struct subject *s, struct error *err)
{
	struct check c = { .options = &s->options, .arena = arena_new() };
	int code;

	if (!c.arena)
		return error_nomem(err);
	c.findings = findings_new(c.arena);
	code = check(&c, s, err);
	arena_free(c.arena);
	return code;
}

int check_main(int argc, char **argv)
{
	struct subject s;
	struct error err = { "" };
	int code = subject_begin(&s, argc, argv, 0, 0);

	return subject_end(&s, code == SUBJECT_GO ? run(&s, &err) : code, &err);
}
