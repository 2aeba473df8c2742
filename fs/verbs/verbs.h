/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of verbs: `gatherfs VERB ...`. A verb is one line of the table and one function in a file of its own.
 */
#ifndef FS_VERBS_H
#define FS_VERBS_H

#include <stdio.h>

enum verbs_exit {
	VERBS_OK = 0,     /* done */
	VERBS_FAILED = 1, /* the work failed: input that is refused, a mount that is not possible ... */
	VERBS_USAGE = 2,  /* it was not understood what to do */
};

struct verb {
	const char *name, *synopsis, *help;
	int (*run)(int argc, char **argv); /* argv[0] is the verb; an enum verbs_exit */
	void (*more)(const char *verb, FILE *out); /* prints the rest of the help; NULL where that is all */
};

/* Finds a verb, or prints what was probably meant to the standard error stream and returns NULL. */
const struct verb *verbs_find(const char *name);

/* Print the help of one verb, by name, and of the whole program. */
void verbs_help(const char *name, FILE *out);
void verbs_usage(FILE *out);

/* Print "gatherfs VERB: MESSAGE", for wrong usage with how to do it right; they return the exit code. */
int verbs_failed(const char *name, const char *message);
int verbs_misused(const char *name, const char *message);

/* Every verb's function, defined in the verb's file. */
int mount_main(int argc, char **argv);
int umount_main(int argc, char **argv);
int merge_main(int argc, char **argv);
int export_main(int argc, char **argv);
int ls_main(int argc, char **argv);
int stats_main(int argc, char **argv);
int diff_main(int argc, char **argv);
int digest_main(int argc, char **argv);
int check_main(int argc, char **argv);
int info_main(int argc, char **argv);
int explain_main(int argc, char **argv);
int index_main(int argc, char **argv);
int status_verb_main(int argc, char **argv);
int bench_main(int argc, char **argv);

/* The program under the name mount.gatherfs (helper.c); the exit codes are mount(8)'s. */
int helper_main(int argc, char **argv);

/* The rest of the help of a verb that has more to say than its options. */
void diff_help(const char *verb, FILE *out);

#endif
