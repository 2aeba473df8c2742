/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz targets: one function that libFuzzer calls (`make fuzz`), and that replay.c calls for the inputs of a corpus. A target
 * aborts when a promise of a header is broken; everything else is found by the sanitizers.
 */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "layout/base/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* assert() that no NDEBUG takes away. */
#define FUZZ_PROMISE(condition) \
	((condition) ? (void)0 : (fprintf(stderr, "%s:%d: broken: %s\n", __FILE__, __LINE__, #condition), abort()))

/* Whether a text is UTF-8, as the names of all tensors are. */
static inline bool fuzz_is_utf8(const char *text)
{
	uint64_t len = strlen(text);
	uint32_t n, code;

	for (uint64_t i = 0; i < len; i += n)
		if ((n = utf8_decode((const uint8_t *)text + i, len - i, &code)) == 0)
			return false;
	return true;
}

#endif
