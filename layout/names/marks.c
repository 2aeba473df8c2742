/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "layout/names/marks.h"

const struct piece **marks_find(const struct checkpoint *ckpt, struct arena *arena)
{
	const struct piece **marks = arena_alloc(arena, ckpt->meta_count, sizeof(*marks));

	for (uint64_t i = 0; marks && i < ckpt->meta_count; i++) {
		const struct tensor *t = checkpoint_find(ckpt->tensors, ckpt->count, ckpt->meta[i].key);

		marks[i] = t ? t->pieces : NULL;
	}
	return marks;
}

/* Sets the key to the name of the tensor that has these pieces; how many have them. */
static uint64_t rename_key(const struct piece *pieces, const struct tensor *tensors, uint64_t count, const char **key)
{
	uint64_t same = 0;

	for (uint64_t i = 0; i < count; i++)
		if (tensors[i].pieces == pieces) {
			*key = tensors[i].name;
			same++;
		}
	return same;
}

int marks_rename(const struct checkpoint *ckpt, const struct piece *const *marks, const struct tensor *tensors, uint64_t count,
		 struct arena *arena, struct pair **out, struct error *err)
{
	struct pair *meta = arena_alloc(arena, ckpt->meta_count, sizeof(*meta));

	if (!meta)
		return error_nomem(err);
	for (uint64_t i = 0; i < ckpt->meta_count; i++) {
		uint64_t same;

		meta[i] = ckpt->meta[i];
		if (!marks[i])
			continue;
		same = rename_key(marks[i], tensors, count, &meta[i].key);
		if (same != 1)
			return error_set(err, -EINVAL, "tensor \"%s\" is marked \"%s\" in the metadata, and cannot become %s",
					 ckpt->meta[i].key, meta[i].value, same ? "two" : "another");
	}
	*out = meta;
	return 0;
}
