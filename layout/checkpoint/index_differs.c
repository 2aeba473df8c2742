/* SPDX-License-Identifier: Apache-2.0 */
/* Whether an index says what a header says: for who wants to be sure. */
#include <errno.h>
#include <string.h>

#include "layout/checkpoint/index.h"

typedef unsigned long long ull; /* for messages */

static int differs_entry(const struct safetensors_entry *a, const struct safetensors_entry *b, struct error *err)
{
	if (strcmp(a->name, b->name) != 0)
		return error_set(err, -EINVAL, "tensor \"%.512s\" stands where the file has \"%.512s\"", a->name, b->name);
	if (a->begin != b->begin || a->end != b->end)
		return error_set(err, -EINVAL, "tensor \"%.512s\": bytes [%llu, %llu], but the file has it at [%llu, %llu]", a->name, (ull)a->begin,
				 (ull)a->end, (ull)b->begin, (ull)b->end);
	if (a->dtype != b->dtype)
		return error_set(err, -EINVAL, "tensor \"%.512s\": dtype %s, but the file says %s", a->name, dtype_name(a->dtype),
				 dtype_name(b->dtype));
	if (a->axes != b->axes || (a->axes && memcmp(a->shape, b->shape, a->axes * sizeof(*a->shape)) != 0))
		return error_set(err, -EINVAL, "tensor \"%.512s\": another shape than the file says", a->name);
	return 0;
}

static bool same_pairs(const struct pair *a, const struct pair *b, uint64_t count)
{
	for (uint64_t i = 0; i < count; i++)
		if (strcmp(a[i].key, b[i].key) != 0 || strcmp(a[i].value, b[i].value) != 0)
			return false;
	return true;
}

int index_differs(const struct ckpt *index, const struct ckpt *file, struct error *err)
{
	const struct safetensors *a = &index->st, *b = &file->st;
	int code = 0;

	if (a->count != b->count)
		return error_set(err, -EINVAL, "%llu tensors, but the file has %llu", (ull)a->count, (ull)b->count);
	if (a->data_start != b->data_start)
		return error_set(err, -EINVAL, "the data begin at byte %llu, but in the file at %llu", (ull)a->data_start, (ull)b->data_start);
	for (uint64_t i = 0; code == 0 && i < a->count; i++)
		code = differs_entry(&a->entries[i], &b->entries[i], err);
	if (code < 0)
		return code;
	if (a->meta_count != b->meta_count || !same_pairs(a->meta, b->meta, a->meta_count))
		return error_set(err, -EINVAL, "other metadata than the file has");
	if (index->left_out_count != file->left_out_count || !same_pairs(index->left_out, file->left_out, file->left_out_count))
		return error_set(err, -EINVAL, "leaves out something else than is left out of the file");
	if (index->splice_count != file->splice_count || (file->splice_count && memcmp(index->splices, file->splices,
										       file->splice_count * sizeof(*file->splices)) != 0))
		return error_set(err, -EINVAL, "other slices than the file has");
	return 0;
}
