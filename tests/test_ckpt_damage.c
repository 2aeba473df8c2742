/* SPDX-License-Identifier: Apache-2.0 */
/* .ckpt files cut off and damaged at every byte, and the checksum that tells. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/ckpts.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* Two parameters in slices, one alone, and the checksum of all. */
static struct proto sample(void)
{
	struct proto p = proto_text("1{1'a' 2{1=300 2'UInt8' 3*200}} 1{1'a' 2{1=300 2'UInt8' 3*100}} 1{1'net.bias' 2{1=1 1=5 2'Float16' 3*10}}"
				    "1{1's' 2{1=0 2'str' 3*8}} 1{1'b' 2{1=6 2'Int64' 3*24}} 1{1'b' 2{1=6 2'Int64' 3*24}}");

	proto_add(&p, "crc_num\0\0\0\0\0\0\x12\x34\x56\x78", 17);
	return p;
}

/* True when a parameter ends at byte `len` of the sample; the lengths are counted by walking over the outermost fields. */
static bool ends_parameter(const struct proto *p, size_t len)
{
	static const bool last_slice[] = { false, true, true, true, false, true };
	size_t at = 0;

	for (size_t i = 0; i < COUNT(last_slice); i++) {
		size_t n = p->ptr[at + 1];

		at += n < 128 ? 2 + n : 3 + (n & 127) + 128 * (size_t)p->ptr[at + 2];
		if (at == len)
			return last_slice[i];
	}
	return false;
}

Test(ckpt, cut_off_anywhere)
{
	struct proto p = sample();
	size_t good = 0;

	for (size_t len = 0; len < p.len; len++) {
		struct arena *arena = arena_new();
		struct ckpt c;
		struct error err;
		int r = ckpts_index(p.ptr, len, arena, &c, &err);

		cr_assert_eq(r, ends_parameter(&p, len) ? 0 : -EINVAL, "%zu bytes: %s", len, err.msg);
		cr_assert(r == 0 || err.msg[0]);
		if (r == 0)
			ckpts_check(&c, len);
		good += r == 0;
		arena_free(arena);
	}
	cr_assert_eq(good, 4);
	free(p.ptr);
}

/* Where the file ends inside of a parameter, that is named. */
Test(ckpt, cut_off_names_the_parameter)
{
	struct proto p = proto_text("1{1'first' 2{2'Int8' 3'a'}} 1{1'net.weight' 2{1=100 2'UInt8' 3*100}}");
	struct arena *arena = arena_new();
	struct error err;
	struct ckpt c;

	cr_assert_eq(ckpts_index(p.ptr, p.len - 40, arena, &c, &err), -EINVAL);
	cr_assert_str_eq(err.msg, "parameter \"net.weight\": tensor_content: ends 40 byte(s) too early (cut off, damaged or no .ckpt file)");
	cr_assert_eq(ckpts_index(p.ptr, p.len - 102, arena, &c, &err), -EINVAL);
	cr_assert_str_eq(err.msg, "parameter \"net.weight\": tensor: ends 102 byte(s) too early (cut off, damaged or no .ckpt file)");
	arena_free(arena);
	free(p.ptr);
}

Test(ckpt, damaged_anywhere)
{
	struct proto p = sample();

	for (size_t at = 0; at < p.len; at++) {
		uint8_t was = p.ptr[at];

		for (unsigned value = 0; value < 256; value++) {
			struct arena *arena = arena_new();
			struct ckpt c;
			struct error err;

			p.ptr[at] = (uint8_t)value;
			if (ckpts_index(p.ptr, p.len, arena, &c, &err) == 0)
				ckpts_check(&c, p.len);
			else
				cr_assert(err.msg[0]);
			arena_free(arena);
		}
		p.ptr[at] = was;
	}
	free(p.ptr);
}

Test(ckpt, checksum)
{
	static const uint8_t check[] = "1{1'w' 2{2'Int8' 3'a'}}";
	struct proto p = proto_text((const char *)check);
	struct arena *arena = arena_new();
	struct error err;
	struct ckpt c;

	cr_assert_eq(ckpts_index(p.ptr, p.len, arena, &c, &err), 0);
	cr_assert(!c.has_crc);
	cr_assert_eq(c.crc_len, p.len);
	cr_assert_eq(ckpt_verify((struct bytes){ p.ptr, p.len }, &c, &err), -ENODATA);
	free(p.ptr);

	p = sample();
	cr_assert_eq(ckpts_index(p.ptr, p.len, arena, &c, &err), 0, "%s", err.msg);
	cr_assert(c.has_crc);
	cr_assert_eq(c.crc, 0x12345678);
	cr_assert_eq(c.crc_len, p.len - 17);
	cr_assert_eq(ckpt_verify((struct bytes){ p.ptr, p.len }, &c, &err), -EINVAL);
	cr_assert(strncmp(err.msg, "crc_num: the file says 12345678, but its bytes make ", 52) == 0, "%s", err.msg);
	cr_assert_eq(ckpt_verify((struct bytes){ p.ptr, 10 }, &c, &err), -EINVAL);
	free(p.ptr);
	arena_free(arena);
}
