/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the parts of loading share: private to load*.c. Each kind of source is a file of its own (load_ranks.c,
 * load_unified.c), which fills the model's checkpoint and sources; load.c does what comes before and after, and
 * loading.c has what they all need.
 */
#ifndef FS_LOADING_H
#define FS_LOADING_H

#include "fs/model/load.h"

struct loading {
	const struct options *options;
	struct load_base *base;    /* the strategies */
	const struct load_look *look; /* NULL for a mount */
	struct model *model;
	const char *source;        /* absolute path of SOURCE */
	struct scan_list entries;  /* of the SOURCE directory */
	bool is_file;              /* SOURCE is one file; entries then is it alone */
	struct pairs warnings;     /* sentence -> "" */
	bool unified;              /* SOURCE holds whole tensors */
	bool one_of_many;          /* the model is one step's folder in a mount of several */
	struct step step;          /* of the files that are shown; not counted where nothing tells */
	const uint32_t *ranks;     /* [rank_count] that have a folder, ascending */
	uint64_t rank_count;
	const char *sample;        /* name of one of the ranks' files; NULL for a unified SOURCE */
	const char *common;        /* folder of an iteration that has common.json; else NULL */
	bool own_hf_index;         /* SOURCE has model.safetensors.index.json */
	bool as_it_is;             /* the view shows SOURCE's own files; no tensors are laid out anew */
	mode_t folders;            /* AND of the modes of SOURCE's folders */
};

/* Begins with no source at all, for an attempt that may be one of several. */
int load_begin_sources(struct loading *ld, struct error *err);

/*
 * Opens the weights files `files` [count], by rank, as new sources, whose numbers go into them, and adds them to the checkpoint, as far as
 * they are not refused (load_refused()).
 */
int load_add(struct loading *ld, struct checkpoint_builder *builder, struct checkpoint_file *files, uint64_t count, struct error *err);

/* What becomes of an error that one file has: 0 when somebody was told and the file counts as missing, else `code`. */
int load_refused(const struct loading *ld, int code, const struct error *err);

/* Notes a sentence for the status and the user. 0 or -ENOMEM. */
int load_warn(struct loading *ld, const char *sentence, struct error *err);

/* Takes a folder of SOURCE into account for the modes that the mount shows. */
void load_folder_mode(struct loading *ld, const char *path);

/* True when a small file called `name` may show through from SOURCE or with=. */
bool load_shows_through(const struct scan_entry *entry);

/* Adds the file `dir`/`name` to the view as it is, unless the view has that name. */
int load_file(struct loading *ld, const char *dir, const char *name, struct error *err);

/* Owner, modes and time of the model, whose sources are all open. */
void load_attributes(struct loading *ld);

/* What a rank view will read of the source; *out NULL where that is all of it. */
int load_to_needs(struct loading *ld, const struct checkpoint_needs **out, struct error *err);

/* The value of a counter that is one whole number of 32 or 64 bits; false for anything else, and for a negative one. */
bool load_counter(const struct loading *ld, const char *name, uint64_t *out);

/* Adds common.json to a unified view, where the counters are known. */
int load_common(struct loading *ld, struct error *err);

/* Gives the tensors the names that names= asks for. */
int load_names(struct loading *ld, struct error *err);

/* Lays the view out as rank folders (to=). */
int load_to_ranks(struct loading *ld, struct error *err);

/* The two kinds of source. `paths` of a unified one come from SOURCE's entries, or from SOURCE itself when that is a file. */
int load_ranks_fill(struct loading *ld, bool *found, struct error *err);
int load_unified_fill(struct loading *ld, struct error *err);

/* The iterations of MindSpore Transformers 2.x; *found false when SOURCE has none. */
int load_iteration_fill(struct loading *ld, bool *found, struct error *err);

/* The one whose folder is called `name`. -ENODATA while it may still be in the making. */
int load_iteration_one(struct loading *ld, const char *name, struct error *err);

/* The checkpoint of one step of a distributed SOURCE. */
int load_ranks_one(struct loading *ld, const struct load_step *step, struct error *err);

#endif
