/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What went wrong, in one sentence for the user. The convention of the whole program: a function returns 0 or a negative
 * errno, and on failure has filled a struct error. layout/ formats and never prints; the verbs in fs/ print.
 *
 * A message names the file, the tensor and the field, what was expected and what was found. Names come from files, so
 * error_set() replaces control characters by \xNN: a message is always one line that a terminal can take.
 */
#ifndef LAYOUT_ERROR_H
#define LAYOUT_ERROR_H

struct error {
	char msg[2048]; /* NUL-terminated; longer messages are cut and end in "..." */
};

/* Formats the message and returns `code` (a negative errno), so that callers can `return error_set(...)`. */
int error_set(struct error *err, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Puts "PREFIX: " before the message, as callers add the file's name that a parser of bytes does not know. Returns `code`. */
int error_prefix(struct error *err, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* "out of memory"; returns -ENOMEM. */
int error_nomem(struct error *err);

#endif
