/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files that MindSpore wrote, read through the index as a mount reads them, against what MindSpore's own loader and converter said of
 * them: tests/ckpt/expected.json, and the cases of the oracle.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

#include "fs/model/gather.h"
#include "fs/source/mapped.h"
#include "layout/base/json.h"

/* A .ckpt file as an open source, and its index. */
struct file {
	struct arena *arena;
	struct sources *sources;
	const struct source *source;
	struct ckpt ckpt;
	struct error err;
};

static int index_file(struct bytes bytes, void *arg)
{
	struct file *f = arg;

	return ckpt_index(bytes, f->arena, &f->ckpt, &f->err);
}

static int open_file(const char *path, struct file *f)
{
	uint32_t number;
	int r;

	*f = (struct file){ .arena = arena_new(), .sources = source_list_new() };
	cr_assert_eq(source_open(f->sources, path, &number, &f->err), 0, "%s", f->err.msg);
	f->source = &f->sources->list[number];
	r = mapped_call(f->source, index_file, f, &f->err);
	return r < 0 ? r : source_splice(f->sources, number, f->ckpt.splices, f->ckpt.splice_count, &f->err);
}

static void close_file(struct file *f)
{
	source_list_free(f->sources);
	arena_free(f->arena);
}

static struct json_doc *read_json(const char *path)
{
	struct json_doc *doc;
	struct error err;
	char *text = NULL;
	size_t room = 0;
	FILE *in = fopen(path, "r");

	cr_assert_not_null(in, "%s: not there (tests run in the project's root)", path);
	ssize_t len = getdelim(&text, &room, EOF, in);

	cr_assert_gt(len, 0);
	cr_assert_eq(json_parse((struct bytes){ (uint8_t *)text, (uint64_t)len }, UINT64_MAX, &doc, &err), 0, "%s", err.msg);
	fclose(in);
	free(text);
	return doc;
}

static const struct safetensors_entry *find_entry(const struct safetensors *st, const char *name)
{
	for (uint64_t i = 0; i < st->count; i++)
		if (strcmp(st->entries[i].name, name) == 0)
			return &st->entries[i];
	return NULL;
}

/* Compares a tensor's type and shape with a digest {dtype, shape, nbytes, xxh3_64}; its bytes are `bytes`. */
static void check_tensor(const char *what, const struct safetensors_entry *e, const void *bytes, const json *digest)
{
	const json *n = json_first(json_get(digest, "shape"));
	uint64_t want;
	char hash[17];

	cr_assert_str_eq(dtype_name(e->dtype), json_string(json_get(digest, "dtype")), "%s: %s", what, e->name);
	cr_assert_eq(e->axes, json_count(json_get(digest, "shape")), "%s: %s", what, e->name);
	for (uint32_t a = 0; a < e->axes; a++, n = json_next(n))
		cr_assert(json_u64(n, &want) && want == e->shape[a], "%s: %s: axis %u", what, e->name, a);
	cr_assert(json_u64(json_get(digest, "nbytes"), &want) && want == e->end - e->begin, "%s: %s", what, e->name);
	snprintf(hash, sizeof(hash), "%016lx", XXH3_64bits(bytes, e->end - e->begin));
	cr_assert_str_eq(hash, json_string(json_get(digest, "xxh3_64")), "%s: %s: other bytes", what, e->name);
}

/* Compares all tensors of an open file, read whole, with an object of digests. */
static void check_tensors(const char *what, struct file *f, const json *digests)
{
	cr_assert_eq(f->ckpt.st.count, json_count(digests), "%s: %lu tensors", what, f->ckpt.st.count);
	for (const json *d = json_first(digests); d; d = json_next(d)) {
		const struct safetensors_entry *e = find_entry(&f->ckpt.st, json_key(d));
		void *bytes;

		cr_assert_not_null(e, "%s: %s is missing", what, json_key(d));
		bytes = malloc(e->end - e->begin + 1);
		cr_assert_eq(source_read(f->source, e->begin, bytes, e->end - e->begin, &f->err), 0, "%s", f->err.msg);
		check_tensor(what, e, bytes, d);
		free(bytes);
	}
}

/* The names that are left out and in no other form there are those of the list. */
static void check_left_out(const char *what, const struct ckpt *c, const json *names)
{
	uint64_t found = 0;

	for (uint64_t i = 0; i < c->left_out_count; i++) {
		bool known = find_entry(&c->st, c->left_out[i].key) != NULL;

		for (const json *n = json_first(names); n && !known; n = json_next(n))
			known = strcmp(json_string(n), c->left_out[i].key) == 0 && ++found;
		cr_assert(known, "%s: %s is left out: %s", what, c->left_out[i].key, c->left_out[i].value);
	}
	cr_assert(json_count(names) <= found, "%s: %lu names should be left out", what, json_count(names));
}

static void check_int4(const char *what, const struct ckpt *c, const json *names)
{
	cr_assert_eq(c->st.meta_count, json_count(names) + 1, "%s", what);
	cr_assert_str_eq(safetensors_meta_get(&c->st, "format"), "ms");
	for (const json *n = json_first(names); n; n = json_next(n))
		cr_assert_str_eq(safetensors_meta_get(&c->st, json_string(n)), "Int4");
}

Test(ckpt_files, loader)
{
	struct json_doc *doc = read_json("tests/ckpt/expected.json");
	uint64_t sliced = 0;

	for (const json *v = json_first(json_root(doc)); v; v = json_next(v)) {
		const json *error = json_get(v, "error");
		char path[128];
		struct file f;
		int r;

		snprintf(path, sizeof(path), "tests/ckpt/%s", json_key(v));
		r = open_file(path, &f);
		cr_assert_eq(r, error ? -EINVAL : 0, "%s: %s", path, f.err.msg);
		if (error) {
			cr_assert_not_null(strstr(f.err.msg, json_string(error)), "%s: %s", path, f.err.msg);
		} else {
			check_tensors(path, &f, json_get(v, "tensors"));
			check_left_out(path, &f.ckpt, json_get(v, "left_out"));
			check_int4(path, &f.ckpt, json_get(v, "int4"));
		}
		sliced += f.ckpt.splice_count != 0;
		close_file(&f);
	}
	cr_assert_eq(sliced, 4); /* slices, slices_crc, arrays, by_hand */
	json_free(doc);
}

static int verify_file(struct bytes bytes, void *arg)
{
	struct file *f = arg;

	return ckpt_verify(bytes, &f->ckpt, &f->err);
}

Test(ckpt_files, checksums)
{
	static const char *const paths[] = { "tests/ckpt/crc.ckpt", "tests/ckpt/slices_crc.ckpt", "tests/ckpt/slices.ckpt" };

	for (int i = 0; i < 3; i++) {
		struct file f;

		cr_assert_eq(open_file(paths[i], &f), 0, "%s", f.err.msg);
		cr_assert_eq(f.ckpt.has_crc, i < 2);
		cr_assert_eq(mapped_call(f.source, verify_file, &f, &f.err), i < 2 ? 0 : -ENODATA, "%s", f.err.msg);
		f.ckpt.crc ^= 1;
		cr_assert_eq(mapped_call(f.source, verify_file, &f, &f.err), i < 2 ? -EINVAL : -ENODATA);
		close_file(&f);
	}
}

/* A case of the oracle: shards that MindSpore saved as .ckpt, and what its ckpt_to_safetensors made of them. */
static void check_case(const char *name)
{
	char path[256];
	struct json_doc *doc;
	const json *op, *files, *v;
	uint64_t seen = 0;

	snprintf(path, sizeof(path), "tests/oracle/cases/%s/expected.json", name);
	doc = read_json(path);
	op = json_first(json_get(json_root(doc), "ops"));
	files = json_get(op, "files");
	for (v = json_first(files); v; v = json_next(v), seen++) {
		struct file f;

		snprintf(path, sizeof(path), "tests/oracle/cases/%s/ckpt/%s", name, json_key(v));
		strcpy(strrchr(path, '.'), ".ckpt");
		cr_assert_eq(open_file(path, &f), 0, "%s: %s", path, f.err.msg);
		check_tensors(path, &f, json_get(v, "tensors"));
		close_file(&f);
	}
	cr_assert_eq(seen, 2);
	json_free(doc);
}

Test(ckpt_files, converter)
{
	check_case("ckpt_conv");
	check_case("ckpt_dtypes");
}

/* A model of the one file, shown as one safetensors file. */
static struct model *model_of(struct file *f)
{
	struct checkpoint_options options = { .kind = CHECKPOINT_UNIFIED };
	struct checkpoint_file source = { .path = "file" };
	struct view_options view = { .part_size = UINT64_MAX, .index = VIEW_INDEX_HF };
	struct model *m = model_new();
	struct checkpoint_builder *builder = checkpoint_begin(m->arena, &options);

	cr_assert_eq(checkpoint_add(builder, &source, &f->ckpt.st, &f->err), 0, "%s", f->err.msg);
	cr_assert_eq(checkpoint_finish(builder, &m->checkpoint, &f->err), 0, "%s", f->err.msg);
	cr_assert_eq(view_unified(m->checkpoint, &view, m->arena, &m->view, &f->err), 0, "%s", f->err.msg);
	source_list_free(m->sources);
	m->sources = f->sources;
	return m;
}

static const struct image *only_safetensors(const struct view *view)
{
	const struct image *image = NULL;

	for (uint64_t i = 0; i < view->count; i++)
		if (strstr(view->files[i].path, ".safetensors") && !strstr(view->files[i].path, "json")) {
			cr_assert_null(image);
			image = view->files[i].image;
		}
	return image;
}

/* Gathered: in one read, and in many of odd sizes, which begin and end inside slices. */
Test(ckpt_files, gathered)
{
	struct json_doc *doc = read_json("tests/ckpt/expected.json");
	static const char *const names[] = { "slices.ckpt", "arrays.ckpt", "types.ckpt" };

	for (int i = 0; i < 3; i++) {
		const json *digests = json_get(json_get(json_root(doc), names[i]), "tensors");
		struct gather *g = gather_new();
		struct safetensors st;
		uint32_t bad;
		char path[64];
		struct file f;

		snprintf(path, sizeof(path), "tests/ckpt/%s", names[i]);
		cr_assert_eq(open_file(path, &f), 0);

		struct model *m = model_of(&f);
		const struct image *image = only_safetensors(&m->view);
		uint8_t *whole = malloc(image->size), *parts = malloc(image->size);
		struct gather_range range = { m, image, 0, image->size, whole };

		cr_assert_eq(gather_bytes(g, &range, &bad, &f.err), 0, "%s", f.err.msg);
		cr_assert_eq(safetensors_parse((struct bytes){ whole + 8, bytes_le64(whole) }, image->size, f.arena, &st, &f.err), 0, "%s", f.err.msg);
		cr_assert_eq(st.count, json_count(digests));
		for (const json *d = json_first(digests); d; d = json_next(d)) {
			const struct safetensors_entry *e = find_entry(&st, json_key(d));

			cr_assert_not_null(e);
			check_tensor(path, e, whole + st.data_start + e->begin, d);
		}
		for (uint64_t at = 0, n; at < image->size; at += n) {
			n = at % 769 + 1 < image->size - at ? at % 769 + 1 : image->size - at;
			range = (struct gather_range){ m, image, at, n, parts + at };
			cr_assert_eq(gather_bytes(g, &range, &bad, &f.err), 0, "%s", f.err.msg);
		}
		cr_assert_arr_eq(whole, parts, image->size);
		free(whole);
		free(parts);
		gather_free(g);
		model_free(m); /* and the sources */
		arena_free(f.arena);
	}
	json_free(doc);
}
