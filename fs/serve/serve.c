/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Beside those that answer requests stands a thread that settles the mount: it has it asked for its root, which succeeds when the mount
 * answers, and the read-ahead raised, reports, and ends. It is a thread because whoever answers requests must never wait for one.
 */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "fs/base/signals.h"
#include "fs/base/threads.h"
#include "fs/serve/capture.h"
#include "fs/serve/detach.h"
#include "fs/serve/loop.h"
#include "fs/serve/notify.h"
#include "fs/serve/ops.h"
#include "fs/serve/own.h"
#include "fs/serve/privileges.h"
#include "fs/serve/refusal.h"
#include "fs/serve/serve.h"
#include "fs/serve/watch.h"
#include "layout/base/utf8.h"

struct serve {
	const struct options *options;
	const char *point;
	struct serve_shown shown;
	struct log log;
	struct status status;
	struct ops ops;
	struct fuse_session *session;
	int channel;       /* to report on; used by the settling thread only, once that runs */
	pthread_t settler;
	struct loop *loop;
	struct watch *watch; /* of a mount of many steps, while it is served */
};

/*
 * Appends `text` as the value of an option: libfuse splits at commas and undoes backslashes; what a terminal would obey ends up in
 * /proc/mounts, and so on the terminal of everyone who looks there.
 */
static void add_value(struct text *args, const char *text)
{
	const uint8_t *p = (const uint8_t *)text;

	for (uint64_t left = strlen(text); left > 0;) {
		uint32_t code = 0, used = utf8_decode(p, left, &code), len = used ? used : 1;

		if (*p == ',' || *p == '\\')
			text_add(args, "\\");
		text_add_bytes(args, used && utf8_is_harmless(code) ? (const char *)p : "?", used && utf8_is_harmless(code) ? len : 1);
		p += len;
		left -= len;
	}
}

static void write_mount_options(const struct options *o, struct text *args)
{
	text_add(args, "ro,nosuid,nodev,default_permissions,subtype=gatherfs%s%s,fsname=", o->allow_other ? ",allow_other" : "",
		 o->allow_root ? ",allow_root" : "");
	add_value(args, o->fsname ? o->fsname : o->source.item[0]);
}

static int new_session(struct serve *s, struct error *err)
{
	struct text mount_options = TEXT_EMPTY;

	write_mount_options(s->options, &mount_options);
	if (mount_options.failed)
		return error_nomem(err);

	char *argv[] = { "gatherfs", "-o", mount_options.ptr, s->options->debug ? "-d" : NULL, NULL };
	struct fuse_args args = FUSE_ARGS_INIT(s->options->debug ? 4 : 3, argv);

	s->session = fuse_session_new(&args, &ops_table, sizeof(ops_table), &s->ops);
	fuse_opt_free_args(&args);
	text_free(&mount_options);
	return s->session ? 0 : error_set(err, -EINVAL, "libfuse refused the mount options");
}

static int mount_session(struct serve *s, struct error *err)
{
	struct capture c;
	char said[1024];
	int rc;

	capture_begin(&c);
	rc = fuse_session_mount(s->session, s->point);
	capture_end(&c, said, sizeof(said));
	return rc == 0 ? 0 : refusal_explain(s->point, said, err);
}

int serve_mount(const struct options *options, const char *point, const struct serve_shown *shown, struct serve **out, struct error *err)
{
	struct serve *s = calloc(1, sizeof(*s));
	int rc = s ? refusal_device(err) : error_nomem(err);

	if (rc < 0) {
		free(s);
		return rc;
	}
	s->options = options;
	s->point = point;
	s->shown = *shown;
	s->status.model = hub_root(shown->hub)->model;
	s->status.follow = shown->follow;
	s->status.options = options;
	s->status.mountpoint = point;
	s->status.since = time(NULL);
	s->ops = (struct ops){ .hub = shown->hub, .status = &s->status, .direct_io = options->direct_io,
			     .reply = reply_new(&s->log, options->trust_sources) };
	s->status.reply = s->ops.reply;
	opened_init(&s->ops.opened);
	rc = s->ops.reply ? new_session(s, err) : error_nomem(err);
	if (rc == 0)
		rc = mount_session(s, err);
	if (rc < 0)
		serve_free(s);
	else
		*out = s;
	return rc;
}

void serve_unmount(struct serve *s)
{
	privileges_for_unmount();
	fuse_session_unmount(s->session);
}

void serve_free(struct serve *s)
{
	if (!s)
		return;
	if (s->session)
		fuse_session_destroy(s->session);
	opened_close_all(&s->ops.opened, &s->ops);
	below_free(s->ops.below);
	reply_free(s->ops.reply);
	free(s);
}

/* Reads or writes the number of KiB in a file of /sys. */
static bool sys_get(const char *path, uint64_t *value)
{
	FILE *f = fopen(path, "re");
	bool ok = f && fscanf(f, "%" SCNu64, value) == 1;

	if (f)
		fclose(f);
	return ok;
}

static void sys_set(const char *path, uint64_t value)
{
	FILE *f = fopen(path, "we");

	if (!f)
		return;
	fprintf(f, "%" PRIu64 "\n", value);
	fclose(f); /* a failure shows when the value is read back */
}

/*
 * Only root can raise it, and only once the mount is there; where that does not work the kernel's own remains. Putting pages into the
 * page cache ahead of readers (notify_store) would need no right, but of readers who map in order it made 0.7 to 0.85, of others 0.85 to
 * 0.95, for on two cores those are not idle meanwhile; and storing waits, where no signal is heard, for a page that a request holds, and
 * holds the connection meanwhile: a daemon that is killed then is never gone, and its readers wait for ever. For those who go down, see
 * below.h.
 */
static void raise_readahead(struct serve *s, dev_t dev)
{
	char path[96];
	uint64_t wanted = s->options->readahead / 1024, is = 0;

	snprintf(path, sizeof(path), "/sys/class/bdi/%u:%u/read_ahead_kb", major(dev), minor(dev));
	if (wanted && sys_get(path, &is) && is != wanted)
		sys_set(path, wanted);
	if (sys_get(path, &is))
		atomic_store(&s->status.readahead, is * 1024);
}

/* A daemon says nothing: the NOTIFY_SOCKET that it inherited is that of whatever service it was started from. */
static void tell_manager(const struct serve *s)
{
	char status[1024];

	snprintf(status, sizeof(status), "%s on %s", s->options->source.item[0], s->point);
	if (s->options->foreground)
		notify_ready(status);
}

/* Writes what was learnt of the headers, now that nobody waits for the mount any more. Steps that are followed have done so. */
static void keep_headers(struct serve *s)
{
	if (!s->shown.follow)
		cache_commit(hub_root(s->shown.hub)->model->cache, &s->log);
}

/* What settling asks the mount, and the outcome. */
struct asked {
	struct serve *serve;
	int rc;
	struct error *err;
};

static void ask_mount(void *arg)
{
	struct asked *a = arg;
	struct serve *s = a->serve;
	struct stat st;

	if (stat(s->point, &st) == 0) {
		raise_readahead(s, st.st_dev);
		status_probe(&s->status);
		below_at(s->ops.below, st.st_dev);
	} else {
		a->rc = error_set(a->err, -errno, "the mount on %s does not answer: %s", s->point, strerror(errno));
	}
}

static void *settle(void *arg)
{
	struct serve *s = arg;
	struct error err;
	struct asked asked = { s, 0, &err };

	own_ask(ask_mount, &asked);
	if (asked.rc < 0) {
		detach_report(s->channel, err.msg);
		return NULL;
	}
	tell_manager(s);
	detach_report(s->channel, NULL);
	keep_headers(s);
	return NULL;
}

static struct loop_threads thread_counts(const struct options *o)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	uint32_t first = cpus <= 2 ? 3 : cpus >= 15 ? 16 : (uint32_t)cpus + 1;

	if (o->max_threads)
		return (struct loop_threads){ o->max_threads, o->max_threads };
	return (struct loop_threads){ first, first < 8 ? first * 2 : 16 };
}

static void tell_kernel(void *arg, uint64_t parent, const char *name)
{
	const struct serve *s = arg;

	if (!fuse_session_exited(s->session))
		fuse_lowlevel_notify_inval_entry(s->session, parent, name, strlen(name));
}

static int start_watching(struct serve *s, struct error *err)
{
	struct follow *f = s->shown.follow;

	if (!f)
		return 0;
	f->log = &s->log;
	hub_set_tell(f->hub, tell_kernel, s);
	return watch_start(f, &s->watch, err);
}

/* A source that hangs can keep a thread of ours for ever, and must not keep the mount. `what` still goes on. */
static void leave_anyway(struct serve *s, const char *what)
{
	serve_unmount(s);
	log_error(&s->log, "%s: still %s after %d seconds; leaving all the same", s->options->source.item[0], what, LOOP_PATIENCE);
	_exit(1);
}

/* Ends the watcher, while requests are still answered: what it tells the kernel may have to wait for the answer to a look-up. */
static void stop_watching(struct serve *s)
{
	if (s->watch && !watch_stop(s->watch, LOOP_PATIENCE))
		leave_anyway(s, "being looked at");
	s->watch = NULL;
}

/* Likewise what reads for readers who go down: it opens files of the mount. */
static void stop_reading_below(struct serve *s)
{
	if (!below_stop(s->ops.below, LOOP_PATIENCE))
		leave_anyway(s, "being read ahead");
}

/* What it asks the kernel to read it does not wait for, as a rule. */
static void stop_reading_ahead(struct serve *s)
{
	if (!ahead_stop(s->ops.ahead, LOOP_PATIENCE))
		leave_anyway(s, "being read ahead");
	s->ops.ahead = NULL;
}

/* Root may show sources to others than those who may read them; whoever looks for how that came to be finds it in the log. */
static void tell_widening(const struct serve *s)
{
	const struct options *o = s->options;

	if (o->has_uid || o->has_gid || o->has_mode)
		log_warn(&s->log, "%s: with %s%s%sthe owner and modes that are shown are not those of the sources", s->point,
			 o->has_uid ? "uid= " : "", o->has_gid ? "gid= " : "", o->has_mode ? "mode= " : "");
}

/* Ends what start() began, or a part of it. 0, or what the loop says. */
static int stop(struct serve *s, struct error *err)
{
	int rc;

	stop_watching(s);
	stop_reading_below(s);
	rc = s->loop ? loop_stop(s->loop, err) : 0;
	if (rc == -EBUSY)
		leave_anyway(s, "being read");
	stop_reading_ahead(s);
	return rc;
}

/* The settling thread comes last: it asks what the others answer. */
static int start(struct serve *s, struct error *err)
{
	struct error ignored;
	int rc = start_watching(s, err);

	if (rc == 0)
		rc = ahead_start(s->ops.hub, s->options->cache_budget, &s->ops.ahead, err);
	s->status.ahead = s->ops.ahead;
	if (rc == 0 && !s->options->direct_io)
		rc = below_start(s->ops.hub, s->point, &s->ops.below, err);
	s->status.below = s->ops.below;
	if (rc == 0)
		rc = loop_start(s->session, thread_counts(s->options), &s->loop, err);
	if (rc == 0)
		rc = threads_start(&s->settler, settle, s, err);
	if (rc < 0)
		stop(s, &ignored);
	return rc;
}

int serve_run(struct serve *s, int channel, struct error *err)
{
	int rc;

	log_init(&s->log, s->options->foreground);
	signals_ignore();
	tell_widening(s);
	s->channel = channel;
	rc = privileges_drop(err);
	if (rc == 0)
		rc = start(s, err);
	if (rc < 0) {
		error_prefix(err, rc, "cannot serve %s", s->point);
		detach_report(channel, err->msg);
		serve_unmount(s);
		return rc;
	}
	loop_wait(s->loop);
	if (s->options->foreground)
		notify_stopping();
	rc = stop(s, err);
	if (rc < 0)
		error_prefix(err, rc, "serving %s ended", s->point);
	if (rc < 0 && s->log.to_syslog)
		log_error(&s->log, "%s", err->msg);
	serve_unmount(s); /* also wakes the settling thread, should it still wait for an answer */
	pthread_join(s->settler, NULL);
	return rc;
}
