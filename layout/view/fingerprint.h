/* SPDX-License-Identifier: Apache-2.0 */
/*
 * 128 bits (XXH3) that stand for bytes, or for what a view is made of. They tell things apart that differ by accident; they are no
 * protection against somebody who wants them to be equal.
 */
#ifndef LAYOUT_FINGERPRINT_H
#define LAYOUT_FINGERPRINT_H

#include "layout/view/view.h"

#define FINGERPRINT_TEXT 33 /* 32 hexadecimal digits, as xxhsum writes them, and a NUL */

struct fingerprint {
	uint64_t high, low;
};

/* Bytes are added one after the other. What is made by fingerprint_begin() is freed by fingerprint_end(). NULL without memory. */
struct fingerprint_state;
struct fingerprint_state *fingerprint_begin(void);
void fingerprint_add(struct fingerprint_state *state, const void *ptr, uint64_t len);
struct fingerprint fingerprint_end(struct fingerprint_state *state);

/* A number and a text as bytes that are the same on every host, and tell where the next thing begins. */
void fingerprint_add_number(struct fingerprint_state *state, uint64_t n);
void fingerprint_add_text(struct fingerprint_state *state, const char *text);

/*
 * Adds what `view`, made of `checkpoint` (NULL where there is none), is: its paths, and for every byte of its files which byte of
 * ours or of which source, by number, it is. Views that differ in that are different, whatever options made them so.
 */
void fingerprint_add_view(struct fingerprint_state *state, const struct view *view, const struct checkpoint *checkpoint);

bool fingerprint_equal(struct fingerprint a, struct fingerprint b);

/* As text in `out` [FINGERPRINT_TEXT], which is returned; and back: false for anything but 32 lower-case digits at `text` [32]. */
const char *fingerprint_write(struct fingerprint f, char *out);
bool fingerprint_parse(const char *text, struct fingerprint *out);

#endif
