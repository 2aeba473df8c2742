/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Protocol buffers written down as text, so that a table of malformed ones can be read:
 *   3=-1         field 3 is a varint            3'abc'    field 3 is these bytes; ~ is a NUL
 *   3{...}       field 3 is a message           3*16      field 3 is 16 bytes of 'x'
 *   3# and 3%    field 3 is 4 or 8 zero bytes   3(        a group begins
 *   $0a          this byte                      blanks mean nothing outside of quotes
 */
#ifndef TESTS_PROTO_H
#define TESTS_PROTO_H

#include <criterion/criterion.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct proto {
	uint8_t *ptr; /* malloc'ed */
	size_t len;
};

static inline void proto_add(struct proto *p, const void *bytes, size_t len)
{
	p->ptr = realloc(p->ptr, p->len + len + 1);
	cr_assert_not_null(p->ptr);
	if (len)
		memcpy(p->ptr + p->len, bytes, len);
	p->len += len;
}

static inline void proto_byte(struct proto *p, uint64_t byte)
{
	proto_add(p, &(uint8_t){ (uint8_t)byte }, 1);
}

static inline void proto_varint(struct proto *p, uint64_t v)
{
	for (; v >= 128; v >>= 7)
		proto_byte(p, (v & 127) | 128);
	proto_byte(p, v);
}

static inline void proto_string(struct proto *p, unsigned long field, const void *bytes, size_t len)
{
	proto_varint(p, field << 3 | 2);
	proto_varint(p, len);
	proto_add(p, bytes, len);
}

static inline struct proto proto_read(const char **text);

/* One field, that begins behind its number. */
static inline const char *proto_field(struct proto *p, unsigned long field, const char *s)
{
	static const uint8_t zeros[8];
	struct proto inner = { 0 };
	char *end;

	switch (*s++) {
	case '=':
		proto_varint(p, field << 3);
		proto_varint(p, *s == '-' ? (uint64_t)strtoll(s, &end, 10) : strtoull(s, &end, 10));
		return end;
	case '*':
		inner.len = strtoul(s, &end, 10);
		inner.ptr = malloc(inner.len + 1);
		memset(inner.ptr, 'x', inner.len);
		s = end;
		break;
	case '\'':
		for (; *s != '\''; s++)
			proto_byte(&inner, *s == '~' ? 0 : (uint8_t)*s);
		s++;
		break;
	case '{':
		inner = proto_read(&s);
		break;
	case '(':
		proto_varint(p, field << 3 | 3);
		return s;
	default:
		proto_varint(p, field << 3 | (s[-1] == '#' ? 5 : 1));
		proto_add(p, zeros, s[-1] == '#' ? 4 : 8);
		return s;
	}
	proto_string(p, field, inner.ptr, inner.len);
	free(inner.ptr);
	return s;
}

/* All fields up to the end of the text, or to a closing brace, which is stepped over. */
static inline struct proto proto_read(const char **text)
{
	struct proto p = { 0 };
	const char *s = *text;
	char *end;

	proto_add(&p, "", 0);
	while (*s && *s != '}') {
		if (*s == ' ') {
			s++;
		} else if (*s == '$') {
			proto_byte(&p, strtoul((char[]){ s[1], s[2], 0 }, NULL, 16));
			s += 3;
		} else {
			unsigned long field = strtoul(s, &end, 10);

			cr_assert(end != s, "no field at \"%s\"", s);
			s = proto_field(&p, field, end);
		}
	}
	*text = *s ? s + 1 : s;
	return p;
}

static inline struct proto proto_text(const char *text)
{
	return proto_read(&text);
}

#endif
