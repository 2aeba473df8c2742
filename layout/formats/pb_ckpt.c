/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Nested messages are read as streams of their own over the same buffer, cut at the buffer's end when their lengths pass it: so a file
 * that was cut off is refused at the innermost field, and the message names the parameter.
 */
#include <errno.h>
#include <pb_decode.h>
#include <stdarg.h>
#include <stdio.h>

#include "layout/base/utf8.h"
#include "layout/formats/ckpt.pb.h"
#include "layout/formats/pb_ckpt.h"

#define NAME_MOST 512 /* bytes of a name that a message shows */

typedef unsigned long long ull; /* for messages */

/* A message, or the file. */
struct part {
	pb_istream_t stream;
	uint64_t end;     /* bytes from the start of the file */
	uint64_t missing; /* bytes by which its length passes the end of what holds it */
};

struct reading {
	struct bytes file;
	struct pb_ckpt_value *out;
	uint64_t number, start; /* of the value, and its first byte */
	struct error *err;
};

/* A field as it comes. */
struct item {
	uint32_t tag;
	pb_wire_type_t wire;
};

void pb_ckpt_label(const struct pb_ckpt_value *value, char *label)
{
	uint64_t len = value->name.len, shown = len < NAME_MOST ? len : NAME_MOST;

	snprintf(label, PB_CKPT_LABEL, "parameter \"%.*s%s\"", (int)shown, (const char *)value->name.ptr, shown < len ? "..." : "");
}

__attribute__((format(printf, 3, 4)))
static int refuse(const struct reading *r, const char *field, const char *format, ...)
{
	char label[PB_CKPT_LABEL], reason[256];
	va_list args;

	va_start(args, format);
	vsnprintf(reason, sizeof(reason), format, args);
	va_end(args);
	if (r->out->name.ptr)
		pb_ckpt_label(r->out, label);
	else
		snprintf(label, sizeof(label), "value %llu, at byte %llu", (ull)r->number, (ull)r->start);
	return error_set(r->err, -EINVAL, "%s: %s: %s (cut off, damaged or no .ckpt file)", label, field, reason);
}

static uint64_t offset_of(const struct part *part)
{
	return part->end - part->stream.bytes_left;
}

static struct part part_of(struct bytes file, uint64_t at, uint64_t len)
{
	return (struct part){ .stream = pb_istream_from_buffer(file.ptr + at, len), .end = at + len };
}

/* Refuses a string, a list or a message that is not there to its end. */
static int check_whole(const struct reading *r, const struct part *part, const char *field)
{
	return part->missing ? refuse(r, field, "ends %llu byte(s) too early", (ull)part->missing) : 0;
}

/* The next field of a part: 1, or 0 at its end. */
static int next_item(const struct reading *r, struct part *part, const char *field, struct item *item)
{
	bool eof;

	if (part->stream.bytes_left == 0)
		return check_whole(r, part, field);
	if (!pb_decode_tag(&part->stream, &item->wire, &item->tag, &eof))
		return refuse(r, field, "%s", PB_GET_ERROR(&part->stream));
	return item->tag ? 1 : refuse(r, field, "a field has number 0");
}

static int skip(const struct reading *r, struct part *part, struct item item)
{
	return pb_skip_field(&part->stream, item.wire) ? 0 : refuse(r, "an unknown field", "%s", PB_GET_ERROR(&part->stream));
}

/* Steps over a string, a list or a message: *inner is what of it is there. */
static int enter(const struct reading *r, struct part *part, struct item item, const char *field, struct part *inner)
{
	uint64_t len, left;

	if (item.wire != PB_WT_STRING)
		return refuse(r, field, "wire type %d, expected %d", (int)item.wire, PB_WT_STRING);
	if (!pb_decode_varint(&part->stream, &len))
		return refuse(r, field, "length: %s", PB_GET_ERROR(&part->stream));
	left = part->stream.bytes_left;
	*inner = part_of(r->file, offset_of(part), len < left ? len : left);
	inner->missing = len < left ? 0 : len - left;
	return pb_read(&part->stream, NULL, len < left ? len : left) ? 0 : refuse(r, field, "%s", PB_GET_ERROR(&part->stream));
}

/* A string, which must be there as a whole, and once. */
static int read_bytes(const struct reading *r, struct part *part, struct item item, const char *field, struct bytes *out)
{
	struct part inner;
	int code;

	if (out->ptr)
		return refuse(r, field, "is there twice");
	code = enter(r, part, item, field, &inner);
	if (code == 0)
		code = check_whole(r, &inner, field);
	if (code < 0)
		return code;
	*out = (struct bytes){ .ptr = r->file.ptr + offset_of(&inner), .len = inner.stream.bytes_left };
	return 0;
}

static int read_name(const struct reading *r, struct part *part, struct item item)
{
	struct bytes name = r->out->name;
	int code = read_bytes(r, part, item, "tag", &name);
	uint32_t code_point, n;

	if (code < 0)
		return code;
	if (name.len == 0)
		return refuse(r, "tag", "is empty");
	for (uint64_t i = 0; i < name.len; i += n) {
		n = utf8_decode(name.ptr + i, name.len - i, &code_point);
		if (n == 0)
			return refuse(r, "tag", "byte %llu is not UTF-8", (ull)i);
		if (code_point == 0)
			return refuse(r, "tag", "byte %llu is a NUL", (ull)i);
	}
	r->out->name = name;
	return 0;
}

static int read_dim(const struct reading *r, struct part *part)
{
	struct pb_ckpt_value *out = r->out;
	uint64_t wire;

	if (!pb_decode_varint(&part->stream, &wire))
		return refuse(r, "dims", "%s", PB_GET_ERROR(&part->stream));
	if (out->axes == BOX_AXES)
		return refuse(r, "dims", "more than %d axes", BOX_AXES);
	out->dim[out->axes++] = (int64_t)wire;
	return 0;
}

/* One number, or a packed list of them, which MindSpore reads but does not write. */
static int read_dims(const struct reading *r, struct part *part, struct item item)
{
	struct part list;
	int code;

	if (item.wire == PB_WT_VARINT)
		return read_dim(r, part);
	code = enter(r, part, item, "dims", &list);
	while (code == 0 && list.stream.bytes_left)
		code = read_dim(r, &list);
	return code < 0 ? code : check_whole(r, &list, "dims");
}

static int read_tensor(const struct reading *r, struct part *part)
{
	struct bytes content = { 0 };
	struct item item;
	int code;

	while ((code = next_item(r, part, "tensor", &item)) > 0) {
		if (item.tag == TensorProto_dims_tag)
			code = read_dims(r, part, item);
		else if (item.tag == TensorProto_tensor_type_tag)
			code = read_bytes(r, part, item, "tensor_type", &r->out->type);
		else if (item.tag == TensorProto_tensor_content_tag)
			code = read_bytes(r, part, item, "tensor_content", &content);
		else
			code = skip(r, part, item);
		if (code < 0)
			break;
	}
	if (code < 0)
		return code;
	if (!r->out->type.ptr || !content.ptr)
		return refuse(r, r->out->type.ptr ? "tensor_content" : "tensor_type", "is missing");
	r->out->offset = (uint64_t)(content.ptr - r->file.ptr);
	r->out->len = content.len;
	return 0;
}

/* The tensor or the maptensor of a value: one of them, once. */
static int read_held(const struct reading *r, struct part *part, struct item item)
{
	bool map = item.tag == Checkpoint_Value_maptensor_tag;
	const char *field = map ? "maptensor" : "tensor";
	struct part inner;
	int code;

	if (r->out->map || r->out->type.ptr)
		return refuse(r, field, "the value has a tensor or maptensor already");
	code = enter(r, part, item, field, &inner);
	if (code < 0)
		return code;
	r->out->map = map;
	return map ? check_whole(r, &inner, field) : read_tensor(r, &inner);
}

static int read_value(const struct reading *r, struct part *part)
{
	struct item item;
	int code;

	while ((code = next_item(r, part, "value", &item)) > 0) {
		if (item.tag == Checkpoint_Value_tag_tag)
			code = read_name(r, part, item);
		else if (item.tag == Checkpoint_Value_tensor_tag || item.tag == Checkpoint_Value_maptensor_tag)
			code = read_held(r, part, item);
		else
			code = skip(r, part, item);
		if (code < 0)
			return code;
	}
	if (code < 0)
		return code;
	if (!r->out->name.ptr)
		return refuse(r, "tag", "is missing");
	return r->out->map || r->out->type.ptr ? 1 : refuse(r, "tensor", "is missing");
}

int pb_ckpt_next(struct pb_ckpt *walk, struct pb_ckpt_value *out, struct error *err)
{
	struct reading r = { .file = walk->file, .out = out, .number = walk->count, .err = err };
	struct part all = part_of(walk->file, walk->at, walk->file.len - walk->at), inner;
	struct item item;
	int code;

	*out = (struct pb_ckpt_value){ 0 };
	r.start = walk->at;
	while ((code = next_item(&r, &all, "value", &item)) > 0 && item.tag != Checkpoint_value_tag) {
		code = skip(&r, &all, item);
		if (code < 0)
			return code;
		r.start = offset_of(&all);
	}
	if (code <= 0)
		return code;
	code = enter(&r, &all, item, "value", &inner);
	if (code == 0)
		code = read_value(&r, &inner);
	walk->at = offset_of(&all);
	walk->count++;
	return code;
}
