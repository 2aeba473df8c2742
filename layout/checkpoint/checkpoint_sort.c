/* SPDX-License-Identifier: Apache-2.0 */
/* Names of layers have much in common, so comparing them is what sorting costs: their keys are made once, and compared by memcmp(). */
#include <stdlib.h>
#include <string.h>

#include "layout/base/natural.h"
#include "layout/checkpoint/checkpoint.h"

struct keyed {
	const uint8_t *key;
	uint64_t len;   /* bytes */
	const struct tensor *tensor;
};

static int by_key(const void *a, const void *b)
{
	const struct keyed *x = a, *y = b;
	int order = memcmp(x->key, y->key, x->len < y->len ? x->len : y->len);

	if (order || x->len != y->len)
		return order ? order : x->len < y->len ? -1 : 1;
	return strcmp(x->tensor->name, y->tensor->name);
}

/* The keys of all names, one behind the other. False without memory. */
static bool make_keys(const struct tensor *list, uint64_t count, struct keyed *keyed, struct arena *scratch)
{
	uint64_t room = 0;
	uint8_t *at;

	for (uint64_t i = 0; i < count; i++)
		room += NATURAL_KEY_MOST * strlen(list[i].name);
	at = arena_alloc(scratch, room, 1);
	for (uint64_t i = 0; at && i < count; i++) {
		keyed[i].key = at;
		keyed[i].len = natural_key(list[i].name, at);
		at += keyed[i].len;
	}
	return at;
}

static bool sort(struct tensor *list, uint64_t count, struct arena *scratch)
{
	struct keyed *keyed = arena_alloc(scratch, count, sizeof(*keyed));
	struct tensor *copy = arena_alloc(scratch, count, sizeof(*copy));

	if (!keyed || !copy || !make_keys(list, count, keyed, scratch))
		return false;
	for (uint64_t i = 0; i < count; i++) {
		copy[i] = list[i];
		keyed[i].tensor = &copy[i];
	}
	qsort(keyed, count, sizeof(*keyed), by_key);
	for (uint64_t i = 0; i < count; i++)
		list[i] = *keyed[i].tensor;
	return true;
}

int checkpoint_sort(struct tensor *list, uint64_t count, struct error *err)
{
	struct arena *scratch = arena_new();
	bool done = scratch && sort(list, count, scratch);

	arena_free(scratch);
	return done ? 0 : error_nomem(err);
}
