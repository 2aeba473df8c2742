/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Strict UTF-8 (Unicode 15, table 3-7): no overlong form, no surrogate, nothing beyond U+10FFFF. And which characters may be shown.
 */
#ifndef LAYOUT_UTF8_H
#define LAYOUT_UTF8_H

#include <stdbool.h>
#include <stdint.h>

/* Bytes of the well-formed character at p, of which `len` bytes may be read: 1 to 4, or 0 when there is none. *code is its code point. */
static inline uint32_t utf8_decode(const uint8_t *p, uint64_t len, uint32_t *code)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	uint32_t n = len == 0 ? 0 : p[0] < 0x80 ? 1 : p[0] < 0xc0 ? 0 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : p[0] < 0xf8 ? 4 : 0;

	if (n == 0 || n > len)
		return 0;
	*code = n == 1 ? p[0] : p[0] & (0x7fu >> n);
	for (uint32_t i = 1; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		*code = *code << 6 | (p[i] & 0x3f);
	}
	return *code < least[n] || *code > 0x10ffff || (*code >= 0xd800 && *code < 0xe000) ? 0 : n;
}

/*
 * Whether a terminal only shows the character. C0 and C1 control characters move its cursor and more; direction marks are no control
 * characters by the letter, yet they turn a line around; line separators end it.
 */
static inline bool utf8_is_harmless(uint32_t code)
{
	static const uint32_t bad[][2] = { { 0, 0x1f }, { 0x7f, 0x9f }, { 0x200e, 0x200f }, { 0x2028, 0x202e }, { 0x2066, 0x2069 } };

	for (uint32_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		if (code >= bad[i][0] && code <= bad[i][1])
			return false;
	return true;
}

#endif
