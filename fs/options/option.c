/* SPDX-License-Identifier: Apache-2.0 */
/* See option.h. Everything but what an option does is its line in the table. */
#include <errno.h>
#include <string.h>

#include "fs/options/option.h"
#include "fs/options/scope.h"
#include "fs/options/value.h"

#define READAHEAD_LEAST (UINT64_C(4) << 10)
#define READAHEAD_MOST (UINT64_C(64) << 20) /* bytes: the kernel takes as much for each file that is read in order */

int option_push(struct options *o, struct options_list *list, const char *item, struct error *err)
{
	if (list->count == list->capacity) {
		uint32_t capacity = list->capacity ? list->capacity * 2 : 8;
		const char **bigger = arena_alloc(o->arena, capacity, sizeof(*bigger));

		if (!bigger)
			return error_nomem(err);
		for (uint32_t i = 0; i < list->count; i++)
			bigger[i] = list->item[i];
		list->item = bigger;
		list->capacity = capacity;
	}
	list->item[list->count++] = item;
	return 0;
}

int option_push_path(struct options *o, struct options_list *list, const char *value, struct error *err)
{
	const char *path;
	int rc = value_path(value, o->arena, &path, err);

	return rc < 0 ? rc : option_push(o, list, path, err);
}

static int set_strategy(struct options *o, const char *value, struct error *err)
{
	if (strcmp(value, "none") == 0) {
		o->strategy_none = true;
		return 0;
	}
	return option_push_path(o, &o->strategy, value, err);
}

static int set_step(struct options *o, const char *value, struct error *err)
{
	o->step = value;
	return *value ? 0 : error_set(err, -EINVAL, "expected a step such as 1_100, found \"\"");
}

static int set_steps(struct options *o, const char *value, struct error *err)
{
	o->all_steps = strcmp(value, "all") == 0;
	return o->all_steps ? 0 : error_set(err, -EINVAL, "expected all, found \"%s\"", value);
}

static int set_part_size(struct options *o, const char *value, struct error *err)
{
	int rc = value_size(value, &o->part_size, err);

	return rc == 0 && o->part_size == 0 ? error_set(err, -EINVAL, "expected at least one byte, found \"%s\"", value) : rc;
}

static int set_index(struct options *o, const char *value, struct error *err)
{
	o->index = strcmp(value, "ms") == 0 ? OPTIONS_INDEX_MS : OPTIONS_INDEX_HF;
	if (o->index == OPTIONS_INDEX_HF && strcmp(value, "hf") != 0)
		return error_set(err, -EINVAL, "expected ms or hf, found \"%s\"", value);
	return 0;
}

static int set_filter(struct options *o, const char *value, struct error *err)
{
	if (!*value)
		return error_set(err, -EINVAL, "an empty prefix would drop every tensor");
	return option_push(o, &o->filter, value, err);
}

static int set_names(struct options *o, const char *value, struct error *err)
{
	o->has_names = strcmp(value, "keep") != 0;
	o->names = o->has_names ? recipe_naming_find(value) : RECIPE_HF;
	return o->names < RECIPE_NAMINGS ? 0 : error_set(err, -EINVAL, "expected keep, hf, legacy, mcore or mcore-train, found \"%s\"", value);
}

static int set_recipe(struct options *o, const char *value, struct error *err)
{
	return value_path(value, o->arena, &o->recipe, err);
}

static int set_model(struct options *o, const char *value, struct error *err)
{
	o->model = value;
	return *value ? 0 : error_set(err, -EINVAL, "expected a family of models such as llama, found \"\"");
}

static int set_set(struct options *o, const char *value, struct error *err)
{
	const char *sign = strchr(value, '=');

	if (!sign || sign == value || !sign[1])
		return error_set(err, -EINVAL, "expected KEY=VALUE, found \"%s\"", value);
	return option_push(o, &o->set, value, err);
}

static int set_outside(struct options *o, const char *value, struct error *err)
{
	o->outside_rank0 = true;
	return strcmp(value, "rank0") == 0 ? 0 : error_set(err, -EINVAL, "expected rank0, found \"%s\"", value);
}

static int set_to(struct options *o, const char *value, struct error *err)
{
	o->to_same = strcmp(value, "same") == 0;
	return o->to_same ? 0 : value_path(value, o->arena, &o->to, err);
}

static int set_ranks(struct options *o, const char *value, struct error *err)
{
	return value_ranges(value, o->arena, &o->ranks, &o->range_count, err);
}

static int set_prefix(struct options *o, const char *value, struct error *err)
{
	o->prefix = value;
	return *value && *value != '.' && !strchr(value, '/') ?
		       0 : error_set(err, -EINVAL, "expected the beginning of a file's name, found \"%s\"", value);
}

static int set_header_cache(struct options *o, const char *value, struct error *err)
{
	o->no_header_cache = strcmp(value, "off") == 0;
	return o->no_header_cache ? 0 : value_path(value, o->arena, &o->header_cache, err);
}

static int set_max_threads(struct options *o, const char *value, struct error *err)
{
	uint64_t n = 0;
	int rc = value_number(value, 1, 1024, &n, err);

	o->max_threads = (uint32_t)n;
	return rc;
}

static int set_readahead(struct options *o, const char *value, struct error *err)
{
	int rc = value_size(value, &o->readahead, err);

	if (rc == 0 && o->readahead && (o->readahead < READAHEAD_LEAST || o->readahead > READAHEAD_MOST))
		return error_set(err, -EINVAL, "expected 4K to 64M, or 0, found \"%s\"", value);
	return rc;
}

static int set_cache_budget(struct options *o, const char *value, struct error *err)
{
	if (strcmp(value, "off") != 0)
		return value_size(value, &o->cache_budget, err);
	o->cache_budget = 0;
	return 0;
}

/* (uid_t)-1 means "nobody in particular" to the kernel, so it is no user. */
static int set_uid(struct options *o, const char *value, struct error *err)
{
	uint64_t id = 0;
	int rc = value_number(value, 0, UINT32_MAX - 1, &id, err);

	o->uid = (uid_t)id;
	o->has_uid = true;
	return rc;
}

static int set_gid(struct options *o, const char *value, struct error *err)
{
	uint64_t id = 0;
	int rc = value_number(value, 0, UINT32_MAX - 1, &id, err);

	o->gid = (gid_t)id;
	o->has_gid = true;
	return rc;
}

static int set_mode(struct options *o, const char *value, struct error *err)
{
	o->has_mode = true;
	return value_mode(value, &o->mode, err);
}

static int set_fsname(struct options *o, const char *value, struct error *err)
{
	o->fsname = value;
	return *value ? 0 : error_set(err, -EINVAL, "expected a name, found \"\"");
}

#define PLACE(field) offsetof(struct options, field)

static const struct option table[] = {
	{ "source", OPTION_PATHS, SCOPE_SOURCES | SCOPE_INDEX, NULL, PLACE(source), "DIR", "the SOURCE, where there is no argument for it" },
	{ "strategy", OPTION_LIST, SCOPE_SOURCES | SCOPE_INDEX, set_strategy, 0, "FILE|DIR|none",
	  "strategy files (default: the folder `strategy` beside or inside SOURCE);\n"
	  "none: every rank holds whole tensors" },
	{ "step", OPTION_VALUE, SCOPE_SOURCES | SCOPE_INDEX, set_step, 0, "STEP",
	  "which step of the training to show (default: the newest that is complete)" },
	{ "steps", OPTION_VALUE, SCOPE_MOUNT, set_steps, 0, "all",
	  "a folder for each complete step, and a link `latest`; follows a training" },
	{ "index", OPTION_VALUE, SCOPE_VIEWS, set_index, 0, "ms|hf",
	  "write MindSpore's param_name_map.json or Hugging Face's index" },
	{ "part_size", OPTION_VALUE, SCOPE_VIEWS, set_part_size, 0, "SIZE", "most bytes of tensors in one file (default 3G)" },
	{ "filter", OPTION_LIST, SCOPE_SOURCES | SCOPE_INDEX, set_filter, 0, "PREFIX", "leave out tensors whose names begin so" },
	{ "rename", OPTION_PATHS, SCOPE_SOURCES, NULL, PLACE(rename), "FILE",
	  "rules `FROM TO` for tensor names: POSIX extended expressions, \\1 in TO" },
	{ "names", OPTION_VALUE, SCOPE_SOURCES, set_names, 0, "keep|hf|legacy|mcore|mcore-train",
	  "names of the tensors: as they are (default), Hugging Face's, or those\n"
	  "of MindSpore Transformers: legacy, mcore (inference), mcore-train (fused)" },
	{ "recipe", OPTION_VALUE, SCOPE_SOURCES, set_recipe, 0, "FILE",
	  "how a family's names correspond, where gatherfs does not know it" },
	{ "model", OPTION_VALUE, SCOPE_SOURCES, set_model, 0, "FAMILY",
	  "which family it is (default: the model_type of config.json says)" },
	{ "set", OPTION_LIST, SCOPE_SOURCES, set_set, 0, "KEY=VALUE",
	  "for names=: take this for a key of config.json, such as qkv_concat=true" },
	{ "with", OPTION_PATHS, SCOPE_SOURCES, NULL, PLACE(with), "DIR", "show its small files too (config.json, tokenizers)" },
	{ "outside", OPTION_VALUE, SCOPE_SOURCES | SCOPE_INDEX, set_outside, 0, "rank0",
	  "trust rank 0 for tensors that the strategy does not know" },
	{ "to", OPTION_VALUE, SCOPE_VIEWS, set_to, 0, "STRATEGY|same",
	  "show rank_N/ folders of this strategy, whatever SOURCE is;\n"
	  "same: as SOURCE is cut" },
	{ "ranks", OPTION_VALUE, SCOPE_VIEWS, set_ranks, 0, "RANKS", "only these ranks of to=, such as 0-7+16" },
	{ "prefix", OPTION_VALUE, SCOPE_VIEWS, set_prefix, 0, "NAME",
	  "how the files of to= begin (default: as SOURCE's do, else net)" },
	{ "header_cache", OPTION_VALUE, SCOPE_SOURCES, set_header_cache, 0, "DIR|FILE|off",
	  "where headers are remembered (default: gatherfs in $XDG_CACHE_HOME\n"
	  "or ~/.cache, for root /var/cache); an index that `gatherfs index` wrote; off" },
	{ "max_threads", OPTION_VALUE, SCOPE_READS, set_max_threads, 0, "N",
	  "threads that work (default: one more than processors, at most 16; for slow sources twice as many)" },
	{ "readahead", OPTION_VALUE, SCOPE_MOUNT, set_readahead, 0, "SIZE",
	  "read-ahead of the mount; only root can raise it (default 1M; 0: leave it)" },
	{ "cache_budget", OPTION_VALUE, SCOPE_MOUNT, set_cache_budget, 0, "SIZE|off",
	  "how far ahead of its readers slow sources are read, of all readers together\n(default 256M)" },
	{ "direct_io", OPTION_FLAG, SCOPE_MOUNT, NULL, PLACE(direct_io), NULL,
	  "keep nothing in the page cache: faster for programs that read a file once" },
	{ "trust_sources", OPTION_FLAG, SCOPE_MOUNT, NULL, PLACE(trust_sources), NULL,
	  "reply straight from the sources, with no look at them afterwards: only for\n"
	  "checkpoints that nobody touches" },
	{ "allow_other", OPTION_FLAG, SCOPE_MOUNT, NULL, PLACE(allow_other), NULL,
	  "let other users in, as far as modes allow" },
	{ "follow", OPTION_FLAG, SCOPE_MOUNT, NULL, PLACE(follow), NULL,
	  "with allow_other: follow links that lead out of SOURCE" },
	{ "allow_root", OPTION_FLAG, SCOPE_MOUNT, NULL, PLACE(allow_root), NULL, "let root in" },
	{ "default_permissions", OPTION_FLAG, SCOPE_MOUNT, NULL, PLACE(default_permissions), NULL, "check modes (always on)" },
	{ "uid", OPTION_VALUE, SCOPE_MAKES, set_uid, 0, "UID", "owner to show; for root" },
	{ "gid", OPTION_VALUE, SCOPE_MAKES, set_gid, 0, "GID", "group to show; for root" },
	{ "mode", OPTION_VALUE, SCOPE_MAKES, set_mode, 0, "OCTAL", "modes of files to show; for root" },
	{ "fsname", OPTION_VALUE, SCOPE_MOUNT, set_fsname, 0, "NAME", "source to show in /proc/mounts (default: SOURCE)" },
	{ "foreground", OPTION_FLAG, SCOPE_MOUNT, NULL, PLACE(foreground), NULL,
	  "-f: stay, and log to the standard error stream" },
	{ "debug", OPTION_FLAG, SCOPE_MOUNT, NULL, PLACE(debug), NULL, "-d: print every request; implies -f" },
	{ "json", OPTION_FLAG, SCOPE_PRINTS, NULL, PLACE(json), NULL, "print JSON, for programs" },
	{ "quiet", OPTION_FLAG, SCOPE_QUIETS, NULL, PLACE(quiet), NULL, "-q: no progress bar, nothing that is not asked for" },
	{ "values", OPTION_FLAG, SCOPE_CHECK, NULL, PLACE(values), NULL, "look for NaN and infinities too" },
	{ "dry_run", OPTION_FLAG, SCOPE_MOUNT | SCOPE_INFO, NULL, PLACE(dry_run), NULL,
	  "mount: check everything, but do not mount; info: what a view would look like" },
	{ "verify", OPTION_FLAG, SCOPE_EXPORT, NULL, PLACE(verify), NULL,
	  "read everything back and compare; alone for a finished export" },
	{ "restart", OPTION_FLAG, SCOPE_EXPORT, NULL, PLACE(restart), NULL,
	  "throw away what an interrupted export has, and begin anew" },
	{ "sloppy", OPTION_FLAG, SCOPE_MOUNT, NULL, PLACE(sloppy), NULL,
	  "step over unknown options behind this one, as mount -s asks" },
	{ "help", OPTION_FLAG, SCOPE_ALL, NULL, PLACE(help), NULL, "-h: this text" },
	{ "auto_unmount", OPTION_REFUSED, SCOPE_MOUNT, NULL, 0, NULL,
	  "an empty directory in place of a lost mount looks as if the model were deleted; "
	  "clear a dead mount with `gatherfs umount`" },
	{ "remount", OPTION_REFUSED, SCOPE_MOUNT, NULL, 0, NULL,
	  "the options of a mount do not change: unmount, then mount anew" },
	{ "nonempty", OPTION_REFUSED, SCOPE_MOUNT, NULL, 0, NULL, "a mount never hides files: use an empty directory" },
};

#define TABLE_COUNT (sizeof(table) / sizeof(table[0]))
_Static_assert(TABLE_COUNT <= 64, "struct options.seen has a bit for each");

const struct option *option_row(uint32_t number)
{
	return number < TABLE_COUNT ? &table[number] : NULL;
}
