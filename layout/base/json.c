/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Three passes: json_scan() proves that the text is strict JSON, cJSON builds the tree, and a walk over the tree looks for
 * duplicate keys.
 *
 * cJSON keeps numbers as doubles and loses how they were written, and most texts have whole numbers only. So the scan says
 * whether there is any other number, and only then the walk goes through the text beside the tree and marks those nodes.
 */
#include <cjson/cJSON.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "layout/base/json.h"
#include "layout/base/json_scan.h"

#define FEW_KEYS  8         /* up to here comparing all pairs of keys is faster than a table */
#define NOT_WHOLE (1 << 16) /* in cJSON's `type`, which uses the low 10 bits: a number with a fraction or an exponent */

struct json_doc {
	cJSON *root;
};

static bool is_digit(uint8_t c)
{
	return c >= '0' && c <= '9';
}

/* Whether the next number of a scanned text, which has one, was written as a whole number; moves `text` behind it. */
static bool next_is_whole(struct bytes *text)
{
	const uint8_t *p = text->ptr, *end = text->ptr + text->len;
	bool whole = true;

	for (; *p != '-' && !is_digit(*p); p++)
		if (*p == '"')
			for (p++; *p != '"'; p++)
				p += *p == '\\';
	for (; p < end && *p && (is_digit(*p) || strchr("+-.eE", *p)); p++)
		whole = whole && (is_digit(*p) || *p == '-');
	*text = (struct bytes){ .ptr = p, .len = (uint64_t)(end - p) };
	return whole;
}

/* Whether a member of `object` before `end` has the key of `end`. */
static bool is_among(const cJSON *object, const cJSON *end)
{
	for (const cJSON *m = object->child; m != end; m = m->next)
		if (strcmp(m->string, end->string) == 0)
			return true;
	return false;
}

/* The first member of `object` whose key an earlier one has, into *twice; by a table. 0 or -ENOMEM. */
static int find_twice(const cJSON *object, uint64_t count, const cJSON **twice)
{
	uint64_t size = 16, at;

	while (size < 2 * count)
		size *= 2;

	const cJSON **slot = calloc(size, sizeof(const cJSON *));
	uint64_t seed = (uint64_t)(uintptr_t)slot; /* not to be known by who makes keys that collide */

	if (!slot)
		return -ENOMEM;
	for (const cJSON *m = object->child; m && !*twice; m = m->next) {
		at = XXH3_64bits_withSeed(m->string, strlen(m->string), seed) & (size - 1);
		for (; slot[at] && strcmp(slot[at]->string, m->string) != 0; at = (at + 1) & (size - 1))
			;
		if (slot[at])
			*twice = m;
		slot[at] = m;
	}
	free(slot);
	return 0;
}

static int check_keys(const cJSON *object, struct error *err)
{
	const cJSON *twice = NULL;
	uint64_t count = json_count(object);
	int r = 0;

	if (count > FEW_KEYS)
		r = find_twice(object, count, &twice);
	else
		for (const cJSON *m = object->child; m && !twice; m = m->next)
			twice = is_among(object, m) ? m : NULL;
	if (r < 0)
		return error_nomem(err);
	return twice ? error_set(err, -EINVAL, "the key \"%.512s\" appears twice in one object", twice->string) : 0;
}

/* Walks the tree in the order of `text`, and there beside it when it has `fractions`. */
static int check_tree(cJSON *root, struct bytes text, bool fractions, struct error *err)
{
	cJSON *open[JSON_DEPTH];
	uint32_t depth = 0;

	for (cJSON *v = root; v;) {
		if (fractions && cJSON_IsNumber(v) && !next_is_whole(&text))
			v->type |= NOT_WHOLE;
		if (cJSON_IsObject(v)) {
			int r = check_keys(v, err);

			if (r < 0)
				return r;
		}
		if (v->child) {
			open[depth++] = v;
			v = v->child;
			continue;
		}
		while (!v->next && depth > 0)
			v = open[--depth];
		v = v->next;
	}
	return 0;
}

int json_parse(struct bytes text, uint64_t max_values, struct json_doc **out, struct error *err)
{
	bool fractions;
	int r = json_scan(text, max_values, &fractions, err);

	if (r < 0)
		return r;

	struct json_doc *doc = calloc(1, sizeof(*doc));

	if (doc)
		doc->root = cJSON_ParseWithLengthOpts((const char *)text.ptr, text.len, NULL, false);
	if (!doc || !doc->root) {
		json_free(doc);
		return error_nomem(err);
	}
	r = check_tree(doc->root, text, fractions, err);
	if (r < 0) {
		json_free(doc);
		return r;
	}
	*out = doc;
	return 0;
}

void json_free(struct json_doc *doc)
{
	if (doc)
		cJSON_Delete(doc->root);
	free(doc);
}

const json *json_root(const struct json_doc *doc)
{
	return doc->root;
}

bool json_is_object(const json *v)
{
	return cJSON_IsObject(v);
}

bool json_is_array(const json *v)
{
	return cJSON_IsArray(v);
}

bool json_is_string(const json *v)
{
	return cJSON_IsString(v);
}

bool json_is_null(const json *v)
{
	return cJSON_IsNull(v);
}

bool json_is_true(const json *v)
{
	return cJSON_IsTrue(v);
}

const json *json_first(const json *v)
{
	return v->child;
}

const json *json_next(const json *v)
{
	return v->next;
}

const char *json_key(const json *v)
{
	return v->string;
}

const char *json_string(const json *v)
{
	return cJSON_IsString(v) ? v->valuestring : NULL;
}

uint64_t json_count(const json *v)
{
	uint64_t count = 0;

	for (const json *m = v->child; m; m = m->next)
		count++;
	return count;
}

const json *json_get(const json *object, const char *key)
{
	for (const json *m = json_is_object(object) ? object->child : NULL; m; m = m->next)
		if (strcmp(m->string, key) == 0)
			return m;
	return NULL;
}

bool json_u64(const json *v, uint64_t *out)
{
	if (!cJSON_IsNumber(v) || v->type & NOT_WHOLE || signbit(v->valuedouble) || v->valuedouble >= 0x1p53)
		return false;
	*out = (uint64_t)v->valuedouble;
	return true;
}

bool json_bool(const json *v, bool *out)
{
	*out = cJSON_IsTrue(v);
	return cJSON_IsBool(v);
}

bool json_i32(const json *v, int32_t *out)
{
	if (!cJSON_IsNumber(v) || v->type & NOT_WHOLE || v->valuedouble < INT32_MIN || v->valuedouble > INT32_MAX)
		return false;
	*out = (int32_t)v->valuedouble;
	return true;
}

bool json_number(const json *v, double *out)
{
	*out = v->valuedouble;
	return cJSON_IsNumber(v);
}

/* The tree has doubles only: where they lose digits it is "about", and of 1.0 and 1e3 the value alone would look like a whole number. */
static void number_found(const json *v, char text[JSON_FOUND])
{
	double n = v->valuedouble;
	bool looks_whole = v->type & NOT_WHOLE && n == floor(n);

	snprintf(text, JSON_FOUND, "%s%.17g%s", fabs(n) >= 0x1p53 ? "about " : "", n, looks_whole ? " with a fraction or an exponent" : "");
}

const char *json_found(const json *v, char text[JSON_FOUND])
{
	if (cJSON_IsNumber(v))
		number_found(v, text);
	else if (cJSON_IsString(v))
		snprintf(text, JSON_FOUND, "\"%.64s\"%s", v->valuestring, strlen(v->valuestring) > 64 ? "..." : "");
	else if (cJSON_IsArray(v))
		snprintf(text, JSON_FOUND, "an array of %llu", (unsigned long long)json_count(v));
	else
		snprintf(text, JSON_FOUND, "%s", cJSON_IsObject(v) ? "an object" : cJSON_IsNull(v) ? "null" : cJSON_IsTrue(v) ? "true" : "false");
	return text;
}

int json_refuse(const json *v, const char *field, const char *what, struct error *err)
{
	char found[JSON_FOUND];

	if (!v)
		return error_set(err, -EINVAL, "%s is missing", field);
	return error_set(err, -EINVAL, "%s%sexpected %s, found %s", field ? field : "", field ? ": " : "", what, json_found(v, found));
}
