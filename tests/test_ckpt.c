/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Indexes of .ckpt files: every rule with the message of its breach, the addresses of tensors in several slices, and sizes. Damage is
 * in test_ckpt_damage.c; what real files hold is compared in test_ckpt_files.c.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "tests/ckpts.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* A parameter of one value. */
#define W(dims, type, content) "1{1'w' 2{" dims " 2'" type "' 3" content "}}"

static const struct {
	const char *text, *message;
} refused[] = {
	{ "", "the file is empty" },
	{ "$d8$5e$3a$7f", "the file is encrypted; decrypt it with MindSpore first" },
	{ "$d8$5e$3a$7f" W("1=1", "Int8", "'a'"), "the file is encrypted; decrypt it with MindSpore first" },
	{ "$d8$5e$3a", "expected parameters, found none" },
	{ "2=7", "expected parameters, found none" },
	{ "$63$72$63$5f$6e$75$6d$00$00$00$00$00$00$00$00$00$00", "expected parameters, found none" },
	{ "$63$72$63$5f$6e$75$6d$00$00$00$00$00$01$00$00$00$00", "crc_num: the checksum at the end of the file is no number of 32 bits" },

	/* the wire */
	{ "1=5", "value 0, at byte 0: value: wire type 0, expected 2 (cut off, damaged or no .ckpt file)" },
	{ "1#", "value 0, at byte 0: value: wire type 5, expected 2 (cut off, damaged or no .ckpt file)" },
	{ "$00$00", "value 0, at byte 0: value: a field has number 0 (cut off, damaged or no .ckpt file)" },
	{ "5(", "value 0, at byte 0: an unknown field: invalid wire_type (cut off, damaged or no .ckpt file)" },
	{ "2=1 $80", "value 0, at byte 2: value: end-of-stream (cut off, damaged or no .ckpt file)" },
	{ "$0a$80", "value 0, at byte 0: value: length: end-of-stream (cut off, damaged or no .ckpt file)" },
	{ "$0a$ff$ff$ff$ff$ff$ff$ff$ff$ff$01$0a",
	  "value 0, at byte 0: tag: length: end-of-stream (cut off, damaged or no .ckpt file)" },
	{ "$0a$ff$ff$ff$ff$ff$ff$ff$ff$ff$01",
	  "value 0, at byte 0: value: ends 18446744073709551615 byte(s) too early (cut off, damaged or no .ckpt file)" },
	{ "$0a$ff$ff$ff$ff$ff$ff$ff$ff$ff$ff$01", "value 0, at byte 0: value: length: varint overflow (cut off, damaged or no .ckpt file)" },
	{ "1{1=3}", "value 0, at byte 0: tag: wire type 0, expected 2 (cut off, damaged or no .ckpt file)" },
	{ W("1=1", "Int8", "'a'") "1{1'v' 2=9}", "parameter \"v\": tensor: wire type 0, expected 2 (cut off, damaged or no .ckpt file)" },
	{ "1{1'v' 3%}", "parameter \"v\": maptensor: wire type 1, expected 2 (cut off, damaged or no .ckpt file)" },
	{ W("1#", "Int8", "'a'"), "parameter \"w\": dims: wire type 5, expected 2 (cut off, damaged or no .ckpt file)" },
	{ W("1'\x80'", "Int8", "'a'"), "parameter \"w\": dims: end-of-stream (cut off, damaged or no .ckpt file)" },
	{ "1{1'w' 2{2'Int8' 3'a' $0a$05$01}}", "parameter \"w\": dims: ends 4 byte(s) too early (cut off, damaged or no .ckpt file)" },
	{ "1{1'w' 2{2=1}}", "parameter \"w\": tensor_type: wire type 0, expected 2 (cut off, damaged or no .ckpt file)" },
	{ "1{1'w' 2{2'Int8' 3%}}", "parameter \"w\": tensor_content: wire type 1, expected 2 (cut off, damaged or no .ckpt file)" },
	{ "1{1'w' 2{2'Int8' $1a$05$61}}", "parameter \"w\": tensor_content: ends 4 byte(s) too early (cut off, damaged or no .ckpt file)" },
	{ "1{1'w' 2{$12$05$49}}", "parameter \"w\": tensor_type: ends 4 byte(s) too early (cut off, damaged or no .ckpt file)" },
	{ "1{1'w' $12$08 2'Int8'}", "parameter \"w\": tensor: ends 2 byte(s) too early (cut off, damaged or no .ckpt file)" },
	{ "1{1'w' 3'a' $1a$02$61}",
	  "parameter \"w\": maptensor: the value has a tensor or maptensor already (cut off, damaged or no .ckpt file)" },
	{ "1{1'w' $1a$02$61}", "parameter \"w\": maptensor: ends 1 byte(s) too early (cut off, damaged or no .ckpt file)" },
	{ "1{1'w' 2{1=1 2'Int8' 9(}}", "parameter \"w\": an unknown field: invalid wire_type (cut off, damaged or no .ckpt file)" },

	/* fields that must be there, once */
	{ "1{}", "value 0, at byte 0: tag: is missing (cut off, damaged or no .ckpt file)" },
	{ W("1=1", "Int8", "'a'") "1{2{1=1 2'Int8' 3'a'}}", "value 1, at byte 18: tag: is missing (cut off, damaged or no .ckpt file)" },
	{ "1{1'w'}", "parameter \"w\": tensor: is missing (cut off, damaged or no .ckpt file)" },
	{ "1{1'w' 2{}}", "parameter \"w\": tensor_type: is missing (cut off, damaged or no .ckpt file)" },
	{ "1{1'w' 2{1=1 3'a'}}", "parameter \"w\": tensor_type: is missing (cut off, damaged or no .ckpt file)" },
	{ "1{1'w' 2{1=1 2'Int8'}}", "parameter \"w\": tensor_content: is missing (cut off, damaged or no .ckpt file)" },
	{ "1{1'w' 1'v' 2{1=1 2'Int8' 3'a'}}", "parameter \"w\": tag: is there twice (cut off, damaged or no .ckpt file)" },
	{ "1{1'w' 2{2'Int8' 2'Int8' 3'a'}}", "parameter \"w\": tensor_type: is there twice (cut off, damaged or no .ckpt file)" },
	{ "1{1'w' 2{2'Int8' 3'a' 3''}}", "parameter \"w\": tensor_content: is there twice (cut off, damaged or no .ckpt file)" },
	{ "1{1'w' 2{2'Int8' 3'a'} 2{}}",
	  "parameter \"w\": tensor: the value has a tensor or maptensor already (cut off, damaged or no .ckpt file)" },
	{ "1{1'w' 3{} 2{2'Int8' 3'a'}}",
	  "parameter \"w\": tensor: the value has a tensor or maptensor already (cut off, damaged or no .ckpt file)" },

	/* names */
	{ "1{1'' 2{2'Int8' 3'a'}}", "value 0, at byte 0: tag: is empty (cut off, damaged or no .ckpt file)" },
	{ "1{1'ab\xff' 2{2'Int8' 3'a'}}", "value 0, at byte 0: tag: byte 2 is not UTF-8 (cut off, damaged or no .ckpt file)" },
	{ "1{1'a\xc0\xaf' 2{2'Int8' 3'a'}}", "value 0, at byte 0: tag: byte 1 is not UTF-8 (cut off, damaged or no .ckpt file)" },
	{ "1{1'a\xed\xa0\x80' 2{2'Int8' 3'a'}}", "value 0, at byte 0: tag: byte 1 is not UTF-8 (cut off, damaged or no .ckpt file)" },
	{ "1{1'a\xe2\x82' 2{2'Int8' 3'a'}}", "value 0, at byte 0: tag: byte 1 is not UTF-8 (cut off, damaged or no .ckpt file)" },
	{ "1{1'a~b' 2{2'Int8' 3'a'}}", "value 0, at byte 0: tag: byte 1 is a NUL (cut off, damaged or no .ckpt file)" },

	/* types and dims */
	{ W("1=1", "Int7", "'a'"), "parameter \"w\": tensor_type: \"Int7\" is not known" },
	{ W("1=1", "int8", "'a'"), "parameter \"w\": tensor_type: \"int8\" is not known" },
	{ W("1=1", "", "'a'"), "parameter \"w\": tensor_type: \"\" is not known" },
	{ W("1=1", "Int8~", "'a'"), "parameter \"w\": tensor_type: \"Int8\" is not known" },
	{ W("1=2 1=-3", "Int8", "'a'"), "parameter \"w\": dims: [2, -3]: axis 1 is negative" },
	{ W("1=0 1=-3", "Int8", "''"), "parameter \"w\": dims: [0, -3]: axis 1 is negative" },
	{ W("1=4294967296 1=4294967296",
	  "Int8", "''"), "parameter \"w\": dims: [4294967296, 4294967296]: the product up to axis 1 passes 64 bits" },
	{ W("1=4294967296 1=2147483648", "Float32", "''"),
	  "parameter \"w\": dims: [4294967296, 2147483648]: 9223372036854775808 elements of Float32 pass 64 bits" },
	{ W("1'\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1'", "Int8", "'a'"),
	  "parameter \"w\": dims: more than 32 axes (cut off, damaged or no .ckpt file)" },

	/* contents: the loader would cut these, or fill them up with zeros */
	{ W("1=2", "Float32", "*7"), "parameter \"w\": tensor_content: 7 bytes, but dims [2] of Float32 take 8" },
	{ W("1=2", "Float32", "*9"), "parameter \"w\": tensor_content: 9 bytes, but dims [2] of Float32 take 8" },
	{ W("1=2", "Float32", "''") W("1=2", "Float32", "*8") "1{1'v' 2{1=1 2'Bool' 3''}}",
	  "parameter \"v\": tensor_content: 0 bytes, but dims [1] of Bool take 1" },
	{ W("1=1", "Float32", "''") "1{1'v' 2{1=1 2'Bool' 3'a'}}", "parameter \"w\": tensor_content: 0 bytes, but dims [1] of Float32 take 4" },
	{ W("", "Float32", "''"), "parameter \"w\": tensor_content: 0 bytes, but dims [] of Float32 take 4" },
	{ W("1=0", "Float32", "''"), "parameter \"w\": tensor_content: 0 bytes, but dims [0] of Float32 take 4" },
	{ W("1=0", "Float32", "*8"), "parameter \"w\": tensor_content: 8 bytes, but dims [0] of Float32 take 4" },
	{ W("1=2 1=0", "Float32", "*4"), "parameter \"w\": tensor_content: 4 bytes, but dims [2, 0] of Float32 take 0" },

	/* slices */
	{ W("1=2", "Float32", "*8") W("1=2", "Float32", "*8"),
	  "parameter \"w\": tensor_content: 16 bytes in adjacent values, but dims [2] of Float32 take 8" },
	{ W("1=4", "Float32", "*8") W("1=4", "Float32", "*9"),
	  "parameter \"w\": tensor_content: 17 bytes in adjacent values, but dims [4] of Float32 take 16" },
	{ W("1=4", "Float32", "*8") W("1=4", "Float32", "*4"), "parameter \"w\": tensor_content: 12 bytes, but dims [4] of Float32 take 16" },
	{ W("1=4", "Float32", "*8") W("1=2", "Float32", "*8"), "parameter \"w\": dims: [2], but the slice before it has [4]" },
	{ W("1=4", "Float32", "*8") W("1=4 1=1", "Float32", "*8"), "parameter \"w\": dims: [4, 1], but the slice before it has [4]" },
	{ W("1=4", "Float32", "*8") W("1=4", "Int32", "*8"), "parameter \"w\": tensor_type: \"Int32\", but the slice before it has \"Float32\"" },
	{ W("1=4", "Float32", "*16") "1{1'w' 3{}}", "parameter \"w\": maptensor: the last value of that name, next to it, has a tensor" },
	{ "1{1'w' 3{}}" W("1=4", "Float32", "*16"), "parameter \"w\": maptensor: the next value of that name, next to it, has a tensor" },
};

Test(ckpt, refuses)
{
	for (size_t i = 0; i < COUNT(refused); i++) {
		struct arena *arena = arena_new();
		struct ckpt c;
		struct error err;

		cr_assert_eq(ckpts_index_text(refused[i].text, arena, &c, &err), -EINVAL, "case %zu, \"%s\", is taken", i, refused[i].text);
		cr_expect_str_eq(err.msg, refused[i].message, "case %zu, \"%s\": %s", i, refused[i].text, err.msg);
		arena_free(arena);
	}
}

/* "name:TYPE[shape]begin+bytes" of all entries, then "-name" of what is left out. */
static void describe(const struct ckpt *c, char text[static 1000])
{
	size_t used = 0;

	text[0] = '\0';
	for (uint64_t i = 0; i < c->st.count; i++) {
		const struct safetensors_entry *e = &c->st.entries[i];

		used += (size_t)snprintf(text + used, 1000 - used, "%s%s:%s[", i ? " " : "", e->name, dtype_name(e->dtype));
		for (uint32_t a = 0; a < e->axes; a++)
			used += (size_t)snprintf(text + used, 1000 - used, "%s%lu", a ? "," : "", e->shape[a]);
		used += (size_t)snprintf(text + used, 1000 - used, "]%lu+%lu", e->begin, e->end - e->begin);
	}
	for (uint64_t i = 0; i < c->left_out_count; i++)
		used += (size_t)snprintf(text + used, 1000 - used, "%s-%s", used ? " " : "", c->left_out[i].key);
}

Test(ckpt, takes)
{
	static const struct {
		const char *text, *what;
	} cases[] = {
		{ W("1=2 1=3", "Int8", "*6"), "w:I8[2,3]19+6" },
		{ "1{2{3'ab' 2'Int16'} 1'w'}", "w:I16[]6+2" },              /* fields in any order */
		{ W("1'\2\1\1'", "Bool", "'ab'"), "w:BOOL[2,1,1]20+2" },    /* packed dims */
		{ W("1=1 1'\2'", "Bool", "'ab'"), "w:BOOL[1,2]20+2" },
		{ "7'x' 1{1'w' 9=3 2{8# 1=1 2'UInt8' 3'a' 7%} 8''} 6=1", "w:U8[1]28+1" }, /* fields of a later version */
		{ W("", "Float64", "*8"), "w:F64[]18+8" },
		{ W("1=0", "BFloat16", "*2"), "w:BF16[]21+2" },
		{ W("1=0 1=0", "BFloat16", "''"), "w:BF16[0,0]23+0" },
		{ W("1=1", "Complex64", "*8"), "w:C64[1]22+8" },
		{ W("1=2", "Float8E4M3FN", "'ab'"), "w:F8_E4M3[2]25+2" },
		{ W("1=2", "Float8E5M2", "'ab'"), "w:F8_E5M2[2]23+2" },
		{ W("1=2", "Complex128", "*32"), "-w" },
		{ W("1=2", "HiFloat8", "'ab'"), "-w" },
		{ W("1=0", "str", "*12"), "-w" },
		{ W("1=0", "str", "*12") W("1=0", "str", "*8"), "-w" },
		{ W("1=-1", "str", "''"), "-w" },
		{ "1{1'm' 3'any bytes'} 1{1'm' 3''} " W("1=1", "Int8", "'a'"), "w:I8[1]40+1 -m" },
		{ "1{1'__metadata__' 2{1=1 2'Int8' 3'a'}}" W("1=1", "Int8", "'a'"), "w:I8[1]46+1 -__metadata__" },

		/* one name more than once */
		{ W("1=2", "Int8", "'ab'") "1{1'v' 2{2'Int8' 3'a'}}" W("1=3", "Bool", "'abc'"), "v:I8[]34+1 w:BOOL[3]52+3 -w" },
		{ W("1=2", "Int8", "'ab'") "1{1'v' 2{2'Int8' 3'a'}}" W("1=0", "str", "*4"), "v:I8[]34+1 -w -w" },
		{ W("1=0", "str", "*4") "1{1'v' 2{2'Int8' 3'a'}}" W("1=2", "Int8", "'ab'"), "v:I8[]35+1 w:I8[2]53+2 -w" },

		/* slices, of which one holds all, or none anything */
		{ W("1=2", "Int8", "'ab'") W("1=2", "Int8", "''"), "w:I8[2]17+2" },
		{ W("1=2", "Int8", "''") W("1=2", "Int8", "'ab'"), "w:I8[2]34+2" },
		{ W("1=2 1=0", "Int8", "''") W("1=2 1=0", "Int8", "''"), "w:I8[2,0]19+0" },
		{ W("1=2", "Int8", "'a'") "1{1'v' 2{2'Int8' 3'a'}}" W("1=2", "Int8", "'ab'"), NULL },
		{ "1{1'v' 2{1=3 2'Int8' 3'a'}} 1{1'v' 2{1=3 2'Int8' 3''}} 1{1'v' 2{1=3 2'Int8' 3'bc'}}" W("1=1", "Int8", "'a'"),
		  "w:I8[1]71+1 v:I8[3]2097152+3" },
		{ W("1=2", "Int8", "'a'") W("1=2", "Int8", "'b'") "1{1'v' 2{1=2 2'Int8' 3'a'}} 1{1'v' 2{1=2 2'Int8' 3'b'}}",
		  "w:I8[2]2097152+2 v:I8[2]4194304+2" },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct arena *arena = arena_new();
		struct error err;
		struct ckpt c;
		char text[1000];
		int r = ckpts_index_text(cases[i].text, arena, &c, &err);

		cr_assert_eq(r, cases[i].what ? 0 : -EINVAL, "case %zu: %s", i, err.msg);
		if (cases[i].what) {
			describe(&c, text);
			cr_expect_str_eq(text, cases[i].what, "case %zu: %s", i, text);
			ckpts_check(&c, 1000);
		}
		arena_free(arena);
	}
}

Test(ckpt, reasons_and_metadata)
{
	struct arena *arena = arena_new();
	struct error err;
	struct ckpt c;
	static const struct pair why[] = {
		{ "s", "a str, and safetensors holds tensors only" },
		{ "m", "a map parameter, and safetensors holds tensors only" },
		{ "__metadata__", "safetensors keeps that name for itself" },
		{ "c", "safetensors has no type Complex128" },
		{ "h", "safetensors has no type HiFloat8" },
		{ "i", "saved again later in the file, and the last one counts" },
	};

	cr_assert_eq(ckpts_index_text("1{1's' 2{1=0 2'str' 3*4}} 1{1'm' 3{}} 1{1'__metadata__' 2{2'Int4' 3'a'}}"
				"1{1'c' 2{2'Complex128' 3*16}} 1{1'h' 2{2'HiFloat8' 3'a'}}"
				"1{1'i' 2{2'Int4' 3'a'}} 1{1'j' 2{1=2 2'Int4' 3'ab'}} 1{1'i' 2{2'Int8' 3'a'}} 1{1'k' 2{2'Int4' 3'a'}}",
				arena, &c, &err), 0, "%s", err.msg);
	cr_assert_eq(c.left_out_count, COUNT(why));
	for (size_t i = 0; i < COUNT(why); i++) {
		cr_assert_str_eq(c.left_out[i].key, why[i].key);
		cr_assert_str_eq(c.left_out[i].value, why[i].value);
	}
	cr_assert_eq(c.st.meta_count, 3);
	cr_assert_str_eq(safetensors_meta_get(&c.st, "format"), "ms");
	cr_assert_str_eq(safetensors_meta_get(&c.st, "j"), "Int4");
	cr_assert_str_eq(safetensors_meta_get(&c.st, "k"), "Int4");
	cr_assert_null(safetensors_meta_get(&c.st, "i"));
	arena_free(arena);
}

/* A long name may not push the reason out of the message. */
Test(ckpt, long_names)
{
	struct arena *arena = arena_new();
	struct error err;
	struct ckpt c;

	cr_assert_eq(ckpts_index_text("1{1*5000 2{2'Int8' 3''}}", arena, &c, &err), -EINVAL);
	cr_assert_not_null(strstr(err.msg, "xxx...\": tensor_content: 0 bytes, but dims [] of Int8 take 1"));
	cr_assert_eq(ckpts_index_text("1{1*5000 2{2'Int8' 3'a'}}", arena, &c, &err), 0);
	cr_assert_eq(strlen(c.st.entries[0].name), 5000);
	arena_free(arena);
}

/* Contents may not be touched: here nobody can. */
Test(ckpt, contents_stay_untouched)
{
	const uint64_t content = UINT64_C(100) << 20, page = 4096, whole = UINT64_C(5) << 27; /* bytes */
	uint8_t *file = mmap(NULL, whole, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	struct arena *arena = arena_new();
	uint64_t at = 0;
	struct error err;
	struct ckpt c;

	cr_assert_neq(file, MAP_FAILED);
	for (int i = 0; i < 5; i++) {
		struct proto p = { 0 }, tensor = { 0 }, value = { 0 };
		char name[] = { (char)('a' + i / 2), '\0' };

		proto_varint(&tensor, 1 << 3);
		proto_varint(&tensor, i == 4 ? content : 2 * content);
		proto_string(&tensor, 2, "UInt8", 5);
		proto_varint(&tensor, 3 << 3 | 2);
		proto_varint(&tensor, content);
		proto_string(&value, 1, name, 1);
		proto_varint(&value, 2 << 3 | 2);
		proto_varint(&value, tensor.len + content);
		proto_add(&value, tensor.ptr, tensor.len);
		proto_varint(&p, 1 << 3 | 2);
		proto_varint(&p, value.len + content);
		proto_add(&p, value.ptr, value.len);
		memcpy(file + at, p.ptr, p.len);
		at += p.len;
		cr_assert_eq(mprotect(file + (at + page - 1) / page * page, (content - page) / page * page, PROT_NONE), 0);
		at += content;
		free(p.ptr);
		free(tensor.ptr);
		free(value.ptr);
	}
	cr_assert_eq(mprotect(file + at - 17 - (at - 17) % page, page, PROT_READ), 0); /* where the checksum would be */
	cr_assert_eq(ckpt_index((struct bytes){ file, at }, arena, &c, &err), 0, "%s", err.msg);
	ckpts_check(&c, at);
	cr_assert_eq(c.st.count, 3);
	cr_assert_eq(c.splice_count, 4);
	cr_assert_lt(arena_size(arena), 1 << 20);
	arena_free(arena);
	munmap(file, whole);
}

/* A file of many small values: as many as are allowed, and one more. */
Test(ckpt, many_values)
{
	struct proto p = { 0 };
	struct arena *arena = arena_new();
	struct error err;
	struct ckpt c;
	size_t each = 25, at = 0;

	p.ptr = malloc((CKPT_VALUES_MAX + 1) * each);
	for (uint64_t i = 0; i <= CKPT_VALUES_MAX; i++, at += each) {
		memcpy(p.ptr + at, "\x0a\x17\x0a\x08________\x12\x0b\x08\x01\x12\x04Int8\x1a\x01z", each);
		for (int b = 0; b < 8; b++)
			p.ptr[at + 4 + (size_t)b] = (uint8_t)('a' + (i >> (4 * b) & 15));
	}
	cr_assert_eq(ckpt_index((struct bytes){ p.ptr, at - each }, arena, &c, &err), 0, "%s", err.msg);
	cr_assert_eq(c.st.count, CKPT_VALUES_MAX);
	ckpts_check(&c, at);
	cr_assert_eq(ckpt_index((struct bytes){ p.ptr, at }, arena, &c, &err), -EINVAL);
	cr_assert_str_eq(err.msg, "more than 1048576 values");
	arena_free(arena);
	free(p.ptr);
}
