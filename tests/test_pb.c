/* SPDX-License-Identifier: Apache-2.0 */
/* The wire form of strategies, against bytes made by hand. Damage must be refused with the place named, and ask for little memory. */
#include <criterion/criterion.h>
#include <errno.h>

#include "layout/formats/pb.h"
#include "tests/wire.h"

static struct error err;

static int decode(const struct wire *w, struct arena *arena, struct pb_strategy *out)
{
	memset(&err, 0, sizeof(err));
	return pb_decode_strategy(wire_bytes(w), arena, out, &err);
}

/* The file must be refused, with all of `parts` (ended by NULL) in the message. */
static void refused(const struct wire *w, const char *const *parts)
{
	struct arena *arena = arena_new();
	struct pb_strategy s;

	cr_assert_eq(decode(w, arena, &s), -EINVAL, "not refused, but should say \"%s\"", *parts);
	for (; *parts; parts++)
		cr_assert_not_null(strstr(err.msg, *parts), "\"%s\" is not in: %s", *parts, err.msg);
	arena_free(arena);
}

#define REFUSED(w, ...) refused(w, (const char *const[]){ __VA_ARGS__, NULL })

static void check_dims(const struct pb_dims *dims, size_t count, const int32_t *want)
{
	cr_assert_eq(dims->count, count);
	for (size_t i = 0; i < count; i++)
		cr_assert_eq(dims->dim[i], want[i], "number %zu is %d", i, dims->dim[i]);
}

static void check_two_items(bool packed)
{
	struct wire w = { .len = 0 };
	struct arena *arena = arena_new();
	struct pb_strategy s;

	wire_number(&w, 1, 2);
	wire_strategy_item(&w, 3);
	wire_strategy_item(&w, 5);
	wire_layout_item(&w, &(struct lay){ "net.w", "2,4,1", "-1,0", 8, -1 }, packed);
	wire_layout_item(&w, &(struct lay){ "net.b", "2,2,300", "1,0;", 0, 0 }, packed);
	cr_assert_eq(decode(&w, arena, &s), 0, "%s", err.msg);
	cr_assert(s.current_stage == 2 && s.item_count == 2 && s.stage == 3 && s.layout_count == 2);
	cr_assert_str_eq(s.layouts[0].name, "net.w");
	cr_assert(s.layouts[0].opt_step == 8 && s.layouts[0].opt_size == -1);
	cr_assert(s.layouts[0].dev_matrix_count == 1 && s.layouts[0].tensor_map_count == 1);
	check_dims(s.layouts[0].dev_matrix, 3, (int32_t[]){ 2, 4, 1 });
	check_dims(s.layouts[0].tensor_map, 2, (int32_t[]){ -1, 0 });
	cr_assert_eq(s.layouts[1].tensor_map_count, 2);
	check_dims(s.layouts[1].dev_matrix, 3, (int32_t[]){ 2, 2, 300 });
	check_dims(&s.layouts[1].tensor_map[0], 2, (int32_t[]){ 1, 0 });
	check_dims(&s.layouts[1].tensor_map[1], 0, NULL);
	arena_free(arena);
}

Test(pb, lists_not_packed)
{
	check_two_items(false);
}

Test(pb, lists_packed)
{
	check_two_items(true);
}

Test(pb, fields_in_any_order_and_unknown_ones)
{
	struct wire w = { .len = 0 }, item = { .len = 0 }, body = { .len = 0 };
	struct arena *arena = arena_new();
	struct pb_strategy s;

	wire_number(&body, 7, 4);
	wire_number(&body, 99, 12345);
	wire_list(&body, 2, "0", false);
	wire_number(&body, 6, 1);
	wire_block(&body, 100, "anything", 8);
	wire_list(&body, 1, "8", true);
	wire_block(&item, 2, body.b, body.len);
	wire_block(&item, 1, "w", 1);
	wire_block(&w, 3, item.b, item.len);
	wire_strategy_item(&w, 0);
	wire_number(&w, 1, 1);
	cr_assert_eq(decode(&w, arena, &s), 0, "%s", err.msg);
	cr_assert(s.layout_count == 1 && s.item_count == 1 && s.current_stage == 1);
	cr_assert_str_eq(s.layouts[0].name, "w");
	cr_assert(s.layouts[0].opt_step == 1 && s.layouts[0].opt_size == 4);
	check_dims(s.layouts[0].dev_matrix, 1, (int32_t[]){ 8 });
	check_dims(s.layouts[0].tensor_map, 1, (int32_t[]){ 0 });
	arena_free(arena);
}

Test(pb, missing_fields)
{
	struct wire w = { .len = 0 }, item = { .len = 0 };

	wire_layout_item(&w, &(struct lay){ NULL, "2", "0", 0, 0 }, false);
	REFUSED(&w, "param_name", "missing");
	w.len = 0;
	wire_layout_item(&w, &(struct lay){ "", "2", "0", 0, 0 }, false);
	REFUSED(&w, "param_name", "empty");
	w.len = 0;
	wire_layout_item(&w, &(struct lay){ "before", "2", "0", 0, 0 }, false);
	wire_block(&item, 1, "net.w", 5);
	wire_block(&w, 3, item.b, item.len);
	REFUSED(&w, "\"net.w\"", "parallel_layouts", "missing");
	w.len -= item.len + 2;
	wire_block(&item, 2, "\x30\x01", 2);
	wire_block(&w, 3, item.b, item.len);
	REFUSED(&w, "\"net.w\"", "opt_weight_shard_size", "missing");
	w.len = 0;
	wire_block(&w, 2, "\x0a\x01x", 3);
	REFUSED(&w, "parallel_strategy_item", "stage");
}

Test(pb, names_that_are_no_text)
{
	static const char *const names[] = { "\xff", "a\xc0\x80", "a\xed\xa0\x80", "a\xf4\x90\x80\x80", "half\xe2\x82" };
	struct wire w = { .len = 0 };

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		w.len = 0;
		wire_layout_item(&w, &(struct lay){ names[i], "2", "0", 0, 0 }, false);
		REFUSED(&w, "param_name", "UTF-8");
	}
	w.len = 0;
	wire_block(&w, 3, "\x0a\x03" "a\0b", 5);
	REFUSED(&w, "param_name");
}

Test(pb, too_much)
{
	struct wire w = { .len = 0 };
	char list[3 * (PB_NUMBERS + 1) + 1] = "";

	for (int i = 0; i <= PB_NUMBERS; i++)
		strcat(list, i ? ",1" : "1");
	wire_layout_item(&w, &(struct lay){ "net.w", list, "0", 0, 0 }, false);
	REFUSED(&w, "\"net.w\"", "dev_matrix", "too many numbers");
	w.len = 0;
	wire_layout_item(&w, &(struct lay){ "net.w", "2", list, 0, 0 }, true);
	REFUSED(&w, "\"net.w\"", "tensor_map", "too many numbers");
	for (char *p = list; *p; p++)
		*p = *p == ',' ? ';' : *p;
	w.len = 0;
	wire_layout_item(&w, &(struct lay){ "net.w", "2", list, 0, 0 }, true);
	REFUSED(&w, "\"net.w\"", "tensor_map", "too many lists");
	w.len = 0;
	wire_layout_item(&w, &(struct lay){ "net.w", "4294967294", "0", 0, 0 }, false);
	REFUSED(&w, "\"net.w\"", "dev_matrix", "32 bits");
}

Test(pb, lengths_that_lie)
{
	static const struct {
		const char *bytes;
		size_t len;
	} lies[] = {
		{ "\x1a\xff\xff\xff\xff\x0f", 6 },                 /* an item of 4 GiB */
		{ "\x1a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11 }, /* of 2^64 - 1 */
		{ "\x1a\x03\x0a\x05" "ab", 6 },                     /* a name longer than its item */
		{ "\x1a\x05\x0a\x01w\x12\x09", 7 },                 /* a body longer than its item */
		{ "\x1a\x0b\x0a\x01w\x12\x06\x0a\x02\x0a\x09\x01\x02", 13 }, /* a packed list longer than its message */
		{ "\x08\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", 13 }, /* a number that does not end */
		{ "\x08", 1 }, { "\x1b", 1 }, { "\x0f\x01", 2 }, { "\0\0", 2 }, { "garbage, no protobuf", 20 },
	};
	struct wire w;

	for (size_t i = 0; i < sizeof(lies) / sizeof(*lies); i++) {
		w.len = lies[i].len;
		memcpy(w.b, lies[i].bytes, w.len);
		REFUSED(&w, "damaged");
	}
}

Test(pb, the_place_of_the_damage_is_named)
{
	struct wire w = { .len = 0 };

	wire_layout_item(&w, &(struct lay){ "net.first", "2", "0", 0, 0 }, false);
	wire_layout_item(&w, &(struct lay){ "net.second", "2", "0", 0, 0 }, false);
	w.len--;
	REFUSED(&w, "after parameter \"net.first\"", "cut off");
	w.len = 0;
	wire_layout_item(&w, &(struct lay){ "net.first", "2", "0", 0, 0 }, false);
	wire_block(&w, 3, "\x0a\x01v\x12\x08\x12\x02\x08\x00\x12\x04\x08\x00", 14); /* its second tensor_map ends early */
	REFUSED(&w, "\"v\"", "tensor_map");
}

Test(pb, what_is_written)
{
	static const char want[] = "\x08\x01"                                      /* current_stage 1 */
				   "\x12\x0b\x0a\x05stage\x12\x02\x08\x00"             /* one operator a stage */
				   "\x12\x0b\x0a\x05stage\x12\x02\x08\x01"
				   "\x1a\x28\x0a\x03" "0-b\x12\x21"                    /* the parameter */
				   "\x0a\x04\x08\x02\x08\x04"                          /* dev_matrix [2, 4], not packed */
				   "\x12\x04\x08\x01\x08\x00\x12\x00"                  /* tensor_map [1, 0], [] */
				   "\x1a\x00\x22\x00\x28\x00\x30\x02"
				   "\x38\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"      /* opt_weight_shard_size -1 */
				   "\x1a\x17\x0a\x03" "1-c\x12\x10"                    /* another layout */
				   "\x0a\x02\x08\x08\x12\x00\x1a\x00\x22\x00\x28\x00\x30\x00\x38\x00"
				   "\x1a\x28\x0a\x03" "0-d\x12\x21"                    /* the first again */
				   "\x0a\x04\x08\x02\x08\x04\x12\x04\x08\x01\x08\x00\x12\x00\x1a\x00\x22\x00\x28\x00\x30\x02"
				   "\x38\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01";
	struct pb_dims dev = { .dim = (int32_t[]){ 2, 4 }, .count = 2 };
	struct pb_dims map[] = { { .dim = (int32_t[]){ 1, 0 }, .count = 2 }, { .count = 0 } };
	struct pb_dims eight = { .dim = (int32_t[]){ 8 }, .count = 1 };
	const struct pb_layout_item layouts[] = {
		{ .dev_matrix = &dev, .dev_matrix_count = 1, .tensor_map = map, .tensor_map_count = 2, .opt_step = 2, .opt_size = -1 },
		{ .dev_matrix = &eight, .dev_matrix_count = 1, .tensor_map = &map[1], .tensor_map_count = 1 },
	};
	const struct pb_parameter parameters[] = { { "0-b", 0 }, { "1-c", 1 }, { "0-d", 0 } };
	struct pb_merged merged = { .layouts = layouts, .layout_count = 2, .parameters = parameters, .parameter_count = 3, .stages = 2 };
	struct arena *arena = arena_new();
	struct bytes out;

	cr_assert_eq(pb_encode_strategy(&merged, arena, arena, &out, &err), 0);
	cr_assert_eq(out.len, sizeof(want) - 1, "%d bytes", (int)out.len);
	for (uint64_t i = 0; i < out.len; i++)
		cr_assert_eq(out.ptr[i], (uint8_t)want[i], "byte %d is %02x", (int)i, out.ptr[i]);
	arena_free(arena);
}
