/* SPDX-License-Identifier: Apache-2.0 */
/* Looks for what is usually missing, in the order in which a mount needs it; where all is there, what was said must do. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/capability.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "fs/serve/refusal.h"

#define OTHER_WAY "; without a mount, `gatherfs export SOURCE DEST` writes the same files"

int refusal_device(struct error *err)
{
	int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);

	if (fd >= 0) {
		close(fd);
		return 0;
	}
	if (errno == EACCES || errno == EPERM)
		return error_set(err, -errno, "/dev/fuse may not be opened here: %s (a container needs --device /dev/fuse; elsewhere its "
				 "mode should be 0666)" OTHER_WAY, strerror(errno));
	return error_set(err, -errno, "/dev/fuse is missing: %s (load the kernel module fuse, or start the container with "
			 "--device /dev/fuse)" OTHER_WAY, strerror(errno));
}

/* Finds fusermount3 where libfuse looks: where Debian has it, then along PATH. False when there is none. */
static bool find_helper(char *path, size_t room)
{
	const char *dir = getenv("PATH");
	int len;

	snprintf(path, room, "/usr/bin/fusermount3");
	for (dir = dir ? dir : "/bin"; *dir && access(path, X_OK) < 0; dir += len + (dir[len] == ':')) {
		len = (int)strcspn(dir, ":");
		snprintf(path, room, "%.*s/fusermount3", len, dir);
	}
	return access(path, X_OK) == 0;
}

/* A number in /proc/self/status, `fallback` where the kernel does not tell. */
static uint64_t own_status(const char *field, int base, uint64_t fallback)
{
	FILE *f = fopen("/proc/self/status", "re");
	size_t len = strlen(field);
	char line[256];

	while (f && fgets(line, sizeof(line), f))
		if (strncmp(line, field, len) == 0 && line[len] == ':')
			fallback = strtoull(line + len + 1, NULL, base);
	if (f)
		fclose(f);
	return fallback;
}

/* The AppArmor profile that confines this process; false when none does. */
static bool confined(char *profile, size_t room)
{
	FILE *f = fopen("/proc/self/attr/apparmor/current", "re");
	bool known = f && fgets(profile, (int)room, f);

	if (f)
		fclose(f);
	if (known)
		profile[strcspn(profile, " \n")] = '\0'; /* a mode such as (enforce) is behind the name */
	return known && strcmp(profile, "unconfined") != 0;
}

/* What keeps fusermount3 from mounting for a user. NULL when it is in order; else a reason about the program at `path`. */
static const char *helper_flaw(const char *path)
{
	struct statvfs fs;
	struct stat st;

	if (own_status("NoNewPrivs", 10, 0))
		return "gains no rights, because this process was started with no_new_privs";
	if (stat(path, &st) < 0 || !(st.st_mode & S_ISUID) || st.st_uid != 0)
		return "is not setuid root (package fuse3 installs it so)";
	if (statvfs(path, &fs) == 0 && (fs.f_flag & ST_NOSUID))
		return "lies on a filesystem that is mounted nosuid";
	return NULL;
}

/* For everybody but root; 0 when the helper is not to blame. */
static int explain_helper(const char *point, struct error *err)
{
	char path[4096];
	const char *flaw;

	if (!find_helper(path, sizeof(path)))
		return error_set(err, -ENOENT, "cannot mount on %s: fusermount3 is missing, and only root can mount without it "
				 "(package fuse3)" OTHER_WAY, point);
	flaw = helper_flaw(path);
	return flaw ? error_set(err, -EPERM, "cannot mount on %s: %s %s" OTHER_WAY, point, path, flaw) : 0;
}

/* The rights to mount: a capability, and AppArmor's consent. 0 when both seem to be there. */
static int explain_rights(const char *point, struct error *err)
{
	bool may = own_status("CapEff", 16, UINT64_MAX) >> CAP_SYS_ADMIN & 1;
	char profile[256];

	if (geteuid() == 0 && !may)
		return error_set(err, -EPERM, "cannot mount on %s: this root may not mount (CAP_SYS_ADMIN is taken away, as in containers: "
				 "--cap-add SYS_ADMIN --device /dev/fuse gives it)" OTHER_WAY, point);
	if (confined(profile, sizeof(profile)))
		return error_set(err, -EACCES, "cannot mount on %s: forbidden, probably by the AppArmor profile %s (a container runs without "
				 "it with --security-opt apparmor=unconfined)" OTHER_WAY, point, profile);
	return 0;
}

int refusal_explain(const char *point, const char *said, struct error *err)
{
	int rc = 0;

	if (strstr(said, "user_allow_other"))
		return error_set(err, -EPERM, "cannot mount on %s: allow_other and allow_root are for root only, until root writes a line "
				 "`user_allow_other` into /etc/fuse.conf", point);
	if (geteuid() != 0 && (strstr(said, "failed to exec") || strstr(said, "mount failed")))
		rc = explain_helper(point, err);
	if (rc == 0 && (strstr(said, strerror(EPERM)) || strstr(said, strerror(EACCES)) || strstr(said, "failed to exec")))
		rc = explain_rights(point, err);
	return rc < 0 ? rc : error_set(err, -EPERM, "cannot mount on %s: %s", point, said[0] ? said : "the kernel refused it");
}
