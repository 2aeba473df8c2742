/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A progress bar on the standard error stream, with rate and time left, when that is a terminal; nothing otherwise.
 *
 * A NULL progress is one that shows nothing, and every function takes it. A thread of its own draws, so the workers only count.
 */
#ifndef FS_PROGRESS_H
#define FS_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress;

/* What work is counted in. */
enum progress_unit { PROGRESS_BYTES, PROGRESS_FILES };

/* Begins to show how much of `total` is done. `what` ("checking") must live as long. NULL with `quiet`, or where nothing can be shown. */
struct progress *progress_begin(const char *what, uint64_t total, enum progress_unit unit, bool quiet);

/* Counts so much as done. From any thread. */
void progress_add(struct progress *progress, uint64_t done);

/* Removes the bar and frees it. Between begin and end nothing else may write to the terminal. */
void progress_end(struct progress *progress);

#endif
