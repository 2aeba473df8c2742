/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nanopb calls back for each string, list and repeated message; the callbacks copy into the arena. What was being read when it
 * stops is kept in the reader, for the message: nanopb itself only says why it stopped.
 */
#include <errno.h>
#include <pb_decode.h>
#include <pb_encode.h>
#include <string.h>

#include "layout/base/utf8.h"
#include "layout/formats/node_strategy.pb.h"
#include "layout/formats/pb.h"

static const char between[] = "between items"; /* as a reader's field */

struct reader {
	struct arena *arena;
	struct pb_strategy *out;
	uint64_t room;     /* of out->layouts */
	const char *name;  /* of the parameter that is being read, once it is known */
	const char *field; /* that is being read, or was read last */
	const char *why;   /* a callback stopped; NULL when nanopb did */
	bool nomem;
};

/* The numbers of one list. */
struct numbers {
	struct reader *reader;
	int32_t number[PB_NUMBERS];
	uint64_t count;
};

/* The lists of one field of a parameter. */
struct lists {
	struct reader *reader;
	const char *field;
	struct pb_dims list[PB_NUMBERS];
	uint64_t count;
};

/* Ends the decoding from inside a callback. */
static bool stop(struct reader *r, const char *why)
{
	r->why = why;
	return false;
}

static bool no_memory(struct reader *r)
{
	r->nomem = true;
	return false;
}

static bool is_text(const uint8_t *p, uint64_t len)
{
	uint32_t code, n;

	for (; len > 0; p += n, len -= n) {
		n = utf8_decode(p, len, &code);
		if (n == 0 || code == 0)
			return false;
	}
	return true;
}

static bool on_name(pb_istream_t *stream, const pb_field_t *field, void **arg)
{
	struct reader *r = *arg;
	size_t len = stream->bytes_left;
	char *name = arena_alloc(r->arena, (uint64_t)len + 1, 1);

	(void)field;
	r->field = "param_name";
	if (!name)
		return no_memory(r);
	if (!pb_read(stream, (pb_byte_t *)name, len))
		return false;
	if (len == 0 || !is_text((const uint8_t *)name, len))
		return stop(r, "empty, or not UTF-8");
	r->name = name;
	return true;
}

/* Numbers: one, or a packed list. A uint32 of 2^31 and more is of no use to anybody, so an int32 holds all. */
static bool on_numbers(pb_istream_t *stream, const pb_field_t *field, void **arg)
{
	struct numbers *n = *arg;
	uint64_t wire;

	(void)field;
	while (stream->bytes_left) { /* to the end, so that nothing hides behind a number */
		if (!pb_decode_varint(stream, &wire))
			return false;
		if ((int64_t)wire < INT32_MIN || (int64_t)wire > INT32_MAX)
			return stop(n->reader, "a number is beyond 32 bits");
		if (n->count == PB_NUMBERS)
			return stop(n->reader, "too many numbers in a list");
		n->number[n->count++] = (int32_t)(int64_t)wire;
	}
	return true;
}

/* A list: DevMatrix and TensorMap have the same form, so that one of them does for both. */
static bool on_list(pb_istream_t *stream, const pb_field_t *field, void **arg)
{
	struct lists *l = *arg;
	struct numbers n = { .reader = l->reader };
	DevMatrix message = { .dim = { .funcs.decode = on_numbers, .arg = &n } };
	int32_t *own;

	(void)field;
	l->reader->field = l->field;
	if (l->count == PB_NUMBERS)
		return stop(l->reader, "too many lists");
	if (!pb_decode(stream, DevMatrix_fields, &message))
		return false;
	own = arena_alloc(l->reader->arena, n.count, sizeof(*own));
	if (!own)
		return no_memory(l->reader);
	if (n.count)
		memcpy(own, n.number, n.count * sizeof(*own));
	l->list[l->count++] = (struct pb_dims){ .dim = own, .count = n.count };
	return true;
}

/* The next free item of out->layouts, or NULL without memory. */
static struct pb_layout_item *next_item(struct reader *r)
{
	struct pb_strategy *out = r->out;

	if (out->layout_count == r->room) {
		uint64_t room = r->room ? r->room * 2 : 64;
		struct pb_layout_item *bigger = arena_alloc(r->arena, room, sizeof(*bigger));

		if (!bigger)
			return NULL;
		if (r->room)
			memcpy(bigger, out->layouts, r->room * sizeof(*bigger));
		out->layouts = bigger;
		r->room = room;
	}
	return &out->layouts[out->layout_count];
}

static struct pb_dims *copy_lists(const struct lists *l)
{
	struct pb_dims *copy = arena_alloc(l->reader->arena, l->count, sizeof(*copy));

	if (copy && l->count)
		memcpy(copy, l->list, l->count * sizeof(*copy));
	return copy;
}

/* What MindSpore's schema calls required; NULL when it is all there. Lists are looked at by those who know what they mean. */
static const char *missing(const struct reader *r, const ParallelLayoutItem *m)
{
	if (!r->name)
		return "param_name";
	if (!m->has_parallel_layouts)
		return "parallel_layouts";
	if (!m->parallel_layouts.has_opt_weight_shard_step)
		return "opt_weight_shard_step";
	return m->parallel_layouts.has_opt_weight_shard_size ? NULL : "opt_weight_shard_size";
}

static bool on_layout_item(pb_istream_t *stream, const pb_field_t *field, void **arg)
{
	struct reader *r = *arg;
	struct lists matrix = { .reader = r, .field = "dev_matrix" }, map = { .reader = r, .field = "tensor_map" };
	ParallelLayoutItem message = { .param_name = { .funcs.decode = on_name, .arg = r } };
	struct pb_layout_item *item = next_item(r);
	const char *absent;

	(void)field;
	r->name = NULL;
	r->field = "parallel_layout_item";
	message.parallel_layouts.dev_matrix = (pb_callback_t){ .funcs.decode = on_list, .arg = &matrix };
	message.parallel_layouts.tensor_map = (pb_callback_t){ .funcs.decode = on_list, .arg = &map };
	if (!item)
		return no_memory(r);
	if (r->out->layout_count == PB_LAYOUTS_MAX)
		return stop(r, "too many parameters");
	if (!pb_decode(stream, ParallelLayoutItem_fields, &message))
		return false;
	absent = missing(r, &message);
	if (absent) {
		r->field = absent;
		return stop(r, "missing");
	}
	*item = (struct pb_layout_item){ .name = r->name, .dev_matrix = copy_lists(&matrix), .dev_matrix_count = matrix.count,
					 .tensor_map = copy_lists(&map), .tensor_map_count = map.count,
					 .opt_step = message.parallel_layouts.opt_weight_shard_step,
					 .opt_size = message.parallel_layouts.opt_weight_shard_size };
	if (!item->dev_matrix || !item->tensor_map)
		return no_memory(r);
	r->out->layout_count++;
	r->field = between;
	return true;
}

static bool on_strategy_item(pb_istream_t *stream, const pb_field_t *field, void **arg)
{
	struct reader *r = *arg;
	ParallelStrategyItem message = ParallelStrategyItem_init_zero;

	(void)field;
	r->name = NULL;
	r->field = "parallel_strategy_item";
	if (!pb_decode(stream, ParallelStrategyItem_fields, &message))
		return false;
	if (!message.parallel_strategys.has_stage)
		return stop(r, "its stage is missing");
	if (r->out->item_count++ == 0)
		r->out->stage = message.parallel_strategys.stage;
	r->field = between;
	return true;
}

/* Where it stopped: inside a parameter, or behind one. */
static int explain(const struct reader *r, const char *why, struct error *err)
{
	uint64_t n = r->out->layout_count;

	if (r->nomem)
		return error_nomem(err);
	if (r->name && (n == 0 || r->out->layouts[n - 1].name != r->name))
		return error_set(err, -EINVAL, "parameter \"%s\": %s: %s (cut off or damaged)", r->name, r->field, why);
	if (n == 0)
		return error_set(err, -EINVAL, "%s, before the first parameter: %s (cut off, damaged or no strategy)", r->field, why);
	return error_set(err, -EINVAL, "%s, after parameter \"%s\": %s (cut off or damaged)", r->field, r->out->layouts[n - 1].name, why);
}

int pb_decode_strategy(struct bytes file, struct arena *arena, struct pb_strategy *out, struct error *err)
{
	struct reader r = { .arena = arena, .out = out, .field = between };
	ParallelStrategyMap map = { .parallel_strategy_item = { .funcs.decode = on_strategy_item, .arg = &r },
				    .parallel_layout_item = { .funcs.decode = on_layout_item, .arg = &r } };
	pb_istream_t stream = pb_istream_from_buffer(file.ptr, file.len);

	*out = (struct pb_strategy){ 0 };
	if (!pb_decode(&stream, ParallelStrategyMap_fields, &map))
		return explain(&r, r.why ? r.why : PB_GET_ERROR(&stream), err);
	out->current_stage = map.current_stage;
	return 0;
}

static bool put_name(pb_ostream_t *stream, const pb_field_t *field, void *const *arg)
{
	const char *name = *arg;

	return pb_encode_tag_for_field(stream, field) && pb_encode_string(stream, (const pb_byte_t *)name, strlen(name));
}

/* Not packed, as MindSpore writes them. */
static bool put_numbers(pb_ostream_t *stream, const pb_field_t *field, void *const *arg)
{
	const struct pb_dims *dims = *arg;

	for (uint64_t i = 0; i < dims->count; i++)
		if (!pb_encode_tag_for_field(stream, field) || !pb_encode_varint(stream, (uint64_t)(int64_t)dims->dim[i]))
			return false;
	return true;
}

static bool put_list(pb_ostream_t *stream, const pb_field_t *field, struct pb_dims *dims)
{
	DevMatrix message = { .dim = { .funcs.encode = put_numbers, .arg = dims } };

	return pb_encode_tag_for_field(stream, field) && pb_encode_submessage(stream, DevMatrix_fields, &message);
}

static bool put_matrix(pb_ostream_t *stream, const pb_field_t *field, void *const *arg)
{
	const struct pb_layout_item *item = *arg;

	for (uint64_t i = 0; i < item->dev_matrix_count; i++)
		if (!put_list(stream, field, &item->dev_matrix[i]))
			return false;
	return true;
}

static bool put_map(pb_ostream_t *stream, const pb_field_t *field, void *const *arg)
{
	const struct pb_layout_item *item = *arg;

	for (uint64_t i = 0; i < item->tensor_map_count; i++)
		if (!put_list(stream, field, &item->tensor_map[i]))
			return false;
	return true;
}

/* param_split_shape and indices_offset: MindSpore writes, and reads, one empty list. */
static bool put_nothing(pb_ostream_t *stream, const pb_field_t *field, void *const *arg)
{
	(void)arg;
	return put_list(stream, field, &(struct pb_dims){ 0 });
}

/* A message in `arena`. */
static int put_message(const pb_msgdesc_t *fields, const void *message, struct arena *arena, struct bytes *out, struct error *err)
{
	pb_ostream_t stream;
	size_t size;
	uint8_t *buf;

	if (!pb_get_encoded_size(&size, fields, message))
		return error_set(err, -E2BIG, "the strategy is too large to be written");
	buf = arena_alloc(arena, size, 1);
	if (!buf)
		return error_nomem(err);
	stream = pb_ostream_from_buffer(buf, size);
	if (!pb_encode(&stream, fields, message))
		return error_set(err, -EINVAL, "the strategy cannot be written: %s", PB_GET_ERROR(&stream));
	*out = (struct bytes){ .ptr = buf, .len = stream.bytes_written };
	return 0;
}

static int put_layout(const struct pb_layout_item *item, struct arena *arena, struct bytes *out, struct error *err)
{
	ParallelLayouts l = { .dev_matrix = { .funcs.encode = put_matrix, .arg = (void *)item },
			      .tensor_map = { .funcs.encode = put_map, .arg = (void *)item },
			      .param_split_shape = { .funcs.encode = put_nothing }, .indices_offset = { .funcs.encode = put_nothing },
			      .has_field = true, .has_opt_weight_shard_step = true, .has_opt_weight_shard_size = true,
			      .opt_weight_shard_step = item->opt_step, .opt_weight_shard_size = item->opt_size };

	return put_message(ParallelLayouts_fields, &l, arena, out, err);
}

/* What is encoded: all of it, and its layouts as they will be in each parameter that has them. */
struct merged {
	const struct pb_merged *all;
	struct bytes *layouts;
};

/* A ParallelLayoutItem, put together by hand: nanopb would encode the layout four times for each parameter. */
static bool put_parameter(pb_ostream_t *stream, const char *name, struct bytes layout)
{
	return pb_encode_tag(stream, PB_WT_STRING, ParallelLayoutItem_param_name_tag) &&
	       pb_encode_string(stream, (const pb_byte_t *)name, strlen(name)) &&
	       pb_encode_tag(stream, PB_WT_STRING, ParallelLayoutItem_parallel_layouts_tag) && pb_encode_string(stream, layout.ptr, layout.len);
}

static bool put_parameters(pb_ostream_t *stream, const pb_field_t *field, void *const *arg)
{
	const struct merged *m = *arg;

	for (uint64_t i = 0; i < m->all->parameter_count; i++) {
		const struct pb_parameter *p = &m->all->parameters[i];
		pb_ostream_t size = PB_OSTREAM_SIZING;

		if (!put_parameter(&size, p->name, m->layouts[p->layout]) || !pb_encode_tag_for_field(stream, field) ||
		    !pb_encode_varint(stream, size.bytes_written) || !put_parameter(stream, p->name, m->layouts[p->layout]))
			return false;
	}
	return true;
}

static bool put_strategy_items(pb_ostream_t *stream, const pb_field_t *field, void *const *arg)
{
	const struct merged *m = *arg;

	for (uint64_t i = 0; i < m->all->stages; i++) {
		ParallelStrategyItem item = { .node_name = { .funcs.encode = put_name, .arg = (void *)"stage" }, .has_parallel_strategys = true };

		item.parallel_strategys.has_stage = true;
		item.parallel_strategys.stage = (int64_t)i;
		if (!pb_encode_tag_for_field(stream, field) || !pb_encode_submessage(stream, ParallelStrategyItem_fields, &item))
			return false;
	}
	return true;
}

int pb_encode_strategy(const struct pb_merged *merged, struct arena *scratch, struct arena *arena, struct bytes *out, struct error *err)
{
	struct merged m = { .all = merged, .layouts = arena_alloc(scratch, merged->layout_count, sizeof(*m.layouts)) };
	ParallelStrategyMap map = { .has_current_stage = true, .current_stage = 1,
				    .parallel_strategy_item = { .funcs.encode = put_strategy_items, .arg = &m },
				    .parallel_layout_item = { .funcs.encode = put_parameters, .arg = &m } };
	int code = m.layouts ? 0 : error_nomem(err);

	for (uint64_t i = 0; code == 0 && i < merged->layout_count; i++)
		code = put_layout(&merged->layouts[i], scratch, &m.layouts[i], err);
	return code == 0 ? put_message(ParallelStrategyMap_fields, &map, arena, out, err) : code;
}
