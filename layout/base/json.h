/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON from files that nobody vouches for. The only user of cJSON, whose traps end here: json_parse() scans the text first
 * and refuses what cJSON lets pass (invalid UTF-8, escaped NULs, deep nesting, numbers like 007, trailing text) and refuses
 * duplicate keys; then no caller needs to check the tree's form again.
 *
 * Invariants of a parsed tree: at most JSON_DEPTH levels; strings are valid UTF-8 without NUL; no object has a key twice.
 */
#ifndef LAYOUT_JSON_H
#define LAYOUT_JSON_H

#include "layout/base/bytes.h"
#include "layout/base/error.h"

#define JSON_DEPTH 32
#define JSON_FOUND 96 /* bytes for json_found() */

struct json_doc;          /* owns a tree */
typedef struct cJSON json; /* a value inside a tree; walk it with the functions below */

/*
 * Parses `text` (leading blanks are refused: the first byte must open the value; trailing blanks are allowed). At most
 * `max_values` values. On success *out owns the tree until json_free(). -EINVAL, -E2BIG (too many values) or -ENOMEM; the
 * message gives the byte.
 */
int json_parse(struct bytes text, uint64_t max_values, struct json_doc **out, struct error *err);
void json_free(struct json_doc *doc);
const json *json_root(const struct json_doc *doc);

bool json_is_object(const json *v);
bool json_is_array(const json *v);
bool json_is_string(const json *v);
bool json_is_null(const json *v);
bool json_is_true(const json *v);

const json *json_first(const json *v); /* first member or element, NULL when empty or neither object nor array */
const json *json_next(const json *v);  /* the next sibling, or NULL */
const char *json_key(const json *v);   /* key of an object's member */
const char *json_string(const json *v); /* NULL when not a string */
uint64_t json_count(const json *v);    /* members or elements; linear */

/* The member `key` of an object, or NULL. Linear: for objects with few members. */
const json *json_get(const json *object, const char *key);

/* A whole number from 0 to 2^53 - 1, written as one ("1.0" and "1e3" are none); false otherwise. */
bool json_u64(const json *v, uint64_t *out);

/* True or false; false when it is neither. */
bool json_bool(const json *v, bool *out);

/* A whole number from -2^31 to 2^31 - 1; false otherwise. */
#define JSON_I32 "a whole number of 32 bits" /* for json_refuse() */
bool json_i32(const json *v, int32_t *out);

/* Any number. */
bool json_number(const json *v, double *out);

/* What `v` is, for the "found ..." of a message: -2, 2.5, "text" (cut when long), null, an array of 3, an object. */
const char *json_found(const json *v, char text[JSON_FOUND]);

/* -EINVAL with "FIELD: expected WHAT, found ...", or "FIELD is missing" where `v` is NULL. No field: "expected WHAT, found ...". */
int json_refuse(const json *v, const char *field, const char *what, struct error *err);

#endif
