/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading back. What was just written is compared with the fingerprint of what was gathered, from the disk as far as the kernel lets
 * go of its copy; a finished export, of which nothing is known any more, with what its sources give.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "fs/verbs/exporting.h"

/* Opens a file of DEST by one of its names. */
static int open_named(struct export *e, const struct export_file *f, const char *name, struct error *err)
{
	int folder = dest_folder(&e->dest, f->path, false, err), fd, code;

	if (folder < 0)
		return folder;
	fd = openat(folder, name, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	code = fd < 0 ? -errno : fd;
	close(folder);
	return code < 0 ? export_fail(e, f, "cannot be read", code, err) : code;
}

static const char *name_now(const struct export_file *f)
{
	return f->named ? dest_name(f->path) : f->temp;
}

/* A file that is not what it should be goes, so that the next run makes it anew. */
static int discard(struct export *e, const struct export_part *p, struct error *err)
{
	int folder = dest_folder(&e->dest, p->file->path, false, err);

	if (folder < 0)
		return folder;
	unlinkat(folder, name_now(p->file), 0);
	close(folder);
	return error_set(err, -EIO, "%s/%s: bytes %" PRIu64 " to %" PRIu64 " read back other than they were written; "
			 "the next run writes this file again", e->dest.path, p->file->path, p->offset, p->offset + p->len);
}

int export_check(uint64_t number, void *state, void *arg, struct error *err)
{
	struct export *e = arg;
	struct export_part p = export_part_of(e, number);
	struct fingerprint found = { 0, 0 };
	int rc;

	p.fd = open_named(e, p.file, name_now(p.file), err);
	if (p.fd < 0)
		return p.fd;
	posix_fadvise(p.fd, (off_t)p.offset, (off_t)p.len, POSIX_FADV_DONTNEED);
	rc = export_print(e, state, &p, &found, err);
	close(p.fd);
	if (rc == -ENODATA || (rc == 0 && !fingerprint_equal(found, e->known.chunks[number].print)))
		return discard(e, &p, err);
	progress_add(e->progress, p.len);
	return rc;
}

/* One step of a finished file. */
static int compare_step(struct export *e, struct export_thread *t, const struct export_part *step, struct error *err)
{
	uint64_t same = 0;
	int rc = export_gather(e, t, step, err);

	if (rc == 0)
		rc = export_read(e, t, step, err);
	if (rc < 0 || memcmp(t->buf, t->other, step->len) == 0)
		return rc;
	while (t->buf[same] == t->other[same])
		same++;
	return error_set(err, -EINVAL, "%s/%s: byte %" PRIu64 " differs: expected 0x%02x, found 0x%02x", e->dest.path, step->file->path,
			 step->offset + same, t->buf[same], t->other[same]);
}

int export_check_finished(uint64_t number, void *state, void *arg, struct error *err)
{
	struct export *e = arg;
	struct export_part p = export_part_of(e, number), step = export_first(&p);
	int rc = 0;

	p.fd = step.fd = open_named(e, p.file, dest_name(p.file->path), err);
	if (p.fd < 0)
		return p.fd;
	posix_fadvise(p.fd, (off_t)p.offset, (off_t)p.len, POSIX_FADV_DONTNEED);
	while (rc == 0 && export_next(&p, &step)) {
		rc = compare_step(e, state, &step, err);
		progress_add(e->progress, step.len);
	}
	close(p.fd);
	return rc;
}

/* That all files are there and as long as they must be is told before anything is read. */
int export_check_sizes(struct export *e, struct error *err)
{
	int rc = 0;

	for (uint64_t i = 0; rc == 0 && i < e->known.file_count; i++) {
		const struct export_file *f = &e->files[i];
		int fd = open_named(e, f, dest_name(f->path), err);
		struct stat st;

		if (fd < 0)
			return fd;
		rc = fstat(fd, &st) < 0 ? export_fail(e, f, "cannot be read", -errno, err) : 0;
		if (rc == 0 && (!S_ISREG(st.st_mode) || (uint64_t)st.st_size != f->image->size))
			rc = error_set(err, -EINVAL, "%s/%s: expected a file of %" PRIu64 " bytes, found %s%" PRIu64, e->dest.path, f->path,
				       f->image->size, S_ISREG(st.st_mode) ? "" : "no file, size ", (uint64_t)st.st_size);
		close(fd);
	}
	return rc;
}
