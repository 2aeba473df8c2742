/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads a file of a mount in every way that there is, next to a plain file with the same bytes, and tries what a reader may do with it
 * beside reading.
 *
 *     readside FILE COPY OTHER
 *
 * FILE is in the mount, COPY a plain file with its bytes, OTHER a plain file to write to. Says what is not as it should be.
 */
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "tests/calls.h"

#define AREA (1 << 20) /* bytes that are read at a time, at most */

struct place {
	const char *file, *copy, *other;
	int f, c, o;         /* open: FILE and COPY for reading, OTHER for both */
	off_t size;          /* of FILE */
	char *buf, *want;    /* [AREA + 1] each */
	struct calls calls;
};

/* What pread() gives is what the plain file gives, and nothing behind it is touched. */
static bool same_pread(struct place *p, int fd, off_t at, size_t len)
{
	ssize_t want = pread(p->c, p->want, len, at), got;

	p->buf[len] = 0x5a;
	got = pread(fd, p->buf, len, at);
	return got == want && p->buf[len] == 0x5a && (got <= 0 || memcmp(p->buf, p->want, (size_t)got) == 0);
}

static void read_at_all_edges(struct place *p)
{
	static const off_t steps[] = { 0, 1, 7, 511, 512, 4095, 4096, 4097, 65536, 131071, 131072, 262145 };
	const size_t count = sizeof(steps) / sizeof(*steps);
	void *volatile nowhere = (void *)1;
	volatile size_t huge = SIZE_MAX;
	bool good = true;

	for (size_t i = 0; i < count; i++)
		for (size_t k = 0; k < count; k++) {
			good = good && same_pread(p, p->f, steps[i], (size_t)steps[k]);
			good = good && (p->size < steps[i] || same_pread(p, p->f, p->size - steps[i], (size_t)steps[k]));
			good = good && same_pread(p, p->f, p->size + steps[i], (size_t)steps[k]);
		}
	HOLDS(good);
	HOLDS(pread(p->f, p->buf, AREA, INT64_MAX - AREA) == 0);
	TRY(pread(p->f, p->buf, 1, -1), EINVAL);
	TRY(pread(p->f, p->buf, 1, INT64_MIN), EINVAL);
	HOLDS(pread(p->f, p->buf, 0, 0) == 0 && pread(p->f, NULL, 0, p->size) == 0);
	TRY(pread(p->f, nowhere, 1, 0), EFAULT);
	HOLDS(pread(p->f, p->buf, AREA, p->size - 1) == 1);
	TRY(pread(p->f, p->buf, huge, 0), EINVAL, EFAULT);
}

static void read_into_many(struct place *p)
{
	struct iovec iov[IOV_MAX + 1];
	ssize_t want = pread(p->c, p->want, (size_t)IOV_MAX * 3, 0);
	volatile int none = -1;

	for (size_t i = 0; i <= IOV_MAX; i++)
		iov[i] = (struct iovec){ .iov_base = p->buf + i * 3, .iov_len = 3 };
	HOLDS(preadv(p->f, iov, IOV_MAX, 0) == want && memcmp(p->buf, p->want, (size_t)want) == 0);
	TRY(preadv(p->f, iov, IOV_MAX + 1, 0), EINVAL);
	TRY(preadv(p->f, iov, none, 0), EINVAL);
	HOLDS(preadv(p->f, iov, 0, 0) == 0);
	iov[0].iov_len = iov[2].iov_len = 0;
	HOLDS(preadv(p->f, iov, 3, 0) == 3 && memcmp(iov[1].iov_base, p->want, 3) == 0);
	HOLDS(preadv2(p->f, iov + 1, 1, 0, RWF_HIPRI) == 3);
	HOLDS(preadv2(p->f, iov + 1, 1, 0, RWF_NOWAIT) == 3 || errno == EAGAIN || errno == EOPNOTSUPP);
}

static void seek(struct place *p)
{
	HOLDS(lseek(p->f, 0, SEEK_END) == p->size);
	HOLDS(read(p->f, p->buf, 1) == 0);
	HOLDS(lseek(p->f, -1, SEEK_CUR) == p->size - 1 && read(p->f, p->buf, 9) == 1);
	TRY(lseek(p->f, -1, SEEK_SET), EINVAL);
	TRY(lseek(p->f, 0, 99), EINVAL);
	HOLDS(lseek(p->f, p->size + 10, SEEK_SET) == p->size + 10 && read(p->f, p->buf, 1) == 0);
	HOLDS(lseek(p->f, 0, SEEK_DATA) == 0 && lseek(p->f, 1, SEEK_DATA) == 1);
	HOLDS(lseek(p->f, 0, SEEK_HOLE) == p->size && lseek(p->f, p->size - 1, SEEK_HOLE) == p->size);
	TRY(lseek(p->f, p->size, SEEK_DATA), ENXIO);
	TRY(lseek(p->f, p->size, SEEK_HOLE), ENXIO);
	TRY(lseek(p->f, p->size + 1, SEEK_HOLE), ENXIO);
	TRY(lseek(p->f, -1, SEEK_DATA), ENXIO, EINVAL);
}

/* Every flag that does not write: the same bytes. */
static void open_with_flags(struct place *p)
{
	static const int flags[] = { 0, O_NONBLOCK, O_SYNC, O_DSYNC, O_APPEND, O_NOCTTY, O_CLOEXEC, O_NOFOLLOW, O_DIRECT, O_ASYNC, O_DIRECT | O_SYNC | O_NONBLOCK };
	int fd;

	for (size_t i = 0; i < sizeof(flags) / sizeof(*flags); i++) {
		fd = open(p->file, O_RDONLY | flags[i]);
		HOLDS(fd >= 0 && same_pread(p, fd, 0, 8192) && same_pread(p, fd, 3, 4099) && same_pread(p, fd, p->size - 5, 77));
		close(fd);
	}
	fd = open(p->file, O_RDONLY | O_NOATIME); /* the owner's and root's */
	HOLDS(fd >= 0 || errno == EPERM);
	close(fd);
	fd = open(p->file, O_PATH);
	HOLDS(fd >= 0);
	TRY(read(fd, p->buf, 1), EBADF);
	TRY(fgetxattr(fd, "user.gatherfs.name", p->buf, AREA), EBADF);
	HOLDS(fcntl(fd, F_GETFL) & O_PATH);
	close(fd);
	TRY(open(p->file, O_RDONLY | O_DIRECTORY), ENOTDIR);
	HOLDS((fd = open(p->file, O_RDONLY | O_EXCL)) >= 0);
	close(fd);
}

static void move_bytes(struct place *p)
{
	size_t len = p->size < 60000 ? (size_t)p->size : 60000;
	int a[2], b[2];

	memset(p->buf, 0, len);
	HOLDS(pread(p->c, p->want, len, 0) == (ssize_t)len && pipe(a) == 0 && pipe(b) == 0);
	HOLDS(splice(p->f, &(off_t){ 0 }, a[1], NULL, len, 0) > 0);
	HOLDS(tee(a[0], b[1], len, 0) > 0);
	HOLDS(read(a[0], p->buf, AREA) > 0 && memcmp(p->buf, p->want, 1000 < len ? 1000 : len) == 0);
	HOLDS(read(b[0], p->buf, AREA) > 0 && memcmp(p->buf, p->want, 1000 < len ? 1000 : len) == 0);
	TRY(splice(p->f, &(off_t){ -1 }, a[1], NULL, 1, 0), EINVAL);
	HOLDS(splice(p->f, &(off_t){ p->size }, a[1], NULL, 1, 0) == 0);
	HOLDS(ftruncate(p->o, 0) == 0 && lseek(p->o, 0, SEEK_SET) == 0);
	HOLDS(sendfile(p->o, p->f, &(off_t){ 0 }, len) == (ssize_t)len);
	HOLDS(pread(p->o, p->buf, len, 0) == (ssize_t)len && memcmp(p->buf, p->want, len) == 0);
	HOLDS(ftruncate(p->o, 0) == 0);
	HOLDS(copy_file_range(p->f, &(off_t){ 0 }, p->o, &(off_t){ 0 }, len, 0) == (ssize_t)len || errno == EXDEV);
	for (int i = 0; i < 2; i++) {
		close(a[i]);
		close(b[i]);
	}
}

/* Touches a byte of a page beyond the end in a child; the signal that it ended by. */
static int touched(const volatile char *at)
{
	pid_t child = fork();
	int status = 0;

	if (child == 0) {
		signal(SIGBUS, SIG_DFL); /* a sanitizer has its own idea of it */
		_exit(*at ? 1 : 0);
	}
	waitpid(child, &status, 0);
	return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void map(struct place *p)
{
	static const int kinds[] = { MAP_PRIVATE, MAP_SHARED, MAP_PRIVATE | MAP_POPULATE, MAP_SHARED | MAP_POPULATE };
	static const int advice[] = { MADV_NORMAL, MADV_RANDOM, MADV_SEQUENTIAL, MADV_WILLNEED, MADV_DONTNEED };
	size_t page = (size_t)sysconf(_SC_PAGESIZE), pages = ((size_t)p->size + page - 1) / page;
	char *plain = mmap(NULL, (size_t)p->size, PROT_READ, MAP_PRIVATE, p->c, 0), *at;

	HOLDS(plain != MAP_FAILED);
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		at = mmap(NULL, (pages + 1) * page, PROT_READ, kinds[i], p->f, 0);
		HOLDS(at != MAP_FAILED && memcmp(at, plain, (size_t)p->size) == 0);
		HOLDS(pages * page == (size_t)p->size || at[p->size] == 0);
		HOLDS(touched(at + pages * page) == SIGBUS);
		for (size_t k = 0; k < sizeof(advice) / sizeof(*advice); k++)
			HOLDS(madvise(at, pages * page, advice[k]) == 0 && memcmp(at, plain, (size_t)p->size) == 0);
		munmap(at, (pages + 1) * page);
	}
	at = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE, p->f, 0);
	HOLDS(at != MAP_FAILED && (at[0] = (char)~plain[0], same_pread(p, p->f, 0, 1))); /* a copy of one's own */
	munmap(at, page);
	TRY(mmap(NULL, page, PROT_READ, MAP_SHARED, p->f, 1), EINVAL);
	munmap(plain, (size_t)p->size);
}

static void hint_and_sync(struct place *p)
{
	static const int hints[] = { POSIX_FADV_NORMAL, POSIX_FADV_SEQUENTIAL, POSIX_FADV_RANDOM, POSIX_FADV_NOREUSE, POSIX_FADV_WILLNEED, POSIX_FADV_DONTNEED };
	struct pollfd on = { .fd = p->f, .events = POLLIN };

	for (size_t i = 0; i < sizeof(hints) / sizeof(*hints); i++)
		HOLDS(posix_fadvise(p->f, 0, 0, hints[i]) == 0 && posix_fadvise(p->f, p->size, 4096, hints[i]) == 0);
	HOLDS(readahead(p->f, 0, 65536) == 0);
	HOLDS(fsync(p->f) == 0 && fdatasync(p->f) == 0 && syncfs(p->f) == 0);
	HOLDS(sync_file_range(p->f, 0, 4096, SYNC_FILE_RANGE_WRITE) == 0);
	HOLDS(poll(&on, 1, 0) == 1 && on.revents == POLLIN);
	HOLDS(same_pread(p, p->f, 0, 8192));
}

static void lock(struct place *p)
{
	struct flock shared = { .l_type = F_RDLCK, .l_whence = SEEK_SET, .l_len = 10 }, own = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	int again = open(p->file, O_RDONLY);

	HOLDS(flock(p->f, LOCK_SH) == 0 && flock(again, LOCK_SH | LOCK_NB) == 0);
	TRY(flock(again, LOCK_EX | LOCK_NB), EWOULDBLOCK);
	HOLDS(flock(p->f, LOCK_UN) == 0 && flock(again, LOCK_EX | LOCK_NB) == 0);
	TRY(flock(p->f, LOCK_SH | LOCK_NB), EWOULDBLOCK);
	HOLDS(flock(again, LOCK_UN) == 0);
	HOLDS(fcntl(p->f, F_SETLK, &shared) == 0 && fcntl(p->f, F_OFD_SETLK, &shared) == 0);
	TRY(fcntl(p->f, F_SETLK, &own), EBADF);
	HOLDS(fcntl(again, F_OFD_GETLK, &own) == 0 && own.l_type == F_RDLCK);
	shared.l_type = F_UNLCK;
	HOLDS(fcntl(p->f, F_SETLK, &shared) == 0 && fcntl(p->f, F_OFD_SETLK, &shared) == 0);
	close(again);
}

static void attributes(struct place *p)
{
	char list[4096];
	ssize_t len = flistxattr(p->f, NULL, 0), n;

	HOLDS(len > 0 && flistxattr(p->f, list, sizeof(list)) == len && listxattr(p->file, list, (size_t)len) == len);
	TRY(flistxattr(p->f, list, (size_t)len - 1), ERANGE);
	for (const char *name = list; name < list + len; name += strlen(name) + 1) {
		n = fgetxattr(p->f, name, NULL, 0);
		HOLDS(n >= 0 && strncmp(name, "user.gatherfs.", 14) == 0 && fgetxattr(p->f, name, p->buf, AREA) == n);
		HOLDS(getxattr(p->file, name, p->buf, (size_t)n) == n);
		if (n > 1)
			TRY(fgetxattr(p->f, name, p->buf, (size_t)n - 1), ERANGE);
	}
	TRY(fgetxattr(p->f, "user.nothing", p->buf, AREA), ENODATA);
	TRY(fgetxattr(p->f, "user.gatherfs.", p->buf, AREA), ENODATA);
	TRY(fgetxattr(p->f, "security.capability", p->buf, AREA), ENODATA, EOPNOTSUPP);
	TRY(fgetxattr(p->f, "system.posix_acl_access", p->buf, AREA), ENODATA, EOPNOTSUPP);
	TRY(fgetxattr(p->f, "", p->buf, AREA), ERANGE);
}

static void describe(struct place *p)
{
	struct stat a, b, plain;
	struct statx x;
	struct statfs fs;
	struct statvfs vfs;
	int number = 0, flags;

	HOLDS(fstat(p->f, &a) == 0 && lstat(p->file, &b) == 0 && fstat(p->c, &plain) == 0);
	HOLDS(a.st_ino == b.st_ino && a.st_dev == b.st_dev && a.st_size == plain.st_size && a.st_nlink == 1 && S_ISREG(a.st_mode));
	HOLDS(a.st_blocks == (a.st_size + 511) / 512);
	HOLDS(!(a.st_mode & 0333) && a.st_mtim.tv_sec == b.st_mtim.tv_sec && a.st_mtim.tv_nsec == b.st_mtim.tv_nsec);
	HOLDS(statx(p->f, "", AT_EMPTY_PATH, STATX_ALL, &x) == 0 && (x.stx_mask & STATX_BASIC_STATS) == STATX_BASIC_STATS);
	HOLDS(x.stx_size == (uint64_t)a.st_size && x.stx_ino == a.st_ino && x.stx_nlink == 1 && x.stx_blocks == (uint64_t)a.st_blocks);
	HOLDS(statx(AT_FDCWD, p->file, AT_STATX_FORCE_SYNC, STATX_SIZE, &x) == 0 && x.stx_size == (uint64_t)a.st_size);
	HOLDS(fstatfs(p->f, &fs) == 0 && fs.f_type == 0x65735546 /* FUSE */ && fs.f_namelen == 255 && fs.f_bfree == 0 && fs.f_ffree == 0);
	HOLDS(statvfs(p->file, &vfs) == 0 && (vfs.f_flag & ST_RDONLY) && (vfs.f_flag & ST_NOSUID) && vfs.f_blocks > 0 && vfs.f_files > 0);
	HOLDS(access(p->file, R_OK) == 0 && access(p->file, F_OK) == 0);
	TRY(access(p->file, X_OK), EACCES);
	HOLDS(lseek(p->f, 5, SEEK_SET) == 5 && ioctl(p->f, FIONREAD, &number) == 0 && number == (int)a.st_size - 5);
	HOLDS(ioctl(p->f, FIGETBSZ, &number) == 0 && number > 0);
	TRY(ioctl(p->f, FS_IOC_GETFLAGS, &flags), ENOTTY, ENOSYS);
	TRY(ioctl(p->f, _IOR('x', 1, int), &flags), ENOTTY, ENOSYS);
	TRY(readlink(p->file, p->buf, AREA), EINVAL);
}

int main(int argc, char **argv)
{
	static void (*const all[])(struct place *) = { read_at_all_edges, read_into_many, seek, open_with_flags, move_bytes, map, hint_and_sync, lock,
						       attributes, describe };
	struct place p = { 0 };

	if (argc != 4)
		return 2;
	p.file = argv[1];
	p.copy = argv[2];
	p.other = argv[3];
	p.f = open(p.file, O_RDONLY);
	p.c = open(p.copy, O_RDONLY);
	p.o = open(p.other, O_RDWR | O_CREAT, 0600);
	p.size = lseek(p.c, 0, SEEK_END);
	p.buf = malloc(AREA + 1);
	p.want = malloc(AREA + 1);
	if (p.f < 0 || p.c < 0 || p.o < 0 || p.size < 5 || !p.buf || !p.want) {
		perror("what is to be tried cannot be opened");
		return 2;
	}
	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++)
		all[i](&p);
	free(p.buf);
	free(p.want);
	return calls_end(&p.calls);
}
