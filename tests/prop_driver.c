/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The C side of tests/property.py: from strategy files and rank files in memory to the images of the unified view, by
 * liblayout.a alone. It plans and copies with the simplest loop there is, so that a wrong run cannot be hidden by a clever copy.
 *
 * Protocol, all numbers little-endian u64 on a pipe. Case: seed, part_size, index, strategy files {kind, len, bytes}, rank
 * files {rank, len, bytes}, each list after its count. Answer: 0 and the images {len, path, len, bytes} after their count, or 1
 * (refused) or 2 (a range differs from the same range of the whole: our bug) and a message {len, bytes}. End of input ends it.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "layout/checkpoint.h"
#include "layout/plan.h"
#include "layout/view.h"

#define RANGES 24 /* ranges of each image to compare with the whole */

struct file {
	uint64_t tag; /* a strategy's kind (0 protobuf, 1 JSON), or a rank */
	struct bytes bytes;
};

struct files {
	struct file *at;
	uint64_t count;
};

struct input {
	uint64_t seed, part_size, index;
	struct files strategies, ranks;
};

static void *must(void *ptr)
{
	if (!ptr)
		abort();
	return ptr;
}

static uint64_t get(void)
{
	uint8_t b[8];

	if (fread(b, 8, 1, stdin) != 1)
		exit(3);
	return bytes_le64(b);
}

static void put(uint64_t v)
{
	fwrite(&v, 8, 1, stdout);
}

static void put_bytes(const void *ptr, uint64_t len)
{
	put(len);
	fwrite(ptr, 1, len, stdout);
}

static void get_files(struct files *files)
{
	files->count = get();
	files->at = must(calloc(files->count + 1, sizeof(*files->at)));
	for (uint64_t i = 0; i < files->count; i++) {
		struct file *f = &files->at[i];
		uint8_t *copy;

		f->tag = get();
		f->bytes.len = get();
		f->bytes.ptr = copy = must(malloc(f->bytes.len + 1));
		if (fread(copy, 1, f->bytes.len, stdin) != f->bytes.len)
			exit(3);
	}
}

static void free_files(struct files *files)
{
	for (uint64_t i = 0; i < files->count; i++)
		free((void *)files->at[i].bytes.ptr);
	free(files->at);
}

/* The united strategy; NULL without strategy files. */
static int unite(const struct files *files, struct arena *arena, struct strategy **out, struct error *err)
{
	struct strategy_file *parsed = must(arena_alloc(arena, files->count, sizeof(*parsed)));

	*out = NULL;
	for (uint64_t i = 0; i < files->count; i++) {
		const struct file *f = &files->at[i];
		int rc = f->tag ? strategy_parse_json(f->bytes, arena, &parsed[i], err) :
				  strategy_parse_pb(f->bytes, arena, &parsed[i], err);

		if (rc < 0)
			return rc;
		parsed[i].path = must(arena_printf(arena, "strategy %d", (int)i));
	}
	return files->count ? strategy_unite(parsed, files->count, arena, out, err) : 0;
}

static int add_file(struct checkpoint_builder *builder, const struct file *f, uint32_t source, struct arena *arena, struct error *err)
{
	struct bytes header = { .ptr = f->bytes.ptr + 8 };
	struct checkpoint_file file = { .rank = (uint32_t)f->tag, .source = source };
	struct safetensors st;
	int rc = safetensors_length((struct bytes){ f->bytes.ptr, f->bytes.len < 8 ? f->bytes.len : 8 }, f->bytes.len, &header.len, err);

	if (rc == 0)
		rc = safetensors_parse(header, f->bytes.len, arena, &st, err);
	file.path = must(arena_printf(arena, "rank_%d", (int)f->tag));
	return rc < 0 ? rc : checkpoint_add(builder, &file, &st, err);
}

static int load(const struct input *in, struct arena *arena, struct checkpoint **out, struct error *err)
{
	struct checkpoint_options options = { .kind = CHECKPOINT_SHARDED };
	struct checkpoint_builder *builder;
	struct strategy *strategy;
	int rc = unite(&in->strategies, arena, &strategy, err);

	if (rc < 0)
		return rc;
	options.strategy = strategy;
	if (!strategy)
		options.kind = CHECKPOINT_REPLICATED;
	builder = must(checkpoint_begin(arena, &options));
	for (uint64_t i = 0; rc == 0 && i < in->ranks.count; i++)
		rc = add_file(builder, &in->ranks.at[i], (uint32_t)i, arena, err);
	if (rc < 0) {
		checkpoint_abandon(builder);
		return rc;
	}
	return checkpoint_finish(builder, out, err);
}

/* Copies [offset, offset + len) of the image to `dst`; the number of bytes that the runs claim, or UINT64_MAX for one outside its file. */
static uint64_t gather(const struct image *image, const struct files *ranks, uint64_t offset, uint64_t len, uint8_t *dst)
{
	uint64_t total = 0, last = 0;
	struct plan plan;
	struct run r;

	plan_begin(&plan, image, offset, len);
	while (plan_next(&plan, &r)) {
		if (r.len == 0 || r.rows == 0 || r.dst < last)
			return UINT64_MAX;
		last = r.dst;
		for (uint64_t row = 0; row < r.rows; row++) {
			uint64_t src = r.src + row * r.src_stride, to = r.dst + row * r.dst_stride;

			if (to > len || r.len > len - to)
				return UINT64_MAX;
			if (r.literal)
				memcpy(dst + to, r.literal, r.len);
			else if (r.source >= ranks->count || src > ranks->at[r.source].bytes.len || r.len > ranks->at[r.source].bytes.len - src)
				return UINT64_MAX;
			else
				memcpy(dst + to, ranks->at[r.source].bytes.ptr + src, r.len);
			total += r.len;
		}
	}
	return total;
}

static uint64_t draw(uint64_t *state, uint64_t below)
{
	*state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (*state >> 33) % below;
}

/* Ranges of 1 byte, of a page, to the end, and of any size: each must equal the same range of the whole, and be claimed exactly once. */
static int compare_ranges(const struct image *image, const struct files *ranks, const uint8_t *whole, uint64_t *seed)
{
	for (int i = 0; i < RANGES; i++) {
		uint64_t at = draw(seed, image->size), left = image->size - at, len = left;
		uint8_t *part;

		if (i % 4 == 1 && (at = at / 4096 * 4096, left = image->size - at) > 0)
			len = left < 4096 ? left : 4096;
		else if (i % 4 != 0)
			len = i % 4 == 2 ? 1 : 1 + draw(seed, left < 600 ? left : 600);
		part = must(malloc(len));
		for (uint64_t b = 0; b < len; b++)
			part[b] = (uint8_t)~whole[at + b];
		bool same = gather(image, ranks, at, len, part) == len && memcmp(part, whole + at, len) == 0;
		free(part);
		if (!same)
			return i + 1;
	}
	return 0;
}

static void answer_message(uint64_t status, const char *message)
{
	put(status);
	put_bytes(message, strlen(message));
}

static void answer(const struct view *view, const struct input *in)
{
	uint8_t **whole = must(calloc(view->count + 1, sizeof(*whole)));
	uint64_t seed = in->seed, i, bad = 0;
	char message[200];

	for (i = 0; i < view->count && !bad; i++) {
		const struct image *image = view->files[i].image;

		whole[i] = must(malloc(image->size + 1));
		bad = gather(image, &in->ranks, 0, image->size, whole[i]) != image->size;
		if (!bad && image->size)
			bad = (uint64_t)compare_ranges(image, &in->ranks, whole[i], &seed) != 0;
	}
	if (bad) {
		snprintf(message, sizeof(message), "a range of %.100s is not that of the whole", view->files[i - 1].path);
		answer_message(2, message);
	} else {
		put(0);
		put(view->count);
		for (i = 0; i < view->count; i++) {
			put_bytes(view->files[i].path, strlen(view->files[i].path));
			put_bytes(whole[i], view->files[i].image->size);
		}
	}
	for (i = 0; i < view->count; i++)
		free(whole[i]);
	free(whole);
}

static void run_case(const struct input *in)
{
	struct view_options options = { .part_size = in->part_size, .index = in->index ? VIEW_INDEX_HF : VIEW_INDEX_MS };
	struct arena *arena = must(arena_new());
	struct checkpoint *ckpt;
	struct error err;
	struct view view;
	int rc = load(in, arena, &ckpt, &err);

	if (rc == 0)
		rc = view_unified(ckpt, &options, arena, &view, &err);
	if (rc < 0)
		answer_message(1, err.msg);
	else
		answer(&view, in);
	fflush(stdout);
	arena_free(arena);
}

int main(void)
{
	for (int c; (c = getchar()) != EOF;) {
		struct input in;

		ungetc(c, stdin);
		in.seed = get();
		in.part_size = get();
		in.index = get();
		get_files(&in.strategies);
		get_files(&in.ranks);
		run_case(&in);
		free_files(&in.strategies);
		free_files(&in.ranks);
	}
	return 0;
}
