/* SPDX-License-Identifier: Apache-2.0 */
/* Writing: the chunks, the ends of files, their names. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "fs/verbs/exporting.h"

/*
 * Bytes of one write, as cp has it. With 1 MiB the kernel takes memory in pieces so large that a virtual machine often has to get them
 * from its host first: that was four times slower.
 */
#define WRITE_MAX (UINT64_C(128) << 10)

/*
 * Opens the temporary file of `f` in `folder`. One that is there is gone on with when it can only be ours: a link, of either kind,
 * would lead the bytes elsewhere.
 */
static int open_temp(int folder, const struct export_file *f)
{
	struct stat st;
	int fd = openat(folder, f->temp, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

	if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_nlink == 1)
		return fd;
	if (fd >= 0)
		close(fd);
	if (unlinkat(folder, f->temp, 0) < 0 && errno != ENOENT)
		return -errno;
	fd = openat(folder, f->temp, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	return fd < 0 ? -errno : fd;
}

/* Gives the file its size and its blocks. Where blocks cannot be had in advance, it gets them as it is written. */
static int preallocate(int fd, uint64_t size)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	if ((uint64_t)st.st_size != size && ftruncate(fd, (off_t)size) < 0)
		return -errno;
	if (size > 0 && fallocate(fd, 0, 0, (off_t)size) < 0 && errno != EOPNOTSUPP && errno != ENOSYS && errno != EINTR)
		return -errno;
	return 0;
}

static int open_file(struct export *e, struct export_file *f, struct error *err)
{
	int folder = dest_folder(&e->dest, f->path, true, err), rc;

	if (folder < 0)
		return folder;
	f->fd = open_temp(folder, f);
	close(folder);
	if (f->fd < 0)
		return export_fail(e, f, "cannot be made", f->fd, err);
	rc = preallocate(f->fd, f->image->size);
	return rc < 0 ? export_fail(e, f, "cannot be given its size", rc, err) : 0;
}

/* The descriptor of the file, opened by whoever comes first. */
static int use_file(struct export *e, struct export_file *f, struct error *err)
{
	int rc = 0;

	pthread_mutex_lock(&e->lock);
	if (f->fd < 0)
		rc = open_file(e, f, err);
	pthread_mutex_unlock(&e->lock);
	return rc;
}

/* Adds a line to the journal. */
static int note(struct export *e, struct text *line, struct error *err)
{
	ssize_t n;
	int code;

	if (line->failed)
		return error_nomem(err);
	do
		n = write(e->journal, line->ptr, line->len);
	while (n < 0 && errno == EINTR);
	code = n < 0 ? -errno : (uint64_t)n != line->len ? -ENOSPC : 0;
	text_free(line);
	return code < 0 ? error_set(err, code, "%s/" DEST_JOURNAL ": %s", e->dest.path, strerror(-code)) : 0;
}

static int write_step(const struct export_part *step, const uint8_t *buf)
{
	for (uint64_t done = 0; done < step->len;) {
		uint64_t left = step->len - done;
		ssize_t n = pwrite(step->fd, buf + done, left < WRITE_MAX ? left : WRITE_MAX, (off_t)(step->offset + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		done += (uint64_t)n;
	}
	return 0;
}

static int write_steps(struct export *e, struct export_thread *t, const struct export_part *p, struct fingerprint_state *state,
		       struct error *err)
{
	struct export_part step = export_first(p);
	int rc = 0;

	while (rc == 0 && export_next(p, &step)) {
		rc = export_gather(e, t, &step, err);
		if (rc < 0)
			break;
		fingerprint_add(state, t->buf, step.len);
		rc = write_step(&step, t->buf);
		if (rc < 0)
			export_fail(e, p->file, "cannot be written", rc, err);
		progress_add(e->progress, step.len);
	}
	return rc;
}

/* Gathers and writes a chunk, and says so in the journal. */
static int write_part(struct export *e, struct export_thread *t, const struct export_part *p, struct error *err)
{
	struct fingerprint_state *state = fingerprint_begin();
	struct journal_chunk *chunk = &e->known.chunks[p->number];
	struct text line = TEXT_EMPTY;
	int rc = state ? write_steps(e, t, p, state, err) : error_nomem(err);

	if (state)
		chunk->print = fingerprint_end(state);
	if (rc < 0)
		return rc;
	chunk->known = true;
	e->gathered += p->len;
	journal_add_chunk(&line, p->number, chunk->print);
	return note(e, &line, err);
}

/* True when the chunk is there already as an earlier run wrote it. */
static bool is_there(struct export *e, struct export_thread *t, const struct export_part *p)
{
	const struct journal_chunk *chunk = &e->known.chunks[p->number];
	struct fingerprint found;
	struct error ignored;

	if (!chunk->known || export_print(e, t, p, &found, &ignored) < 0 || !fingerprint_equal(found, chunk->print))
		return false;
	progress_add(e->progress, p->len);
	return true;
}

/* Modes, owner and times, and then to the disk, so that a name never comes before what it names. */
static int finish_attributes(struct export *e, int fd, struct stat *st)
{
	const struct options *o = e->options;
	struct timespec times[2] = { e->model->mtime, e->model->mtime };
	bool give = o->has_uid || o->has_gid;

	if (give && fchown(fd, o->has_uid ? o->uid : (uid_t)-1, o->has_gid ? o->gid : (gid_t)-1) < 0)
		return -errno;
	if (fchmod(fd, e->file_mode) < 0 || futimens(fd, times) < 0 || fsync(fd) < 0 || fstat(fd, st) < 0)
		return -errno;
	return 0;
}

static int finish_file(struct export *e, struct export_file *f, struct error *err)
{
	struct text line = TEXT_EMPTY;
	struct stat st;
	int rc = finish_attributes(e, f->fd, &st);

	if (close(f->fd) < 0 && rc == 0)
		rc = -errno;
	f->fd = -1;
	if (rc < 0)
		return export_fail(e, f, "cannot be finished", rc, err);
	journal_add_file(&line, (uint64_t)(f - e->files), &(struct journal_file){
		.inode = st.st_ino, .seconds = (uint64_t)st.st_mtim.tv_sec, .nanos = (uint32_t)st.st_mtim.tv_nsec });
	return note(e, &line, err);
}

int export_write(uint64_t number, void *state, void *arg, struct error *err)
{
	struct export *e = arg;
	struct export_part p = export_part_of(e, number);
	bool last;
	int rc;

	if (p.file->kept) {
		progress_add(e->progress, p.len);
		return 0;
	}
	rc = use_file(e, p.file, err);
	p.fd = p.file->fd;
	if (rc == 0 && !is_there(e, state, &p))
		rc = write_part(e, state, &p, err);
	if (rc < 0)
		return rc;
	pthread_mutex_lock(&e->lock);
	last = --p.file->left == 0;
	pthread_mutex_unlock(&e->lock);
	return last ? finish_file(e, p.file, err) : 0;
}

/* Names in one folder, for it is opened and synced once. */
static int name_file(struct export *e, const struct export_file *f, int folder, struct error *err)
{
	const char *name = dest_name(f->path);
	struct stat st;
	int rc = renameat2(folder, f->temp, folder, name, RENAME_NOREPLACE) < 0 ? -errno : 0;

	if (rc == -EINVAL || rc == -ENOSYS) { /* a filesystem that cannot refuse to replace */
		rc = fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) == 0 ? -EEXIST : 0;
		if (rc == 0 && renameat(folder, f->temp, folder, name) < 0)
			rc = -errno;
	}
	return rc < 0 ? export_fail(e, f, "cannot be given its name", rc, err) : 0;
}

/* True when `a` and `b` are in the same folder. */
static bool together(const char *a, const char *b)
{
	size_t len = (size_t)(dest_name(a) - a);

	return (size_t)(dest_name(b) - b) == len && memcmp(a, b, len) == 0;
}

/* Names the files from `first` on that are in the folder of that one; *next is the first that is not. */
static int name_folder(struct export *e, uint64_t first, uint64_t *next, struct error *err)
{
	const struct export_file *f = &e->files[first];
	int rc = 0, folder = dest_folder(&e->dest, f->path, true, err);

	if (folder < 0)
		return folder;
	for (*next = first; rc == 0 && *next < e->known.file_count && together(f->path, e->files[*next].path); ++*next)
		if (!e->files[*next].named)
			rc = name_file(e, &e->files[*next], folder, err);
	if (rc == 0 && fsync(folder) < 0 && errno != EINVAL)
		rc = export_fail(e, f, "cannot sync its folder", -errno, err);
	close(folder);
	return rc;
}

int export_write_names(struct export *e, struct error *err)
{
	int rc = 0;

	if (fsync(e->journal) < 0) /* or a crash might leave names that the journal knows nothing of */
		return error_set(err, -errno, "%s/" DEST_JOURNAL ": cannot be synced: %s", e->dest.path, strerror(errno));

	for (uint64_t i = 0; rc == 0 && i < e->known.file_count;)
		rc = name_folder(e, i, &i, err);
	if (rc == 0 && fsync(e->dest.fd) < 0 && errno != EINVAL)
		rc = error_set(err, -errno, "%s: cannot sync: %s", e->dest.path, strerror(errno));
	if (rc < 0)
		return rc;
	if (unlinkat(e->dest.fd, DEST_JOURNAL, 0) < 0)
		return error_set(err, -errno, "%s/" DEST_JOURNAL ": cannot be removed: %s", e->dest.path, strerror(errno));
	fsync(e->dest.fd); /* the export is whole with the journal too: nothing is lost when this is */
	return 0;
}

void export_write_end(struct export *e)
{
	for (uint64_t i = 0; i < e->known.file_count; i++)
		if (e->files[i].fd >= 0)
			close(e->files[i].fd);
}
