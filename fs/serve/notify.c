/* SPDX-License-Identifier: Apache-2.0 */
/* One datagram a message. Failures are ignored: the manager has a time limit, and its log says what it waited for. */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "fs/serve/notify.h"
#include "layout/base/error.h"

/* The length of the address, 0 when `name` is none; a leading @ stands for the NUL of an abstract socket. */
static socklen_t make_address(const char *name, struct sockaddr_un *address)
{
	size_t len = name ? strlen(name) : 0;

	if (len < 2 || len >= sizeof(address->sun_path) || (name[0] != '/' && name[0] != '@'))
		return 0;
	*address = (struct sockaddr_un){ .sun_family = AF_UNIX };
	memcpy(address->sun_path, name, len);
	if (name[0] == '@')
		address->sun_path[0] = '\0';
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
}

static void send_state(const char *state)
{
	struct sockaddr_un address;
	socklen_t len = make_address(getenv("NOTIFY_SOCKET"), &address);
	int fd = len ? socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0) : -1;

	if (fd < 0)
		return;
	sendto(fd, state, strlen(state), MSG_NOSIGNAL, (const struct sockaddr *)&address, len);
	close(fd);
}

void notify_ready(const char *status)
{
	struct error line;
	char state[sizeof(line.msg) + 32];

	error_set(&line, 0, "%s", status); /* a name in it must not become a line of its own */
	snprintf(state, sizeof(state), "READY=1\nSTATUS=%s\n", line.msg);
	send_state(state);
}

void notify_stopping(void)
{
	send_state("STOPPING=1\n");
}
