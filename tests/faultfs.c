/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A slow and faulty storage for tests: shows a folder read-only, and makes reading its files as slow or as wrong as it is told.
 *
 * usage: faultfs FOLDER MOUNTPOINT [libfuse's arguments, such as -o attr_timeout=0]. Stays in the foreground.
 *
 * The file .faults in its root, which no listing shows, steers it. Writing takes words KEY=VALUE between spaces or newlines:
 *   delay_us=N   each read waits that long before it begins; reads wait side by side
 *   only=TEXT    the keys below are for files whose path has TEXT in it; "only=": for all
 *   eio=N        the next N reads fail; -1: all
 *   short=N      the next N reads give half of what they were asked for; -1: all
 *   hang=1       reads wait until hang=0 is written; hang=2: listings of folders too
 *   direct=1     files that are opened from now on are not cached, so that every read comes here as it was made
 *   reset=1      begin to count anew
 * Reading it tells, as JSON, how many reads were begun, how many are at work, the most that ever were at the same time, and the last
 * reads as [path, offset, length, milliseconds since some time] in the order in which they came.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fuse.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define CONTROL "/.faults"
#define LOGGED 4096
#define NAME 96

/* A report, made when the control file is opened; kept to the end, for who ends the mount need not say that he closed it. */
struct kept {
	char *text;
	size_t len;
	struct kept *next;
};

struct logged {
	char path[NAME];
	long long offset;
	size_t len;
	long long ms; /* when it began, on a clock that runs evenly */
};

struct faults {
	int folder;
	pthread_mutex_t lock;   /* of everything below */
	pthread_cond_t changed; /* hang */
	char only[NAME];
	long delay_us, eio, cut, hang, direct;
	unsigned long reads, now, most;
	struct kept *kept;
	struct logged log[LOGGED]; /* read n is at n % LOGGED */
};

/* What is to happen to one read. */
struct fate {
	long delay_us;
	bool eio, cut;
};

static struct faults *faults(void)
{
	return fuse_get_context()->private_data;
}

static bool take(long *count, bool meant)
{
	if (!meant || *count == 0)
		return false;
	if (*count > 0)
		--*count;
	return true;
}

static long long now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000LL + t.tv_nsec / 1000000;
}

static struct fate begin_read(struct faults *f, const char *path, size_t len, off_t offset)
{
	struct logged *l;
	struct fate fate;
	bool meant;

	pthread_mutex_lock(&f->lock);
	l = &f->log[f->reads++ % LOGGED];
	snprintf(l->path, sizeof(l->path), "%s", path);
	l->offset = offset;
	l->len = len;
	l->ms = now_ms();
	if (++f->now > f->most)
		f->most = f->now;
	meant = strstr(path, f->only) != NULL;
	fate = (struct fate){ .delay_us = f->delay_us, .eio = take(&f->eio, meant), .cut = take(&f->cut, meant) };
	while (f->hang && strstr(path, f->only))
		pthread_cond_wait(&f->changed, &f->lock);
	pthread_mutex_unlock(&f->lock);
	return fate;
}

static void end_read(struct faults *f)
{
	pthread_mutex_lock(&f->lock);
	f->now--;
	pthread_mutex_unlock(&f->lock);
}

static void set(struct faults *f, const char *key, const char *value)
{
	const struct {
		const char *key;
		long *place;
	} numbers[] = { { "delay_us", &f->delay_us }, { "eio", &f->eio }, { "short", &f->cut }, { "hang", &f->hang }, { "direct", &f->direct } };

	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		if (strcmp(key, numbers[i].key) == 0)
			*numbers[i].place = atol(value);
	if (strcmp(key, "only") == 0)
		snprintf(f->only, sizeof(f->only), "%s", value);
	if (strcmp(key, "reset") == 0)
		f->reads = f->most = 0;
	pthread_cond_broadcast(&f->changed);
}

static int fs_write(const char *path, const char *buf, size_t size, off_t offset, struct fuse_file_info *fi)
{
	struct faults *f = faults();
	char *text = strndup(buf, size), *rest = text, *word;

	(void)path, (void)offset, (void)fi;
	if (!text)
		return -ENOMEM;
	pthread_mutex_lock(&f->lock);
	while ((word = strsep(&rest, " \n"))) {
		char *value = strchr(word, '=');

		if (value)
			*value++ = '\0';
		if (value)
			set(f, word, value);
	}
	pthread_mutex_unlock(&f->lock);
	free(text);
	return (int)size;
}

/* The report as text, to be freed. */
static char *report(struct faults *f, size_t *len)
{
	char *text = NULL;
	FILE *out = open_memstream(&text, len);

	if (!out)
		return NULL;
	pthread_mutex_lock(&f->lock);
	fprintf(out, "{\"reads\": %lu, \"now\": %lu, \"most\": %lu, \"log\": [", f->reads, f->now, f->most);
	for (unsigned long n = f->reads > LOGGED ? f->reads - LOGGED : 0, first = n; n < f->reads; n++) {
		const struct logged *l = &f->log[n % LOGGED];

		fprintf(out, "%s[\"%s\", %lld, %zu, %lld]", n > first ? ", " : "", l->path, l->offset, l->len, l->ms);
	}
	fprintf(out, "]}\n");
	pthread_mutex_unlock(&f->lock);
	fclose(out);
	return text;
}

static bool is_control(const char *path)
{
	return strcmp(path, CONTROL) == 0;
}

static int open_control(struct fuse_file_info *fi)
{
	struct faults *f = faults();
	struct kept *k = calloc(1, sizeof(*k));

	if (k)
		k->text = report(f, &k->len);
	if (!k || !k->text) {
		free(k);
		return -ENOMEM;
	}
	pthread_mutex_lock(&f->lock);
	k->next = f->kept;
	f->kept = k;
	pthread_mutex_unlock(&f->lock);
	fi->fh = (uintptr_t)k;
	fi->direct_io = 1;
	return 0;
}

static int fs_open(const char *path, struct fuse_file_info *fi)
{
	struct faults *f = faults();
	int fd;

	if (is_control(path))
		return open_control(fi);
	if ((fi->flags & O_ACCMODE) != O_RDONLY)
		return -EROFS;
	fd = openat(f->folder, path + 1, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	fi->fh = (uint64_t)fd;
	fi->direct_io = f->direct != 0;
	return 0;
}

static int fs_release(const char *path, struct fuse_file_info *fi)
{
	if (!is_control(path))
		close((int)fi->fh);
	return 0;
}

static void free_kept(struct faults *f)
{
	for (struct kept *k = f->kept, *next; k; k = next) {
		next = k->next;
		free(k->text);
		free(k);
	}
}

static int read_control(const struct kept *k, char *buf, size_t size, off_t offset)
{
	size_t left = (size_t)offset < k->len ? k->len - (size_t)offset : 0, n = size < left ? size : left;

	memcpy(buf, k->text + offset, n);
	return (int)n;
}

static int fs_read(const char *path, char *buf, size_t size, off_t offset, struct fuse_file_info *fi)
{
	struct faults *f = faults();
	struct fate fate;
	ssize_t n;

	if (is_control(path))
		return read_control((struct kept *)(uintptr_t)fi->fh, buf, size, offset);
	fate = begin_read(f, path, size, offset);
	if (fate.delay_us)
		usleep((useconds_t)fate.delay_us);
	n = fate.eio ? -EIO : pread((int)fi->fh, buf, fate.cut ? (size + 1) / 2 : size, offset);
	if (n < 0 && !fate.eio)
		n = -errno;
	end_read(f);
	return (int)n;
}

static int fs_getattr(const char *path, struct stat *st, struct fuse_file_info *fi)
{
	(void)fi;
	if (is_control(path)) {
		*st = (struct stat){ .st_mode = S_IFREG | 0600, .st_nlink = 1, .st_uid = getuid(), .st_gid = getgid() };
		return 0;
	}
	return fstatat(faults()->folder, path[1] ? path + 1 : ".", st, AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
}

static int fs_truncate(const char *path, off_t size, struct fuse_file_info *fi)
{
	(void)size, (void)fi;
	return is_control(path) ? 0 : -EROFS;
}

static int fs_readlink(const char *path, char *buf, size_t size)
{
	ssize_t n = readlinkat(faults()->folder, path + 1, buf, size - 1);

	if (n < 0)
		return -errno;
	buf[n] = '\0';
	return 0;
}

static void hang_listing(struct faults *f, const char *path)
{
	pthread_mutex_lock(&f->lock);
	while (f->hang == 2 && strstr(path, f->only))
		pthread_cond_wait(&f->changed, &f->lock);
	pthread_mutex_unlock(&f->lock);
}

static int fs_readdir(const char *path, void *buf, fuse_fill_dir_t fill, off_t offset, struct fuse_file_info *fi, enum fuse_readdir_flags flags)
{
	int fd = openat(faults()->folder, path[1] ? path + 1 : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	(void)offset, (void)fi, (void)flags;
	if (!dir)
		return -errno;
	hang_listing(faults(), path);
	while ((entry = readdir(dir)))
		fill(buf, entry->d_name, NULL, 0, (enum fuse_fill_dir_flags)0);
	closedir(dir);
	return 0;
}

static void *fs_init(struct fuse_conn_info *conn, struct fuse_config *config)
{
	conn->max_background = 64;
	config->use_ino = 1;
	config->nullpath_ok = 0;
	return faults();
}

static const struct fuse_operations operations = {
	.init = fs_init,
	.getattr = fs_getattr,
	.readlink = fs_readlink,
	.readdir = fs_readdir,
	.open = fs_open,
	.read = fs_read,
	.write = fs_write,
	.truncate = fs_truncate,
	.release = fs_release,
};

int main(int argc, char **argv)
{
	struct faults *f = calloc(1, sizeof(*f));
	struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
	int rc;

	if (argc < 3 || !f) {
		fprintf(stderr, "usage: faultfs FOLDER MOUNTPOINT [-o OPTIONS]\n");
		return 2;
	}
	f->folder = open(argv[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (f->folder < 0) {
		perror(argv[1]);
		return 1;
	}
	pthread_mutex_init(&f->lock, NULL);
	pthread_cond_init(&f->changed, NULL);
	fuse_opt_add_arg(&args, argv[0]);
	for (int i = 2; i < argc; i++)
		fuse_opt_add_arg(&args, argv[i]);
	fuse_opt_add_arg(&args, "-f");
	fuse_opt_add_arg(&args, "-omax_threads=80,max_idle_threads=80,fsname=faultfs,subtype=faultfs");
	rc = fuse_main(args.argc, args.argv, &operations, f);
	fuse_opt_free_args(&args);
	free_kept(f);
	close(f->folder);
	free(f);
	return rc;
}
