/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where A and B stand among the arguments is found by the grammar of options itself: an argument that is no option is the last one of
 * the shortest beginning that has such an argument.
 */
#include <stdlib.h>
#include <string.h>

#include "fs/verbs/diff_sides.h"
#include "fs/verbs/verbs.h"

/* The place of the first argument at or behind `from` that is no option, or argc. */
static int find_argument(int argc, char **argv, int from)
{
	for (int end = from + 1; end <= argc; end++) {
		struct options o;
		struct error err;
		bool found = options_parse(argv[0], end - from, argv + from, &o, &err) == 0 && o.args.count > 0;

		options_free(&o);
		if (found)
			return end - 1;
	}
	return argc;
}

/* argv[0], what stands before A, and [from, to): the arguments of one side, in `out`. Returns how many. */
static int side_arguments(char **argv, int a, int from, int to, char **out)
{
	int count = 0;

	for (int i = 0; i < a; i++)
		out[count++] = argv[i];
	for (int i = from; i < to; i++)
		out[count++] = argv[i];
	return count;
}

/* Says why there are no two SOURCEs, or helps. */
static int misused(int argc, char **argv)
{
	struct error err = { "expected two SOURCEs" };
	struct options o;
	int code = options_parse(argv[0], argc - 1, argv + 1, &o, &err);
	bool help = code == 0 && o.help;

	options_free(&o);
	if (help)
		verbs_help(argv[0], stdout);
	return help ? VERBS_OK : verbs_misused(argv[0], err.msg);
}

int diff_sides_begin(struct diff_sides *s, int argc, char **argv)
{
	char **own = calloc((size_t)argc + 1, sizeof(*own));
	int a = find_argument(argc, argv, 1), b, code;

	*s = (struct diff_sides){ .json = false };
	b = a < argc ? find_argument(argc, argv, a + 1) : argc;
	if (!own || b == argc) {
		free(own);
		return own ? misused(argc, argv) : verbs_failed(argv[0], "out of memory");
	}
	code = subject_begin(&s->a, side_arguments(argv, a, a, b, own), own, 0, 0);
	if (code == SUBJECT_GO)
		code = subject_begin(&s->b, side_arguments(argv, a, b, argc, own), own, 0, 1);
	free(own);
	s->json = s->a.options.json || s->b.options.json;
	s->quiet = s->a.options.quiet || s->b.options.quiet;
	s->threads = s->b.options.max_threads ? s->b.options.max_threads : s->a.options.max_threads;
	return code;
}

void diff_sides_end(struct diff_sides *s)
{
	struct error none = { "" };

	subject_end(&s->a, VERBS_OK, &none);
	subject_end(&s->b, VERBS_OK, &none);
}
