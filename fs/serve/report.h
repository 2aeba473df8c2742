/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Parts of a report on a mount: fields for people, members of a JSON object for programs. Each JSON member begins with its comma, so
 * an object begins with a member written by hand.
 */
#ifndef FS_REPORT_H
#define FS_REPORT_H

#include "fs/model/model.h"
#include "layout/base/text.h"

void report_time(struct text *t, time_t when);

void report_field(struct text *t, const char *name, const char *value);
void report_fields(struct text *t, const char *name, const struct model_texts *values);
void report_problems(struct text *t, struct problems *problems);

/* The comma and the key. */
void report_key(struct text *t, const char *key);

void report_json_text(struct text *t, const char *key, const char *value); /* NULL gives null */
void report_json_number(struct text *t, const char *key, uint64_t value);
void report_json_texts(struct text *t, const char *key, const struct model_texts *values);
void report_json_time(struct text *t, const char *key, time_t when);
void report_json_headers(struct text *t, const struct model *model); /* how many were read, and how many an index had */
void report_json_left_out(struct text *t, const struct checkpoint *ckpt); /* NULL gives an empty list */
void report_json_problems(struct text *t, struct problems *problems);

#endif
