/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a whole small checkpoint (tiny.h): strategy files and rank files in memory, loaded, laid out as one model and as ranks
 * of another strategy, and gathered through the plan. Every element must be the one that the reference says; what must be whole must be
 * taken, and what has a hole refused. What is left of the input then damages the files: then only what is promised of any input holds.
 */
#include "layout/view/view.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/tiny.h"
#include "tests/prop_gather.h"
#include "tests/wire.h"

#define FILES (TINY_STAGES * TINY_DEVICES)

struct made {
	struct wire strategy[TINY_STAGES];
	struct file rank[FILES];
	uint32_t count;
	bool damaged;
};

enum verdict {
	WHOLE,   /* must be taken */
	HOLES,   /* must be refused */
	UNKNOWN, /* a tensor that no file has: what remains may be taken */
};

static const enum dtype dtypes[] = { DTYPE_U8, DTYPE_BF16, DTYPE_F32, DTYPE_I64 };

/* Of 1, 2, 4 and 8. */
static uint32_t log2_of(uint32_t width)
{
	return width == 8 ? 3 : width / 2;
}

static enum verdict judge_tensor(const struct tiny *m, const struct tiny_tensor *t)
{
	bool held = false, whole = false, all = true;

	for (uint32_t s = 0; s < m->stages; s++) {
		whole = whole || ((t->stages >> s & 1) && tiny_covers(t, s));
		for (uint32_t r = 0; r < m->mesh.devices; r++) {
			held = held || tiny_has(t, s, r);
			all = all && (tiny_has(t, s, r) || !(t->stages >> s & 1));
		}
	}
	if (!held || (tiny_elements(t) == 0 && !all))
		return UNKNOWN;
	return whole ? WHOLE : HOLES;
}

static enum verdict judge(const struct tiny *m)
{
	enum verdict worst = WHOLE;

	for (uint32_t i = 0; i < m->count; i++) {
		enum verdict v = judge_tensor(m, &m->tensor[i]);

		worst = v > worst ? v : worst;
	}
	return worst;
}

static void make_strategy(const struct tiny *m, bool target, uint32_t stage, struct wire *out)
{
	struct lay lays[TINY_MOST + 1] = { { .name = NULL } };
	uint32_t n = 0;

	for (uint32_t i = 0; i < m->count; i++) {
		const struct tiny_tensor *t = &m->tensor[i];
		const struct tiny_cut *c = target ? &t->target : &t->source;

		if (target || (t->stages >> stage & 1))
			lays[n++] = (struct lay){ t->name, c->matrix, c->map, c->opt_size != 0, c->opt_size };
	}
	*out = wire_file(2, stage, lays);
}

/* At most this is a rank's file: 100 bytes of header for each tensor, and its bytes. */
static uint64_t room_of(const struct tiny *m)
{
	uint64_t room = 100;

	for (uint32_t i = 0; i < m->count; i++)
		room += 100 + m->tensor[i].width * tiny_elements(&m->tensor[i]);
	return room;
}

static char *write_data(const struct tiny_tensor *t, uint32_t local, char *out)
{
	struct tiny_slice s = tiny_slice_of(t, &t->source, local);

	for (uint64_t i = 0; i < s.elements; i++)
		for (uint32_t b = 0; b < t->width; b++)
			*out++ = (char)tiny_byte(t, tiny_global(&s, i), b);
	return out;
}

/* A safetensors file of what a rank has, written by hand. */
static struct bytes make_rank(const struct tiny *m, uint32_t stage, uint32_t local, struct arena *arena)
{
	uint8_t *file = must(arena_alloc(arena, room_of(m), 1));
	char *out = (char *)file + 8;
	uint64_t at = 0;

	*out++ = '{';
	for (uint32_t i = 0; i < m->count; i++) {
		const struct tiny_tensor *t = &m->tensor[i];
		uint64_t bytes = t->width * tiny_slice_of(t, &t->source, local).elements;

		if (!tiny_has(t, stage, local))
			continue;
		out += sprintf(out, "%s\"%s\":{\"dtype\":\"%s\",\"shape\":[", out[-1] == '{' ? "" : ",", t->name, dtype_name(dtypes[log2_of(t->width)]));
		for (uint32_t a = 0; a < t->axes; a++)
			out += sprintf(out, "%s%d", a ? "," : "", (int)tiny_width(t, &t->source, a));
		out += sprintf(out, "],\"data_offsets\":[%d,%d]}", (int)at, (int)(at + bytes));
		at += bytes;
	}
	*out++ = '}';
	for (uint64_t len = (uint64_t)((uint8_t *)out - file) - 8, b = 0; b < 8; b++)
		file[b] = (uint8_t)(len >> 8 * b);
	for (uint32_t i = 0; i < m->count; i++)
		if (tiny_has(&m->tensor[i], stage, local))
			out = write_data(&m->tensor[i], local, out);
	return (struct bytes){ file, (uint64_t)((uint8_t *)out - file) };
}

static void make(const struct tiny *m, struct arena *arena, struct made *made)
{
	*made = (struct made){ .count = m->stages * m->mesh.devices };
	for (uint32_t s = 0; s < m->stages; s++)
		make_strategy(m, false, s, &made->strategy[s]);
	for (uint32_t r = 0; r < made->count; r++)
		made->rank[r] = (struct file){ r, make_rank(m, r / m->mesh.devices, r % m->mesh.devices, arena), "rank" };
}

/* Each four bytes of the rest: a file, a place in it, a value. */
static void damage(const struct tiny *m, struct tiny_input *in, struct made *made)
{
	while (in->left >= 4) {
		uint32_t which = tiny_take(in, made->count + m->stages), at = tiny_take(in, 256);
		bool strategy = which >= made->count;
		uint8_t *ptr = strategy ? made->strategy[which - made->count].b : (uint8_t *)(uintptr_t)made->rank[which].bytes.ptr;
		uint64_t len = strategy ? made->strategy[which - made->count].len : made->rank[which].bytes.len;

		at += tiny_take(in, 4) * 256;
		ptr[at % len] = (uint8_t)tiny_take(in, 256);
		made->damaged = true;
	}
}

static int parse_strategies(const struct wire *w, uint32_t count, struct arena *arena, struct strategy **out, struct error *err)
{
	struct strategy_file file[TINY_STAGES];

	for (uint32_t i = 0; i < count; i++) {
		int rc = strategy_parse_pb(wire_bytes(&w[i]), arena, &file[i], err);

		if (rc < 0)
			return rc;
		file[i].path = "strategy";
	}
	return strategy_unite(file, count, arena, out, err);
}

static int parse(struct bytes file, struct arena *arena, struct safetensors *st, struct error *err)
{
	uint64_t len;
	int rc = safetensors_length((struct bytes){ file.ptr, 8 }, file.len, &len, err);

	return rc < 0 ? rc : safetensors_parse((struct bytes){ file.ptr + 8, len }, file.len, arena, st, err);
}

static int load(const struct made *made, const struct strategy *strategy, struct arena *arena, struct checkpoint **out, struct error *err)
{
	struct checkpoint_options options = { .kind = CHECKPOINT_SHARDED, .strategy = strategy };
	struct checkpoint_builder *builder = must(checkpoint_begin(arena, &options));
	struct safetensors st;
	int rc = 0;

	for (uint32_t i = 0; rc == 0 && i < made->count; i++) {
		struct checkpoint_file file = { .path = "rank", .rank = i, .source = i };

		rc = parse(made->rank[i].bytes, arena, &st, err);
		if (rc == 0)
			rc = checkpoint_add(builder, &file, &st, err);
	}
	if (rc == 0)
		return checkpoint_finish(builder, out, err);
	checkpoint_abandon(builder);
	return rc;
}

/* The tensor of an image is, element by element, this slice of the whole (`cut` NULL: all of it). */
static void check_entry(const struct tiny_tensor *t, const struct tiny_cut *cut, uint32_t local, const struct safetensors_entry *e,
			const uint8_t *data)
{
	struct tiny_slice s = tiny_slice_of(t, cut, local);

	FUZZ_PROMISE(e->dtype == dtypes[log2_of(t->width)] && e->axes == t->axes && e->end - e->begin == s.elements * t->width);
	for (uint32_t a = 0; a < t->axes; a++)
		FUZZ_PROMISE(e->shape[a] == s.count[a]);
	for (uint64_t i = 0; i < s.elements; i++)
		for (uint32_t b = 0; b < t->width; b++)
			FUZZ_PROMISE(data[i * t->width + b] == tiny_byte(t, tiny_global(&s, i), b));
}

/* The tensors of a safetensors image; how often each was seen goes into `seen`. */
static void check_image(const struct tiny *m, const struct file *f, bool ranks, struct arena *arena, uint32_t *seen)
{
	struct safetensors st;
	struct error err;

	FUZZ_PROMISE(parse(f->bytes, arena, &st, &err) == 0);
	for (uint64_t k = 0; k < st.count; k++)
		for (uint32_t i = 0; i < m->count; i++) {
			const struct tiny_tensor *t = &m->tensor[i];

			if (strcmp(t->name, st.entries[k].name) != 0)
				continue;
			check_entry(t, ranks ? &t->target : NULL, (uint32_t)f->tag, &st.entries[k], f->bytes.ptr + st.data_start + st.entries[k].begin);
			seen[i]++;
		}
}

/* Gathers a view. What is right of an undamaged and whole one: each tensor `times` in all. */
static void check_view(const struct tiny *m, const struct made *made, const struct view *view, uint32_t times, bool ranks, bool exact,
		       struct arena *arena)
{
	struct files sources = { (struct file *)(uintptr_t)made->rank, made->count }, out;
	uint32_t seen[TINY_MOST] = { 0 };

	FUZZ_PROMISE(gather_view(view, &sources, made->count, arena, &out));
	for (uint64_t i = 0; exact && i < out.count; i++) {
		const char *dot = strrchr(out.at[i].path, '.');

		if (dot && strcmp(dot, ".safetensors") == 0)
			check_image(m, &out.at[i], ranks, arena, seen);
	}
	for (uint32_t i = 0; exact && i < m->count; i++)
		FUZZ_PROMISE(seen[i] == times);
}

static void check_unified(const struct tiny *m, const struct made *made, const struct checkpoint *ckpt, bool exact, struct arena *arena)
{
	struct view_options options = { .part_size = m->part_size, .index = m->hf ? VIEW_INDEX_HF : VIEW_INDEX_MS };
	struct error err = { "" };
	struct view view;
	int rc = view_unified(ckpt, &options, arena, &view, &err);

	FUZZ_PROMISE(rc == 0 || (!exact && err.msg[0]));
	if (rc == 0)
		check_view(m, made, &view, 1, false, exact, arena);
}

static void check_ranks(const struct tiny *m, const struct made *made, const struct checkpoint *ckpt, const struct strategy *source, bool exact,
			struct arena *arena)
{
	uint32_t ranks[TINY_DEVICES];
	struct view_rank_options options = { .source = source, .ranks = ranks, .rank_count = m->target.devices, .prefix = "any" };
	struct strategy *target;
	struct error err = { "" };
	struct wire written;
	struct view view;
	bool fits = true;
	int rc;

	make_strategy(m, true, 0, &written);
	FUZZ_PROMISE(parse_strategies(&written, 1, arena, &target, &err) == 0);
	options.target = target;
	for (uint32_t i = 0; i < TINY_DEVICES; i++)
		ranks[i] = i;
	for (uint32_t i = 0; i < m->count; i++)
		fits = fits && tiny_divides(&m->tensor[i], &m->tensor[i].target);
	rc = view_ranks(ckpt, &options, arena, &view, &err);
	FUZZ_PROMISE(rc == 0 || err.msg[0]);
	FUZZ_PROMISE(!exact || (rc == 0) == fits);
	if (rc == 0)
		check_view(m, made, &view, m->target.devices, true, exact, arena);
}

static void check(const struct tiny *m, const struct made *made, struct arena *arena)
{
	enum verdict verdict = made->damaged ? UNKNOWN : judge(m);
	struct strategy *strategy;
	struct checkpoint *ckpt;
	struct error err = { "" };
	int rc = parse_strategies(made->strategy, m->stages, arena, &strategy, &err);

	FUZZ_PROMISE(made->damaged || rc == 0);
	if (rc == 0)
		rc = load(made, strategy, arena, &ckpt, &err);
	FUZZ_PROMISE(rc == 0 || err.msg[0]);
	FUZZ_PROMISE(verdict == UNKNOWN || (rc == 0) == (verdict == WHOLE));
	if (rc < 0)
		return;
	check_unified(m, made, ckpt, verdict == WHOLE, arena);
	check_ranks(m, made, ckpt, strategy, verdict == WHOLE, arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tiny_input in = { data, size };
	struct arena *arena = arena_new();
	struct made *made = must(malloc(sizeof(*made)));
	struct tiny m;

	tiny_read(&in, &m);
	make(&m, arena, made);
	damage(&m, &in, made);
	check(&m, made, arena);
	free(made);
	arena_free(arena);
	return 0;
}
