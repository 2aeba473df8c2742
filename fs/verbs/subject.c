/* SPDX-License-Identifier: Apache-2.0 */
/* See subject.h. */
#include <errno.h>
#include <stdio.h>

#include "fs/options/option.h"
#include "fs/verbs/subject.h"
#include "fs/verbs/verbs.h"

/* Takes SOURCE out of the arguments. */
static int take_source(struct subject *s, struct error *err)
{
	struct options *o = &s->options;
	uint32_t first = o->source.count == 0;

	if (first && o->args.count == 0)
		return error_set(err, -EINVAL, "expected SOURCE");
	s->args = (const char *const *)o->args.item + first;
	s->arg_count = o->args.count - first;
	return first ? option_push_path(o, &o->source, o->args.item[0], err) : 0;
}

int subject_begin(struct subject *s, int argc, char **argv, uint32_t least, uint32_t most)
{
	struct error err = { "" };
	int code;

	*s = (struct subject){ .verb = argv[0] };
	code = options_parse(argv[0], argc - 1, argv + 1, &s->options, &err);
	if (code == 0 && s->options.help) {
		verbs_help(s->verb, stdout);
		return VERBS_OK;
	}
	if (code == 0 && s->options.source.count + s->options.args.count == 0)
		return verbs_misused(s->verb, "expected SOURCE");
	if (code == 0 && (code = take_source(s, &err)) < 0)
		return verbs_failed(s->verb, err.msg);
	if (code == 0 && (s->arg_count < least || s->arg_count > most))
		code = error_set(&err, -EINVAL, "expected %s arguments behind SOURCE", s->arg_count < least ? "more" : "fewer");
	return code < 0 ? verbs_misused(s->verb, err.msg) : SUBJECT_GO;
}

int subject_load(struct subject *s, bool view, struct error *err)
{
	struct load_look look = { .view = view };

	return load_look(&s->options, &look, &s->model, err);
}

int subject_end(struct subject *s, int code, const struct error *err)
{
	int exit_code = code < 0 ? verbs_failed(s->verb, err->msg) : code;

	model_free(s->model);
	options_free(&s->options);
	return exit_code;
}
