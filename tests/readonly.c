/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls everything that could change a file, a folder or a link of a mount, and says what did not fail as it should.
 *
 *     readonly FILE DIR LINK OUTSIDE
 *
 * FILE, DIR and LINK are in the mount; OUTSIDE is a file that may be written, elsewhere. Each TRY below is a call and
 * the errors that it may end with: EROFS, unless POSIX or Linux looks at something else before. Some of it depends on the kernel or on
 * who calls; then there are several. Prints a line for each that fails otherwise, and how many calls there were.
 */
#include <fcntl.h>
#include <limits.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/xattr.h>
#include <unistd.h>
#include <utime.h>

#include "tests/calls.h"

struct place {
	const char *file, *dir, *link, *outside;
	char new[PATH_MAX], in_dir[PATH_MAX]; /* names that are not there */
	int f, d, l, o;                       /* open for reading: the file, the folder, the link itself; OUTSIDE for both */
	struct calls calls;
};

static void open_files(struct place *p)
{
	static const int ways[] = { O_WRONLY, O_RDWR, O_RDONLY | O_TRUNC, O_WRONLY | O_TRUNC, O_RDWR | O_TRUNC, O_WRONLY | O_APPEND, O_RDWR | O_APPEND,
				    O_WRONLY | O_CREAT, O_RDWR | O_CREAT | O_TRUNC, O_WRONLY | O_DIRECT, O_RDWR | O_SYNC, O_WRONLY | O_NONBLOCK };

	for (size_t i = 0; i < sizeof(ways) / sizeof(*ways); i++)
		TRY(open(p->file, ways[i], 0600), EROFS);
	TRY(creat(p->file, 0600), EROFS);
	TRY(creat(p->new, 0600), EROFS);
	TRY(creat(p->in_dir, 0600), EROFS);
	TRY(open(p->new, O_RDONLY | O_CREAT, 0600), EROFS);
	TRY(open(p->new, O_RDWR | O_CREAT | O_EXCL, 0600), EROFS);
	TRY(open(p->file, O_RDWR | O_CREAT | O_EXCL, 0600), EEXIST);
	TRY(open(p->file, O_WRONLY | O_DIRECTORY), ENOTDIR);
	TRY(open(p->dir, O_TMPFILE | O_RDWR, 0600), EROFS, EOPNOTSUPP);
	TRY(open(p->dir, O_TMPFILE | O_WRONLY | O_EXCL, 0600), EROFS, EOPNOTSUPP);
	TRY(open(p->dir, O_WRONLY), EISDIR);
	TRY(open(p->dir, O_RDWR), EISDIR);
	TRY(open(p->dir, O_RDONLY | O_TRUNC), EISDIR, EROFS);
	TRY(open(p->link, O_WRONLY | O_NOFOLLOW), ELOOP);
	TRY(access(p->file, W_OK), EROFS);
	TRY(access(p->dir, R_OK | W_OK), EROFS);
	TRY(faccessat(AT_FDCWD, p->file, W_OK, AT_EACCESS), EROFS);
}

/* Through a descriptor that is open for reading, as nothing else can be had. */
static void write_to_descriptors(struct place *p)
{
	struct iovec iov = { .iov_base = "x", .iov_len = 1 };
	int pipes[2];

	TRY(write(p->f, "x", 1), EBADF);
	TRY(write(p->d, "x", 1), EBADF);
	TRY(pwrite(p->f, "x", 1, 0), EBADF);
	TRY(writev(p->f, &iov, 1), EBADF);
	TRY(pwritev(p->f, &iov, 1, 0), EBADF);
	TRY(pwritev2(p->f, &iov, 1, 0, RWF_APPEND), EBADF);
	TRY(copy_file_range(p->o, NULL, p->f, NULL, 1, 0), EBADF);
	TRY(sendfile(p->f, p->o, &(off_t){ 0 }, 1), EBADF);
	if (pipe(pipes) == 0) {
		TRY(write(pipes[1], "x", 1) == 1 ? splice(pipes[0], NULL, p->f, NULL, 1, 0) : 0, EBADF);
		close(pipes[0]);
		close(pipes[1]);
	}
	TRY(ftruncate(p->f, 0), EINVAL);
	TRY(ftruncate(p->d, 0), EINVAL);
	TRY(truncate(p->file, 0), EROFS);
	TRY(truncate(p->file, 1 << 30), EROFS);
	TRY(truncate(p->dir, 0), EISDIR);
	TRY(posix_fallocate(p->f, 0, 1) ? (errno = EBADF, -1) : 0, EBADF);
}

static void map_and_allocate(struct place *p)
{
	static const int modes[] = { 0, FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, FALLOC_FL_COLLAPSE_RANGE, FALLOC_FL_ZERO_RANGE,
				     FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, FALLOC_FL_INSERT_RANGE, FALLOC_FL_UNSHARE_RANGE };
	void *shared = mmap(NULL, 1, PROT_READ, MAP_SHARED, p->f, 0);

	for (size_t i = 0; i < sizeof(modes) / sizeof(*modes); i++)
		TRY(fallocate(p->f, modes[i], 0, 4096), EBADF);
	TRY(mmap(NULL, 1, PROT_READ | PROT_WRITE, MAP_SHARED, p->f, 0), EACCES, ENODEV);
	TRY(mmap(NULL, 1, PROT_WRITE, MAP_SHARED_VALIDATE, p->f, 0), EACCES, ENODEV);
	if (shared != MAP_FAILED) {
		TRY(mprotect(shared, 1, PROT_READ | PROT_WRITE), EACCES);
		munmap(shared, 1);
	}
}

static void change_flags(struct place *p)
{
	int flags = FS_APPEND_FL | FS_IMMUTABLE_FL;
	struct fsxattr fs = { .fsx_xflags = FS_XFLAG_APPEND };
	struct file_clone_range clone = { .src_fd = p->o };

	TRY(ioctl(p->f, FS_IOC_SETFLAGS, &flags), EROFS, ENOTTY, ENOSYS, EPERM);
	TRY(ioctl(p->d, FS_IOC_SETFLAGS, &flags), EROFS, ENOTTY, ENOSYS, EPERM);
	TRY(ioctl(p->f, FS_IOC_FSSETXATTR, &fs), EROFS, ENOTTY, ENOSYS, EPERM);
	TRY(ioctl(p->f, FICLONE, p->o), EBADF, EXDEV, EOPNOTSUPP);
	TRY(ioctl(p->f, FICLONERANGE, &clone), EBADF, EXDEV, EOPNOTSUPP);
	TRY(ioctl(p->f, FITRIM, &(struct fstrim_range){ .len = 1 }), ENOTTY, EPERM, ENOSYS);
	TRY(ioctl(p->f, FIFREEZE, 0), EPERM, EOPNOTSUPP, ENOTTY);
}

static void remove_names(struct place *p)
{
	TRY(unlink(p->file), EROFS);
	TRY(unlink(p->link), EROFS);
	TRY(unlink(p->dir), EROFS, EISDIR);
	TRY(unlink(p->new), EROFS, ENOENT);
	TRY(unlinkat(AT_FDCWD, p->file, 0), EROFS);
	TRY(unlinkat(p->d, "nothing", AT_REMOVEDIR), EROFS, ENOENT);
	TRY(remove(p->file), EROFS);
	TRY(rmdir(p->dir), EROFS);
	TRY(rmdir(p->file), EROFS, ENOTDIR);
	TRY(rmdir(p->link), EROFS, ENOTDIR);
}

static void make_names(struct place *p)
{
	TRY(mkdir(p->new, 0700), EROFS);
	TRY(mkdir(p->in_dir, 0700), EROFS);
	TRY(mkdir(p->dir, 0700), EEXIST);
	TRY(mkdirat(p->d, "new", 0700), EROFS);
	TRY(mknod(p->new, S_IFREG | 0600, 0), EROFS);
	TRY(mknod(p->new, S_IFIFO | 0600, 0), EROFS);
	TRY(mknod(p->new, S_IFSOCK | 0600, 0), EROFS);
	TRY(mknod(p->new, S_IFCHR | 0600, 0x103), EROFS, EPERM);
	TRY(mknod(p->new, S_IFBLK | 0600, 0x700), EROFS, EPERM);
	TRY(mknodat(p->d, "new", S_IFREG | 0600, 0), EROFS);
	TRY(mkfifo(p->new, 0600), EROFS);
	TRY(mkfifo(p->file, 0600), EEXIST);
	TRY(symlink("x", p->new), EROFS);
	TRY(symlink("x", p->file), EEXIST);
	TRY(symlinkat("x", p->d, "new"), EROFS);
	TRY(link(p->file, p->new), EROFS);
	TRY(link(p->link, p->new), EROFS);
	TRY(link(p->file, p->link), EEXIST);
	TRY(link(p->outside, p->new), EROFS, EXDEV);
	TRY(linkat(AT_FDCWD, p->link, AT_FDCWD, p->new, AT_SYMLINK_FOLLOW), EROFS, EPERM);
	TRY(linkat(p->f, "", p->d, "new", AT_EMPTY_PATH), EROFS, ENOENT);
}

/* A socket's address has room for 107 bytes, so it is bound from within the folder. */
static void bind_sockets(struct place *p)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = "new" };
	int here = open(".", O_RDONLY | O_DIRECTORY), s = socket(AF_UNIX, SOCK_STREAM, 0);

	if (here >= 0 && s >= 0 && fchdir(p->d) == 0) {
		TRY(bind(s, (struct sockaddr *)&address, sizeof(address)), EROFS);
		p->calls.failed += fchdir(here) < 0;
	} else {
		printf("bind(): could not be tried\n");
		p->calls.failed++;
	}
	close(here);
	close(s);
}

static void rename_names(struct place *p)
{
	char beside[PATH_MAX + 8];

	snprintf(beside, sizeof(beside), "%s.new", p->outside);
	TRY(rename(p->file, p->new), EROFS);
	TRY(rename(p->dir, p->new), EROFS);
	TRY(rename(p->link, p->new), EROFS);
	TRY(rename(p->file, p->link), EROFS);
	TRY(rename(p->file, p->in_dir), EROFS);
	TRY(rename(p->file, p->file), EROFS);
	TRY(rename(p->file, beside), EXDEV);
	TRY(rename(p->outside, p->new), EXDEV);
	TRY(renameat2(AT_FDCWD, p->file, AT_FDCWD, p->new, RENAME_NOREPLACE), EROFS);
	TRY(renameat2(AT_FDCWD, p->file, AT_FDCWD, p->link, RENAME_EXCHANGE), EROFS);
	TRY(renameat2(AT_FDCWD, p->file, AT_FDCWD, p->new, RENAME_WHITEOUT), EROFS, EPERM);
	TRY(renameat2(AT_FDCWD, p->file, AT_FDCWD, p->new, RENAME_NOREPLACE | RENAME_EXCHANGE), EINVAL);
}

static void change_modes(struct place *p)
{
	char self[64];

	snprintf(self, sizeof(self), "/proc/self/fd/%d", p->l);
	TRY(chmod(p->file, 0777), EROFS);
	TRY(chmod(p->dir, 0777), EROFS);
	TRY(chmod(p->file, 04777), EROFS);
	TRY(fchmod(p->f, 0777), EROFS);
	TRY(fchmod(p->d, 0777), EROFS);
	TRY(fchmod(p->l, 0777), EBADF);
	TRY(fchmodat(AT_FDCWD, p->file, 0777, 0), EROFS);
	TRY(chmod(self, 0777), EROFS, EOPNOTSUPP);
	TRY(chown(p->file, getuid(), getgid()), EROFS);
	TRY(chown(p->dir, getuid(), (gid_t)-1), EROFS);
	TRY(chown(p->file, (uid_t)-1, (gid_t)-1), EROFS);
	TRY(lchown(p->link, getuid(), getgid()), EROFS);
	TRY(fchown(p->f, getuid(), getgid()), EROFS);
	TRY(fchownat(p->f, "", 0, 0, AT_EMPTY_PATH), EROFS);
	TRY(fchownat(AT_FDCWD, p->link, 0, 0, AT_SYMLINK_NOFOLLOW), EROFS);
}

static void change_times(struct place *p)
{
	const struct timespec when[2] = { { .tv_sec = 1 }, { .tv_sec = 2 } }, now[2] = { { .tv_nsec = UTIME_NOW }, { .tv_nsec = UTIME_OMIT } };
	const struct timeval old[2] = { { .tv_sec = 1 }, { .tv_sec = 2 } };
	const struct utimbuf older = { 1, 2 };

	TRY(utimensat(AT_FDCWD, p->file, NULL, 0), EROFS);
	TRY(utimensat(AT_FDCWD, p->file, when, 0), EROFS);
	TRY(utimensat(AT_FDCWD, p->dir, now, 0), EROFS);
	TRY(utimensat(AT_FDCWD, p->link, when, AT_SYMLINK_NOFOLLOW), EROFS);
	TRY(futimens(p->f, when), EROFS);
	TRY(futimens(p->d, NULL), EROFS);
	TRY(utimes(p->file, old), EROFS);
	TRY(utime(p->file, &older), EROFS);
	TRY(lutimes(p->link, old), EROFS);
}

static void change_attributes(struct place *p)
{
	static const char *const names[] = { "user.x", "user.gatherfs.name", "trusted.x", "security.x", "security.capability", "system.posix_acl_access" };

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		TRY(setxattr(p->file, names[i], "1", 1, 0), EROFS);
		TRY(setxattr(p->dir, names[i], "1", 1, XATTR_CREATE), EROFS);
		TRY(lsetxattr(p->link, names[i], "1", 1, 0), EROFS);
		TRY(fsetxattr(p->f, names[i], "1", 1, XATTR_REPLACE), EROFS);
		TRY(removexattr(p->file, names[i]), EROFS);
		TRY(lremovexattr(p->link, names[i]), EROFS);
		TRY(fremovexattr(p->d, names[i]), EROFS);
	}
}

/* A handle opens without a path; for who may, it is as closed as the path. */
static void open_handles(struct place *p)
{
	struct { struct file_handle h; unsigned char more[MAX_HANDLE_SZ]; } room = { .h.handle_bytes = MAX_HANDLE_SZ };
	int mount;

	if (name_to_handle_at(AT_FDCWD, p->file, &room.h, &mount, 0) < 0)
		return; /* then there is none */
	TRY(open_by_handle_at(p->f, &room.h, O_RDWR), EROFS, EPERM, ESTALE);
	TRY(open_by_handle_at(p->f, &room.h, O_WRONLY | O_TRUNC), EROFS, EPERM, ESTALE);
}

int main(int argc, char **argv)
{
	static void (*const all[])(struct place *) = { open_files, write_to_descriptors, map_and_allocate, change_flags, remove_names, make_names,
						       bind_sockets, rename_names, change_modes, change_times, change_attributes, open_handles };
	struct place p = { 0 };

	if (argc != 5)
		return 2;
	p.file = argv[1];
	p.dir = argv[2];
	p.link = argv[3];
	p.outside = argv[4];
	snprintf(p.new, sizeof(p.new), "%.*s/new", (int)(strrchr(p.file, '/') - p.file), p.file);
	snprintf(p.in_dir, sizeof(p.in_dir), "%s/new", p.dir);
	p.f = open(p.file, O_RDONLY | O_NONBLOCK | O_APPEND);
	p.d = open(p.dir, O_RDONLY | O_DIRECTORY);
	p.l = open(p.link, O_PATH | O_NOFOLLOW);
	p.o = open(p.outside, O_RDWR);
	if (p.f < 0 || p.d < 0 || p.l < 0 || p.o < 0) {
		perror("what is to be tried cannot be opened");
		return 2;
	}
	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++)
		all[i](&p);
	return calls_end(&p.calls);
}
