/* SPDX-License-Identifier: Apache-2.0 */
/* Texts for the JSON parser, in memory that ends with them. */
#ifndef TESTS_JSON_TEXT_H
#define TESTS_JSON_TEXT_H

#include <stdlib.h>
#include <string.h>

#include "layout/base/json.h"

#define JSON_TEXT_MANY UINT64_C(100000000) /* values: no limit */

/* Parses a copy that ends where its allocation ends, so that a sanitizer sees every byte read behind it. */
static inline int json_text_parse(const char *text, size_t len, uint64_t max_values, struct json_doc **doc, struct error *err)
{
	uint8_t *copy = malloc(len + !len);

	memcpy(copy, text, len);
	*doc = NULL;
	err->msg[0] = '\0';

	int r = json_parse((struct bytes){ copy, len }, max_values, doc, err);

	free(copy);
	return r;
}

#endif
