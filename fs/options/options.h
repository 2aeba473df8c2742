/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Options of the command line, of mount(8) and of fstab, in one grammar: `-o a=1,b` or `--a 1`, `--a=1`, `--b`, anywhere among
 * the arguments, until `--`. Commas split; `\,` and `\\` are the only escapes; colons mean nothing. One table (option.c)
 * says what there is, and the help is printed from it.
 *
 * Invariants of parsed options: nothing unknown, nothing that means nothing to the verb, nothing twice but lists, every value
 * inside its range, paths absolute.
 */
#ifndef FS_OPTIONS_H
#define FS_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "fs/options/value.h"
#include "layout/base/arena.h"
#include "layout/base/error.h"
#include "layout/names/recipe.h"

#define OPTIONS_PART_SIZE (UINT64_C(3) << 30) /* bytes: part_size where none is given */
/*
 * Bytes: readahead= where none is given. With 4 MiB, readers in order get 0.6 of what they get with 1 MiB from slow storage, for then the
 * kernel's own requests are in the way of those that read ahead.
 */
#define OPTIONS_READAHEAD (UINT64_C(1) << 20)
#define OPTIONS_CACHE_BUDGET (UINT64_C(256) << 20) /* bytes: cache_budget where none is given */

enum options_index {
	OPTIONS_INDEX_AUTO, /* not given: hf with names=hf, ms with other names, else as the source has it, else ms */
	OPTIONS_INDEX_MS,
	OPTIONS_INDEX_HF,
};

struct options_list {
	const char **item; /* [count] */
	uint32_t count, capacity;
};

struct fence;

struct options {
	const char *verb;            /* whose options they are */
	struct arena *arena;         /* owns all of it */
	struct options_list args;    /* arguments that are no options, as given */
	struct options_list source;  /* absolute: SOURCE arguments (options_take_point()), then source= */
	struct options_list strategy; /* absolute; empty: look beside the source */
	bool strategy_none;          /* strategy=none: every rank holds whole tensors */
	struct options_list filter;  /* prefixes of names to drop */
	struct options_list with;    /* absolute */
	struct options_list rename;  /* absolute: files of rules */
	bool has_names;              /* names= other than keep: */
	enum recipe_naming names;
	const char *recipe;          /* absolute: a recipe of one's own; NULL: one of those that there are */
	const char *model;           /* family of models; NULL: config.json says */
	struct options_list set;     /* KEY=VALUE: what a recipe shall take for a key of config.json */
	const char *step;            /* NULL: the newest */
	bool all_steps;              /* steps=all: a folder for each step */
	uint64_t part_size;          /* bytes; 0: not given */
	enum options_index index;
	bool outside_rank0;          /* outside=rank0 */

	const char *to;              /* absolute: the target strategy of a rank view; NULL: not given */
	bool to_same;                /* to=same: rank views in the source's own layout */
	struct value_range *ranks;   /* [range_count] of the target to show; none: all */
	uint32_t range_count;
	const char *prefix;          /* of the files in a rank view; NULL: as the source has it */

	bool no_header_cache;        /* header_cache=off */
	const char *header_cache;    /* absolute: a folder of indexes, or one index; NULL: the user's folder */

	const char *mountpoint;      /* absolute, last component not resolved */
	const char *fsname;          /* NULL: the source */
	uint32_t max_threads;        /* 0: not given */
	uint64_t readahead;          /* bytes; 0: leave it alone */
	uint64_t cache_budget;       /* bytes; 0: off */
	bool direct_io, trust_sources;
	bool allow_other, allow_root, default_permissions, foreground, debug, help;
	bool follow;                 /* with allow_other, links that lead out of SOURCE */
	const struct fence *fence;   /* else what they may not lead out of (fence.h); NULL: they may */
	bool sloppy;                 /* step over unknown options */
	bool json, quiet;            /* of the verbs that print lists */
	bool values, dry_run;        /* check: look at the values too; mount, info: only find out what would be */
	bool verify, restart;        /* export: compare what was written; begin anew */
	bool has_uid, has_gid, has_mode;
	uid_t uid;
	gid_t gid;
	mode_t mode;                 /* of files; folders get an x for each r */
	uint64_t seen;               /* which entries of the table were given, as bits */
};

/*
 * Parses argv[0 .. argc), the arguments of `verb`, which must outlive *out. -EINVAL with a message for the user, or -ENOMEM.
 * options_free() in any case.
 */
int options_parse(const char *verb, int argc, char *const *argv, struct options *out, struct error *err);
void options_free(struct options *o);

/* Splits the arguments into SOURCE... and MOUNTPOINT. -EINVAL when there is no source or no mount point. */
int options_take_point(struct options *o, struct error *err);

#endif
