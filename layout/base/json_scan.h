/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The proof that a text is strict JSON, before cJSON, which is lenient and recursive, sees it. json.c is the only caller.
 */
#ifndef LAYOUT_JSON_SCAN_H
#define LAYOUT_JSON_SCAN_H

#include "layout/base/bytes.h"
#include "layout/base/error.h"

/*
 * Checks the whole of `text`; the rules and errors are those of json_parse(), duplicate keys aside. *fractions tells that some
 * number was not written as a whole one. Allocates nothing.
 */
int json_scan(struct bytes text, uint64_t max_values, bool *fractions, struct error *err);

#endif
