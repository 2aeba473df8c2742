/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gatherfs mount: everything that can be wrong is found while there is still somebody to tell; only then the program leaves for
 * the background, and the one that was started ends when the mount answers.
 */
#include <errno.h>
#include <inttypes.h>
#include <unistd.h>

#include "fs/base/signals.h"
#include "fs/model/load.h"
#include "fs/options/fence.h"
#include "fs/options/point.h"
#include "fs/serve/detach.h"
#include "fs/serve/privileges.h"
#include "fs/serve/serve.h"
#include "fs/serve/unmount.h"
#include "fs/verbs/verbs.h"

#define LEFT_OUT_SHOWN 5 /* steps */

/* What needs no look at the source. */
static int check_options(const struct options *o, struct error *err)
{
	bool widens = o->has_uid || o->has_gid || o->has_mode;

	if (widens && geteuid() != 0)
		return error_set(err, -EPERM, "option \"%s\" is for root only",
				 o->has_uid ? "uid" : o->has_gid ? "gid" : "mode");
	return 0;
}

static void print_safe(FILE *out, const char *before, const char *text)
{
	struct error line;

	error_set(&line, 0, "%s", text);
	fprintf(out, "%s: %s\n", before, line.msg);
}

/* Tells which strategy files were used, because they are found where nobody named them, and what is strange. */
static void announce(const struct options *o, const struct model *m)
{
	const struct model_texts *s = &m->strategy_files;

	if (s->count > 0 && !o->quiet)
		print_safe(stdout, "strategy", s->list[0]);
	if (s->count > 1 && !o->quiet)
		printf("strategy: and %" PRIu64 " more (all are in .gatherfs/status)\n", s->count - 1);
	for (uint64_t i = 0; i < m->warnings.count; i++)
		print_safe(stderr, "gatherfs mount: warning", m->warnings.list[i]);
	fflush(stdout);
}

/*
 * Serves in the background. The child returns when the mount has ended. The parent is done when the mount answers, and leaves at
 * once: what it could free, the session above all, is the child's now.
 */
static int serve_detached(struct serve *s, struct error *err)
{
	int channel, rc;
	pid_t child = detach_fork(&channel, err);

	if (child == 0)
		return serve_run(s, channel, err);
	signals_release();
	rc = child < 0 ? child : detach_wait(child, channel, err);
	if (rc == 0)
		_exit(VERBS_OK);
	serve_unmount(s);
	return rc;
}

static int serve(const struct options *o, const char *point, const struct serve_shown *shown, struct error *err)
{
	struct serve *s;
	int rc;

	if (o->dry_run)
		return 0;
	signals_hold();
	rc = serve_mount(o, point, shown, &s, err);
	if (rc < 0)
		return rc;
	rc = o->foreground ? serve_run(s, -1, err) : serve_detached(s, err);
	serve_free(s);
	return rc;
}

static int load_and_serve(const struct options *o, const char *point, struct error *err)
{
	struct serve_shown shown = { 0 };
	struct model *m;
	int rc = load_model(o, &m, err);

	if (rc < 0)
		return rc;
	shown.hub = hub_new(m, false, err);
	if (!shown.hub)
		return -EINVAL;
	announce(o, m);
	rc = serve(o, point, &shown, err);
	hub_free(shown.hub);
	return rc;
}

static void announce_left_out(const struct follow_step *s)
{
	char before[HUB_NAME + 64];

	snprintf(before, sizeof(before), "gatherfs mount: warning: step %s is left out", s->name);
	print_safe(stderr, before, s->why ? s->why : "out of memory");
}

/* Says what would be said of the newest step alone, and which steps are left out. */
static void announce_steps(const struct options *o, const struct follow *f)
{
	const struct model *newest = NULL;
	uint64_t left_out = 0;

	for (uint64_t i = 0; i < f->count; i++) {
		if (!newest && f->steps[i]->shown)
			newest = f->steps[i]->shown->model;
		if (!f->steps[i]->shown && left_out++ < LEFT_OUT_SHOWN)
			announce_left_out(f->steps[i]);
	}
	if (left_out > LEFT_OUT_SHOWN)
		fprintf(stderr, "gatherfs mount: warning: %" PRIu64 " more steps are left out (all are in .gatherfs/status)\n",
			left_out - LEFT_OUT_SHOWN);
	if (newest)
		announce(o, newest);
	else
		fprintf(stderr, "gatherfs mount: warning: no step is complete yet\n");
}

static int follow_and_serve(const struct options *o, const char *point, struct error *err)
{
	struct serve_shown shown = { 0 };
	int rc = follow_new(o, &shown.follow, err);

	if (rc < 0)
		return rc;
	shown.hub = shown.follow->hub;
	announce_steps(o, shown.follow);
	rc = serve(o, point, &shown, err);
	follow_free(shown.follow);
	return rc;
}

/* A daemon that was killed leaves its mount behind; who mounts again wants it away. */
static int clear_dead(const struct options *o, struct error *err)
{
	uint32_t count;
	int rc = o->dry_run ? 0 : unmount_dead(o->mountpoint, &count, err);

	if (rc == 0 && !o->dry_run && count > 0)
		fprintf(stderr, "gatherfs mount: warning: cleared the dead mount of a process that is gone\n");
	return rc;
}

static int run(struct options *o, struct error *err)
{
	const char *point;
	int rc = check_options(o, err);

	if (rc == 0)
		rc = clear_dead(o, err);
	if (rc == 0)
		rc = fence_set(o, err);
	if (rc == 0)
		rc = point_check(o->mountpoint, &o->source, o->arena, &point, err);
	if (rc < 0)
		return rc;
	return o->all_steps ? follow_and_serve(o, point, err) : load_and_serve(o, point, err);
}

int mount_main(int argc, char **argv)
{
	struct options o;
	struct error err;
	int code, rc;

	privileges_inherit_nothing();
	rc = options_parse("mount", argc - 1, argv + 1, &o, &err);
	if (rc == 0 && o.help) {
		verbs_help("mount", stdout);
		options_free(&o);
		return VERBS_OK;
	}
	if (rc == 0)
		rc = options_take_point(&o, &err);
	if (rc < 0)
		code = verbs_misused("mount", err.msg);
	else
		code = run(&o, &err) < 0 ? verbs_failed("mount", err.msg) : VERBS_OK;
	options_free(&o);
	return code;
}
