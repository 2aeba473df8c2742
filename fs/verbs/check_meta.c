/* SPDX-License-Identifier: Apache-2.0 */
/*
 * meta.json of the rank folders: where a training resumes. It must be what CheckpointMonitor writes, name a file that is there and
 * say of it what its name says; ranks should agree, and not lag behind the files.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "fs/source/slurp.h"
#include "fs/verbs/checking.h"
#include "layout/base/json.h"

#define META_MAX (UINT64_C(64) << 10) /* bytes */

struct meta {
	uint64_t epoch, step;
	const char *file;
	bool there; /* it could be read, and is right */
};

static int parse(struct bytes text, struct arena *arena, struct meta *out, struct error *err)
{
	struct json_doc *doc;
	const json *file;
	int code = json_parse(text, META_MAX, &doc, err);

	if (code < 0)
		return code;
	file = json_get(json_root(doc), "last_ckpt_file");
	if (!json_is_object(json_root(doc)))
		code = error_set(err, -EINVAL, "expected an object");
	else if (!json_u64(json_get(json_root(doc), "last_epoch"), &out->epoch))
		code = error_set(err, -EINVAL, "last_epoch: expected a whole number");
	else if (!json_u64(json_get(json_root(doc), "last_step"), &out->step))
		code = error_set(err, -EINVAL, "last_step: expected a whole number");
	else if (!file || !json_string(file))
		code = error_set(err, -EINVAL, "last_ckpt_file: expected a file name");
	else if (!(out->file = arena_strndup(arena, json_string(file), strlen(json_string(file)))))
		code = error_nomem(err);
	json_free(doc);
	return code;
}

static bool has_name(const struct ranks_folder *folder, const char *name)
{
	for (uint64_t i = 0; i < folder->count; i++)
		if (strcmp(folder->names[i], name) == 0)
			return true;
	return false;
}

/* What it says must be true of the folder that it is in. */
static int compare(const struct ranks_folder *folder, const struct meta *m, struct error *err)
{
	struct step step = step_parse(m->file);

	if (!has_name(folder, m->file))
		return error_set(err, -EINVAL, "last_ckpt_file: \"%s\" is not there", m->file);
	if (!step.counted || step.epoch != m->epoch || step.step != m->step)
		return error_set(err, -EINVAL, "last_epoch %" PRIu64 " and last_step %" PRIu64 ", but last_ckpt_file is \"%s\"", m->epoch, m->step,
				 m->file);
	return 0;
}

static void warn_if_old(struct check *c, const struct ranks_folder *folder, const struct meta *m)
{
	struct step said = step_parse(m->file);

	for (uint64_t i = 0; i < folder->count; i++) {
		struct step other = step_parse(folder->names[i]);

		if (step_compare(&other, &said) > 0) {
			findings_add(&c->findings, FINDINGS_META, false, "%s/meta.json: last_ckpt_file: \"%s\", but \"%s\" is newer", folder->path,
				     m->file, folder->names[i])->file = folder->path;
			return;
		}
	}
}

static void check_folder(struct check *c, const struct ranks_folder *folder, struct meta *m)
{
	const char *path = arena_printf(c->arena, "%s/meta.json", folder->path);
	struct bytes text;
	struct error err;
	int code = path ? slurp_file(path, &(struct slurp){ .arena = c->arena, .max = META_MAX }, &text, &err) : error_nomem(&err);

	if (code == -ENOENT)
		return;
	if (code == 0 && (code = parse(text, c->arena, m, &err)) == 0)
		code = compare(folder, m, &err);
	m->there = code == 0;
	if (code == 0) {
		warn_if_old(c, folder, m);
		return;
	}
	if (strncmp(err.msg, folder->path, strlen(folder->path)) != 0)
		error_prefix(&err, code, "%s", path ? path : "meta.json");
	findings_add(&c->findings, FINDINGS_META, true, "%s", err.msg)->file = path;
}

/* A training resumes from the lowest step that any rank names. */
static void compare_ranks(struct check *c, const struct ranks *ranks, const struct meta *metas)
{
	uint64_t first = 0, lacking = 0;

	while (first < ranks->count && !metas[first].there)
		first++;
	for (uint64_t i = first + 1; i < ranks->count; i++)
		if (metas[i].there && (metas[i].epoch != metas[first].epoch || metas[i].step != metas[first].step)) {
			findings_add(&c->findings, FINDINGS_META, false, "meta.json of rank %u says %" PRIu64 "_%" PRIu64 ", that of rank %u %" PRIu64
				     "_%" PRIu64 "; a training resumes from the lowest of all ranks", ranks->folders[i].rank, metas[i].epoch,
				     metas[i].step, ranks->folders[first].rank, metas[first].epoch, metas[first].step);
			break;
		}
	for (uint64_t i = 0; i < ranks->count; i++)
		lacking += !metas[i].file;
	if (first < ranks->count && lacking)
		findings_add(&c->findings, FINDINGS_META, false, "%" PRIu64 " of %" PRIu64 " rank folders have no meta.json", lacking, ranks->count);
}

void check_meta(struct check *c)
{
	struct ranks ranks;
	struct meta *metas;
	struct error err;

	if (load_ranks(c->options, true, c->arena, &ranks, &err) < 0) /* then loading has told */
		return;
	metas = arena_alloc(c->arena, ranks.count, sizeof(*metas));
	c->findings.failed |= !metas;
	for (uint64_t i = 0; metas && i < ranks.count; i++)
		check_folder(c, &ranks.folders[i], &metas[i]);
	if (metas)
		compare_ranks(c, &ranks, metas);
}
