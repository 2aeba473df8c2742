/* SPDX-License-Identifier: Apache-2.0 */
/* See privileges.h. The system calls themselves: libcap would be a dependency for three of them. */
#include <errno.h>
#include <linux/capability.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fs/serve/privileges.h"

#define BIT(capability) (UINT64_C(1) << (capability))
#define SERVING BIT(CAP_DAC_READ_SEARCH)
#define KEPT (SERVING | BIT(CAP_SYS_ADMIN))

static const struct __user_cap_header_struct own = { .version = _LINUX_CAPABILITY_VERSION_3 }; /* pid 0: the calling thread */

void privileges_inherit_nothing(void)
{
	close_range(3, ~0U, 0); /* a kernel without it leaves them open, as every program does */
	umask(077);
}

static int get_permitted(uint64_t *permitted)
{
	struct __user_cap_header_struct header = own;
	struct __user_cap_data_struct data[2];

	if (syscall(SYS_capget, &header, data) < 0)
		return -errno;
	*permitted = data[0].permitted | (uint64_t)data[1].permitted << 32;
	return 0;
}

/* Nothing is inheritable; what is not permitted is gone for good. */
static int set(uint64_t permitted, uint64_t effective)
{
	struct __user_cap_header_struct header = own;
	struct __user_cap_data_struct data[2] = {
		{ .effective = (uint32_t)effective, .permitted = (uint32_t)permitted },
		{ .effective = (uint32_t)(effective >> 32), .permitted = (uint32_t)(permitted >> 32) },
	};

	return syscall(SYS_capset, &header, data) < 0 ? -errno : 0;
}

/* Where CAP_SETPCAP is missing the bounding set stays, and no_new_privs has to do. */
static void drop_bounding(void)
{
	for (int i = 0; prctl(PR_CAPBSET_READ, i, 0, 0, 0) >= 0; i++)
		if (!(KEPT & BIT(i)))
			prctl(PR_CAPBSET_DROP, i, 0, 0, 0);
}

int privileges_drop(struct error *err)
{
	uint64_t have;
	int rc;

	if (geteuid() != 0)
		return 0;
	rc = get_permitted(&have);
	if (rc == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		rc = -errno;
	if (rc == 0) {
		drop_bounding();
		rc = set(have & KEPT, have & SERVING);
	}
	return rc < 0 ? error_set(err, rc, "privileges cannot be dropped: %s", strerror(-rc)) : 0;
}

void privileges_for_unmount(void)
{
	uint64_t have;

	if (geteuid() == 0 && get_permitted(&have) == 0)
		set(have, have); /* where that fails, unmounting fails, and says so */
}
