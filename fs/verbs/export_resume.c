/* SPDX-License-Identifier: Apache-2.0 */
/* The beginning of an export, which may be the middle of an earlier one. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "fs/verbs/exporting.h"

#define RESTART "--restart throws away what is there and begins anew"
#define NAME_KEPT 180 /* bytes of a name that its temporary file has in its own: the longest must fit too */

/* The numbers that a journal is compared by: where bytes come from, and what is made of them. */
static int take_fingerprints(struct export *e, struct error *err)
{
	const struct sources *s = e->model->sources;
	struct fingerprint_state *sources = fingerprint_begin(), *view = fingerprint_begin();

	if (sources && view) {
		fingerprint_add_number(sources, s->count);
		for (uint32_t i = 0; i < s->count; i++) { /* without the device: its number changes when the machine starts again */
			fingerprint_add_text(sources, s->list[i].path);
			fingerprint_add_number(sources, s->list[i].stamp.ino);
			fingerprint_add_number(sources, s->list[i].stamp.size);
			fingerprint_add_number(sources, (uint64_t)s->list[i].stamp.mtime.tv_sec);
			fingerprint_add_number(sources, (uint64_t)s->list[i].stamp.mtime.tv_nsec);
		}
		fingerprint_add_view(view, &e->model->view, e->model->checkpoint);
	}
	if (sources)
		e->head.sources = fingerprint_end(sources);
	if (view)
		e->head.view = fingerprint_end(view);
	return sources && view ? 0 : error_nomem(err);
}

static int journal_error(const struct export *e, int code, struct error *err)
{
	return error_set(err, code, "%s/" DEST_JOURNAL ": %s", e->dest.path, strerror(-code));
}

static int name_temps(struct export *e, struct error *err)
{
	for (uint64_t i = 0; i < e->known.file_count; i++) {
		struct export_file *f = &e->files[i];

		f->temp = arena_printf(e->arena, ".%.*s.gatherfs-%s-%" PRIu64, NAME_KEPT, dest_name(f->path), e->head.id, i);
		if (!f->temp)
			return error_nomem(err);
	}
	return 0;
}

/* A name that name_temps() gives: ".gatherfs-", 8 digits, "-" and a number at the end of a hidden file's name. */
static bool is_temp(const char *name)
{
	static const char mark[] = ".gatherfs-";
	const char *last = NULL, *at = name[0] == '.' ? strstr(name + 1, mark) : NULL;
	size_t id;

	for (; at; at = strstr(at + 1, mark))
		last = at + sizeof(mark) - 1;
	if (!last)
		return false;
	id = strspn(last, "0123456789abcdef");
	return id == JOURNAL_ID - 1 && last[id] == '-' && last[id + 1] && last[id + 1 + strspn(last + id + 1, "0123456789")] == '\0';
}

static DIR *open_list(int folder, const char *name)
{
	int fd = openat(folder, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);

	if (!dir && fd >= 0)
		close(fd);
	return dir;
}

/* Removes the temporary files of a folder, which may be those of any export. */
static void clean_folder(int folder, const char *name)
{
	DIR *dir = open_list(folder, name);
	const struct dirent *entry;
	struct stat st;

	while (dir && (entry = readdir(dir)) != NULL)
		if (is_temp(entry->d_name) && fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode))
			unlinkat(dirfd(dir), entry->d_name, 0);
	if (dir)
		closedir(dir);
}

/*
 * Clears an interrupted export away: temporary files, folders that are empty then, at last the journal. Anything else that is there
 * may be somebody's, and would get mixed with what comes; so it is refused and left alone.
 */
static int clear_away(struct export *e, struct error *err)
{
	DIR *dir = open_list(e->dest.fd, ".");
	const struct dirent *entry;
	struct stat st;
	int rc = 0;

	if (!dir)
		return error_set(err, -errno, "%s: %s", e->dest.path, strerror(errno));
	clean_folder(e->dest.fd, ".");
	while (rc == 0 && (entry = readdir(dir)) != NULL) {
		const char *name = entry->d_name;

		if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || strcmp(name, DEST_JOURNAL) == 0)
			continue;
		clean_folder(e->dest.fd, name);
		unlinkat(e->dest.fd, name, AT_REMOVEDIR);
		if (fstatat(e->dest.fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
			rc = error_set(err, -ENOTEMPTY, "%s: \"%s\" is in the way: a restart removes temporary files only; empty the folder first",
				       e->dest.path, name);
	}
	closedir(dir);
	if (rc == 0 && unlinkat(e->dest.fd, DEST_JOURNAL, 0) < 0)
		rc = journal_error(e, -errno, err);
	return rc;
}

/* Reads the journal, as far as one of this export can be long. */
static int read_journal(struct export *e, struct bytes *out, struct error *err)
{
	uint64_t most = (e->known.chunk_count + e->known.file_count + 64) * 4 * JOURNAL_LINE_MAX, len = 0;
	struct stat st;
	ssize_t n = 1;
	uint8_t *buf;

	e->journal = openat(e->dest.fd, DEST_JOURNAL, O_RDWR | O_APPEND | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (e->journal < 0 || fstat(e->journal, &st) < 0)
		return journal_error(e, -errno, err);
	if (!S_ISREG(st.st_mode) || st.st_nlink != 1)
		return error_set(err, -EINVAL, "%s/" DEST_JOURNAL ": expected a regular file of one name; " RESTART, e->dest.path);
	most = (uint64_t)st.st_size < most ? (uint64_t)st.st_size : most;
	buf = arena_alloc(e->arena, most, 1);
	if (!buf)
		return error_nomem(err);
	for (; len < most && n > 0; len += n > 0 ? (uint64_t)n : 0)
		n = pread(e->journal, buf + len, most - len, (off_t)len);
	*out = (struct bytes){ buf, len };
	return n < 0 ? journal_error(e, -errno, err) : 0;
}

/* Takes the journal for this export's, or says why not. *used is how much of it is right. */
static int accept_journal(struct export *e, struct bytes text, uint64_t *used, struct error *err)
{
	struct journal_head head;
	struct error why;

	if (journal_parse_head(text, &head, used, &why) < 0)
		return error_set(err, -EINVAL, "%s/" DEST_JOURNAL ": %s; " RESTART, e->dest.path, why.msg);
	if (!fingerprint_equal(head.sources, e->head.sources))
		return error_set(err, -EINVAL, "%s: this export was begun from other files, or they have changed since; " RESTART, e->dest.path);
	if (!fingerprint_equal(head.view, e->head.view))
		return error_set(err, -EINVAL, "%s: this export was begun with other options or another strategy: give the same, or " RESTART,
				 e->dest.path);
	memcpy(e->head.id, head.id, sizeof(head.id));
	*used += journal_parse((struct bytes){ text.ptr + *used, text.len - *used }, &e->known);
	return 0;
}

/* True when `st` is of the file that the journal tells of. */
static bool is_known(const struct export_file *f, const struct journal_file *known, const struct stat *st)
{
	return S_ISREG(st->st_mode) && st->st_nlink == 1 && (uint64_t)st->st_size == f->image->size && st->st_ino == known->inode &&
	       (uint64_t)st->st_mtim.tv_sec == known->seconds && st->st_mtim.tv_nsec == known->nanos;
}

/* Finds out whether a file is done, and what its temporary file takes of the disk already. */
static uint64_t look_at_file(struct export *e, uint64_t number)
{
	struct export_file *f = &e->files[number];
	const struct journal_file *known = &e->known.files[number];
	struct error ignored;
	struct stat st;
	uint64_t taken = 0;
	int folder = dest_folder(&e->dest, f->path, false, &ignored);
	bool whole = known->known;

	if (folder < 0)
		return 0;
	for (uint64_t i = f->first; i < f->first + f->chunks; i++)
		whole &= e->known.chunks[i].known;
	if (fstatat(folder, f->temp, &st, AT_SYMLINK_NOFOLLOW) == 0) {
		taken = S_ISREG(st.st_mode) ? (uint64_t)st.st_blocks * 512 : 0;
		f->kept = whole && is_known(f, known, &st);
	} else if (whole && fstatat(folder, dest_name(f->path), &st, AT_SYMLINK_NOFOLLOW) == 0) {
		f->kept = f->named = is_known(f, known, &st);
	}
	close(folder);
	return f->kept || taken > f->image->size ? f->image->size : taken;
}

/* Goes on with the journal that is there. *begun stays false when nothing is in it: its writer got no further than to make it. */
static int go_on(struct export *e, bool *begun, struct error *err)
{
	struct bytes text;
	uint64_t used = 0;
	int rc = read_journal(e, &text, err);

	*begun = rc == 0 && text.len > 0;
	if (*begun)
		rc = accept_journal(e, text, &used, err);
	if (rc == 0 && ftruncate(e->journal, (off_t)used) < 0)
		rc = journal_error(e, -errno, err);
	return rc;
}

/* A name for the temporary files that no other export has. */
static int take_id(struct export *e, struct error *err)
{
	uint32_t id;

	if (getrandom(&id, sizeof(id), 0) != sizeof(id))
		return error_set(err, -errno, "no random numbers: %s", strerror(errno));
	snprintf(e->head.id, sizeof(e->head.id), "%08" PRIx32, id);
	return 0;
}

/* Begins a journal, in one write, and sees to it that it is there whatever happens to the machine. */
static int begin_journal(struct export *e, struct error *err)
{
	struct text head = TEXT_EMPTY;
	int rc = 0;

	journal_add_head(&head, &e->head);
	if (head.failed)
		return error_nomem(err);
	if (e->journal < 0)
		e->journal = openat(e->dest.fd, DEST_JOURNAL, O_RDWR | O_APPEND | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	errno = ENOSPC; /* unless a call says otherwise */
	if (e->journal < 0 || write(e->journal, head.ptr, head.len) != (ssize_t)head.len || fsync(e->journal) < 0)
		rc = journal_error(e, -errno, err);
	text_free(&head);
	fsync(e->dest.fd);
	return rc;
}

/* Goes on with what is there, or makes room for a new beginning; *begun says which. */
static int take_up(struct export *e, bool *begun, struct error *err)
{
	*begun = false;
	if (e->dest.state != DEST_BEGUN)
		return 0;
	return e->options->restart ? clear_away(e, err) : go_on(e, begun, err);
}

int export_resume(struct export *e, struct error *err)
{
	uint64_t taken = 0;
	bool begun = false;
	int rc = take_fingerprints(e, err);

	if (rc == 0)
		rc = take_up(e, &begun, err);
	if (rc == 0 && !begun)
		rc = take_id(e, err);
	if (rc == 0)
		rc = name_temps(e, err);
	for (uint64_t i = 0; rc == 0 && begun && i < e->known.file_count; i++)
		taken += look_at_file(e, i);
	if (rc == 0)
		rc = dest_has_room(&e->dest, e->bytes - taken + e->known.chunk_count * JOURNAL_LINE_MAX, err);
	if (rc == 0 && !begun)
		rc = dest_make(&e->dest, err);
	return rc == 0 && !begun ? begin_journal(e, err) : rc;
}
