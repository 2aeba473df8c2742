/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Why nothing can be mounted here, in words that say what is missing and who can add it. A mount needs much from its surroundings
 * (a device, a helper that is setuid root, rights that containers take away), and the kernel answers most of it with one EPERM.
 */
#ifndef FS_REFUSAL_H
#define FS_REFUSAL_H

#include "layout/base/error.h"

/* Tries what every mount needs: 0, or a negative errno with what is missing. */
int refusal_device(struct error *err);

/* Explains a mount on `point` that failed; `said` is what libfuse and fusermount3 printed, in one line. Returns a negative errno. */
int refusal_explain(const char *point, const char *said, struct error *err);

#endif
