/* SPDX-License-Identifier: Apache-2.0 */
/* The part of the status that is about the steps of a mount that shows all of them. See status.h. */
#ifndef FS_STATUS_STEPS_H
#define FS_STATUS_STEPS_H

#include "fs/serve/status.h"

void status_steps_text(const struct status *status, struct text *text);

/* As members of an object that has begun. */
void status_steps_json(const struct status *status, struct text *text);

#endif
