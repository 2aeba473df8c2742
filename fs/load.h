/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From SOURCE and options to a model: list, choose a step, read strategies and headers, prove the checkpoint, build the view.
 * Everything that can be wrong with the input is found here, before anything is mounted.
 */
#ifndef FS_LOAD_H
#define FS_LOAD_H

#include "fs/model.h"
#include "fs/options.h"

/* Loads what `o` describes. On success the caller owns *out (model_free()). A negative errno with one message for the user. */
int load_model(const struct options *o, struct model **out, struct error *err);

#endif
