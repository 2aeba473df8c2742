/* SPDX-License-Identifier: Apache-2.0 */
/* See verbs.h. */
#include <string.h>

#include "fs/options/known.h"
#include "fs/options/suggest.h"
#include "fs/verbs/verbs.h"

static int help_main(int argc, char **argv);

static const struct verb table[] = {
	{ "mount", "[-f] SOURCE... MOUNTPOINT [-o OPTIONS]", "show a distributed checkpoint as one model directory", mount_main, known_help },
	{ "umount", "[-l] MOUNTPOINT", "end a mount, or clear away a dead one; -l: also one in use", umount_main, NULL },
	{ "ls", "SOURCE [PATTERN]", "list tensors: type, shape, bytes, how they are cut, which ranks hold them", ls_main, known_help },
	{ "info", "SOURCE [--dry-run]", "what a checkpoint is; --dry-run: what a view of it would be", info_main, known_help },
	{ "explain", "SOURCE TENSOR [INDEX]", "where a tensor or an element of it lives: rank, file, byte", explain_main, known_help },
	{ "status", "MOUNTPOINT", "what a mount says of itself", status_verb_main, known_help },
	{ "check", "SOURCE [--values]", "look for everything that can be wrong (headers, copies, checksums); exit code 1 when something is",
	  check_main, known_help },
	{ "stats", "SOURCE [PATTERN]", "minimum, maximum, mean, deviation, zeros, NaN, infinities, a histogram; -q: without it, in one reading",
	  stats_main, known_help },
	{ "diff", "A B [PATTERN]", "compare two checkpoints tensor by tensor, whatever their layouts; exit code 1 when they differ",
	  diff_main, diff_help },
	{ "digest", "SOURCE [PATTERN]", "one XXH3-128 a tensor, the same for every layout of the same model", digest_main, known_help },
	{ "export", "SOURCE... DEST [-o OPTIONS]", "write what a mount would show as files; the same command goes on after an interruption",
	  export_main, known_help },
	{ "bench", "MOUNTPOINT [--json]", "how fast a mount, or any folder, is read here: its largest file, in every way, a second each",
	  bench_main, known_help },
	{ "index", "SOURCE FILE", "write what all headers say as one file, for header_cache=FILE on many hosts", index_main, known_help },
	{ "merge-strategy", "DIR FILE", "write the strategies of all stages as one file, for MindSpore", merge_main, known_help },
	{ "help", "[VERB]", "this text, or all about a verb", help_main, NULL },
};

#define TABLE_COUNT (sizeof(table) / sizeof(table[0]))

static const struct verb *look_up(const char *name)
{
	for (size_t i = 0; i < TABLE_COUNT; i++)
		if (strcmp(name, table[i].name) == 0)
			return &table[i];
	return NULL;
}

const struct verb *verbs_find(const char *name)
{
	const struct verb *v = look_up(name);
	struct suggest s = suggest_begin(name);
	struct error line;

	if (v)
		return v;
	for (size_t i = 0; i < TABLE_COUNT; i++)
		suggest_offer(&s, table[i].name);
	error_set(&line, 0, "there is no verb \"%s\"%s%s%s (`gatherfs help` lists them)", name, s.best ? "; did you mean \"" : "",
		  s.best ? s.best : "", s.best ? "\"?" : "");
	fprintf(stderr, "gatherfs: %s\n", line.msg);
	return NULL;
}

void verbs_help(const char *name, FILE *out)
{
	const struct verb *v = look_up(name);

	fprintf(out, "usage: gatherfs %s %s\n%s\n", v->name, v->synopsis, v->help);
	if (v->more) {
		fputc('\n', out);
		v->more(name, out);
	}
}

void verbs_usage(FILE *out)
{
	fputs("usage: gatherfs VERB ...\n\n", out);
	for (size_t i = 0; i < TABLE_COUNT; i++)
		fprintf(out, "  %-14s %-38s %s\n", table[i].name, table[i].synopsis, table[i].help);
	fputs("\n`gatherfs help VERB` tells all about a verb, `gatherfs --version` the version.\n"
	      "Exit codes: 0 done, 1 failed (with one message that says why), 2 wrong usage.\n", out);
}

int verbs_failed(const char *name, const char *message)
{
	fprintf(stderr, "gatherfs %s: %s\n", name, message);
	return VERBS_FAILED;
}

int verbs_misused(const char *name, const char *message)
{
	fprintf(stderr, "gatherfs %s: %s\nusage: gatherfs %s %s   (`gatherfs help %s` tells more)\n", name, message, name,
		look_up(name)->synopsis, name);
	return VERBS_USAGE;
}

static int help_main(int argc, char **argv)
{
	if (argc > 2)
		return verbs_misused("help", "expected one verb at most");
	if (argc == 1) {
		verbs_usage(stdout);
		return VERBS_OK;
	}
	if (!verbs_find(argv[1]))
		return VERBS_USAGE;
	verbs_help(argv[1], stdout);
	return VERBS_OK;
}
