/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Waiting for an answer of one's own process: for a thread that looks at the mount that others of the process serve.
 *
 * A process that is killed ends, and its connection with it, whatever such a thread waits for. But one that crashes first waits for all of
 * its threads, to write them into a core file, and keeps the connection meanwhile: where one of them waits for an answer that was begun,
 * neither would ever end. So while somebody waits, the process is one that leaves no core.
 */
#ifndef FS_OWN_H
#define FS_OWN_H

/* Around whatever may ask the mount; from any thread. */
void own_begin(void);
void own_end(void);

#endif
