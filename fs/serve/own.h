/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Asking the mount that one's own process serves.
 *
 * Who waits for an answer that was begun cannot be killed, and a process ends its connection, which ends the waiting, when no thread has
 * its descriptors any more; when it crashes, not before all threads have been written into a core. So whoever asks has a table of
 * descriptors of his own, and the process leaves no core meanwhile. It cannot be stopped or looked at by a
 * debugger either while there is no answer: for what is not done at once, there is reader.h.
 */
#ifndef FS_OWN_H
#define FS_OWN_H

/*
 * Calls ask(arg), which has no descriptors but the standard streams, and waits for its end. Where there can be no thread or no table for it
 * (Linux before 5.9), it is called all the same, and is in the way of the end for that moment.
 */
void own_ask(void (*ask)(void *arg), void *arg);

#endif
