/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Telling the service manager how far the mount is: the protocol of sd_notify(3), a datagram of VARIABLE=value lines to the socket
 * that NOTIFY_SOCKET names. Where there is none nobody wants to know, and nothing happens.
 */
#ifndef FS_NOTIFY_H
#define FS_NOTIFY_H

/* The mount answers; `status` is a line for people. */
void notify_ready(const char *status);

/* The mount is about to end. */
void notify_stopping(void);

#endif
