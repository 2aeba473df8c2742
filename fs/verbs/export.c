/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gatherfs export: a view as real files, gathered straight from the sources. What is there at the end is what a mount of the same view
 * shows, but for .gatherfs/.
 *
 * Nothing is copied by the kernel (copy_file_range): data begin on another place of a page than in the sources, so no filesystem could
 * share the blocks, and every byte has to be seen for its fingerprint anyway.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "fs/base/term.h"
#include "fs/model/load.h"
#include "fs/verbs/exporting.h"
#include "fs/verbs/verbs.h"

#define SECOND 1e9

/* Files that only a mount has. */
static bool is_left_out(const char *path)
{
	return strncmp(path, ".gatherfs/", 10) == 0 || strncmp(path, "tensors/", 8) == 0;
}

/* Lays the bytes of all files out in one row of chunks. */
static int list_files(struct export *e, struct error *err)
{
	const struct view *view = &e->model->view;

	e->files = arena_alloc(e->arena, view->count, sizeof(*e->files));
	e->known.files = arena_alloc(e->arena, view->count, sizeof(*e->known.files));
	if (!e->files || !e->known.files)
		return error_nomem(err);
	for (uint64_t i = 0; i < view->count; i++) {
		const struct image *image = view->files[i].image;
		uint64_t chunks = image->size ? (image->size - 1) / JOURNAL_CHUNK + 1 : 1;

		if (is_left_out(view->files[i].path))
			continue;
		e->files[e->known.file_count++] = (struct export_file){ .path = view->files[i].path, .image = image, .first = e->known.chunk_count,
									.chunks = chunks, .left = chunks, .fd = -1 };
		e->known.chunk_count += chunks;
		e->bytes += image->size;
	}
	e->known.chunks = arena_alloc(e->arena, e->known.chunk_count, sizeof(*e->known.chunks));
	return e->known.chunks ? 0 : error_nomem(err);
}

/*
 * What is made is no more open than the sources are, and the owner may write it: as cp does it. mode= is for who wants something else.
 */
static void take_modes(struct export *e)
{
	mode_t mask = umask(0);

	umask(mask);
	e->file_mode = (e->options->has_mode ? e->options->mode | 0600 : (e->model->file_mode | 0600) & ~mask) & 0777;
	e->dest.dir_mode = (e->model->dir_mode | 0700) & 0777;
}

/* What a failure leaves: all that is written is there for the next run. */
static int tell_how_to_go_on(int rc, struct error *err)
{
	struct error why = *err;

	if (rc != -ENOSPC && rc != -EDQUOT && rc != -ECANCELED)
		return rc;
	return error_set(err, rc, "%s: what is written is kept, and the same command goes on with it", why.msg);
}

static int write_everything(struct export *e, struct error *err)
{
	int rc = export_over(e, "exporting", export_write, err);

	export_write_end(e);
	if (rc == 0 && e->options->verify)
		rc = export_over(e, "verifying", export_check, err);
	if (rc == 0)
		rc = export_write_names(e, err);
	return rc < 0 ? tell_how_to_go_on(rc, err) : 0;
}

static int export_files(struct export *e, struct error *err)
{
	int rc;

	if (e->dest.state == DEST_OTHER && !e->options->verify)
		return error_set(err, -ENOTEMPTY, "%s: expected an empty folder or an interrupted export; --verify compares a finished one",
				 e->dest.path);
	if (e->dest.state != DEST_OTHER) {
		rc = export_resume(e, err);
		return rc == 0 ? write_everything(e, err) : rc;
	}
	rc = export_check_sizes(e, err);
	return rc == 0 ? export_over(e, "verifying", export_check_finished, err) : rc;
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / SECOND;
}

static void write_json(const struct export *e, double seconds, struct text *out)
{
	text_add(out, "{\n  \"dest\": ");
	text_json_ascii(out, e->dest.path);
	text_add(out, ",\n  \"files\": %" PRIu64 ",\n  \"bytes\": %" PRIu64 ",\n  \"written\": %" PRIu64 ",\n  \"verified\": %s,\n"
		 "  \"seconds\": %.3f\n}\n", e->known.file_count, e->bytes, e->gathered, e->options->verify ? "true" : "false", seconds);
}

static int tell(const struct export *e, double seconds, struct error *err)
{
	bool finished = e->dest.state == DEST_OTHER;
	char size[TERM_TEXT], kept[TERM_TEXT];
	struct text out = TEXT_EMPTY;

	if (e->options->json) {
		write_json(e, seconds, &out);
	} else if (!e->options->quiet) {
		text_add(&out, "%s %" PRIu64 " files, %s", finished ? "verified" : "exported", e->known.file_count, term_size(size, e->bytes));
		if (!finished && e->gathered < e->bytes)
			text_add(&out, " (%s were there already)", term_size(kept, e->bytes - e->gathered));
		text_add(&out, "%s in %.1f s\n", !finished && e->options->verify ? ", and verified them," : "", seconds);
	}
	return out.len || out.failed ? term_output(&out, err) : 0;
}

static void warn(const struct export *e)
{
	struct error line;

	for (uint64_t i = 0; i < e->model->warnings.count && !e->options->quiet; i++) {
		error_set(&line, 0, "%s", e->model->warnings.list[i]);
		fprintf(stderr, "gatherfs export: warning: %s\n", line.msg);
	}
}

static int export_model(const struct options *o, struct model *m, struct error *err)
{
	struct export e = { .options = o, .model = m, .arena = m->arena, .journal = -1, .dest = { .fd = -1 } };
	double began = now();
	int rc = list_files(&e, err);

	pthread_mutex_init(&e.lock, NULL);
	interrupt_begin(&e.interrupt);
	warn(&e);
	if (rc == 0)
		rc = dest_open(o->mountpoint, &o->source, &e.dest, err);
	if (rc == 0) {
		take_modes(&e);
		rc = export_files(&e, err);
	}
	if (rc == 0)
		rc = tell(&e, now() - began, err);
	if (e.journal >= 0)
		close(e.journal);
	dest_close(&e.dest);
	interrupt_end(&e.interrupt);
	pthread_mutex_destroy(&e.lock);
	return rc;
}

/* SOURCE... and DEST, as mount has its mount point. */
static int take_arguments(struct options *o, struct error *err)
{
	if (o->args.count == 0 || o->args.count + o->source.count < 2)
		return error_set(err, -EINVAL, "expected SOURCE and DEST");
	return options_take_point(o, err);
}

static int run(const struct options *o, struct error *err)
{
	struct model *m;
	int rc = load_model(o, &m, err);

	if (rc < 0)
		return rc;
	cache_commit(m->cache, NULL);
	rc = export_model(o, m, err);
	model_free(m);
	return rc;
}

int export_main(int argc, char **argv)
{
	struct options o;
	struct error err = { "" };
	int code, rc = options_parse("export", argc - 1, argv + 1, &o, &err);

	if (rc == 0 && o.help) {
		verbs_help("export", stdout);
		options_free(&o);
		return VERBS_OK;
	}
	if (rc == 0)
		rc = take_arguments(&o, &err);
	if (rc < 0)
		code = verbs_misused("export", err.msg);
	else
		code = run(&o, &err) < 0 ? verbs_failed("export", err.msg) : VERBS_OK;
	options_free(&o);
	return code;
}
