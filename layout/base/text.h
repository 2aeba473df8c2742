/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A text that grows: JSON files, headers and reports are written into one and then copied into an arena or handed out.
 *
 * Invariant: after the first failed allocation `failed` stays set and every further call does nothing, so callers check
 * once, at the end. `ptr` is NUL-terminated when not NULL.
 */
#ifndef LAYOUT_TEXT_H
#define LAYOUT_TEXT_H

#include "layout/base/arena.h"
#include "layout/base/bytes.h"

struct text {
	char *ptr; /* malloc'ed; freed by text_free() */
	uint64_t len, size;
	bool failed;
};

#define TEXT_EMPTY ((struct text){0})

void text_free(struct text *text);
void text_add(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
void text_add_bytes(struct text *text, const void *ptr, uint64_t len);

/* As text_add() with "%s" and "%llu", at a fraction of the time: the header of many tensors is made of little else. */
void text_word(struct text *text, const char *word);
void text_number(struct text *text, uint64_t number);

void text_pad(struct text *text, char c, uint64_t count);

/* `s`, a name or a path, with what a terminal would obey, and what is not UTF-8, as \xNN. */
void text_shown(struct text *text, const char *s);

/* `s` as a JSON string with its quotes: UTF-8 stays raw, control characters, '"' and '\' are escaped. */
void text_json(struct text *text, const char *s);

/*
 * As Python's json.dumps writes it (ensure_ascii): everything beyond ASCII as \uXXXX, surrogate pairs included. A byte that is no
 * UTF-8 becomes \udcXX, which os.fsencode() turns back.
 */
void text_json_ascii(struct text *text, const char *s);

/* The whole text copied into the arena, `*out` pointing at it; 0 or -ENOMEM. Frees `text` in either case. */
int text_finish(struct text *text, struct arena *arena, struct bytes *out);

#endif
