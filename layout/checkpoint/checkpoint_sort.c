/* SPDX-License-Identifier: Apache-2.0 */
/* Names of layers have much in common, so comparing them is what sorting costs: their keys are made once, and compared by memcmp(). */
#include <stdlib.h>
#include <string.h>

#include "layout/base/natural.h"
#include "layout/checkpoint/checkpoint.h"

#define NEARLY 4 /* places that a name may be moved, on average */

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

/* By insertion, which is quick where names are nearly in order; false where they are not. */
static bool insert_all(struct keyed *keyed, uint64_t count)
{
	uint64_t left = NEARLY * count;

	for (uint64_t i = 1; i < count; i++) {
		struct keyed one = keyed[i];
		uint64_t at = i;

		for (; at > 0 && left > 0 && by_key(&keyed[at - 1], &one) > 0; at--, left--)
			keyed[at] = keyed[at - 1];
		keyed[at] = one;
	}
	return left > 0;
}

/* Puts what `keyed` [count] names at each place there, in place: the tensors of a model take a page for each 30, and pages cost time. */
static void move(struct tensor *list, uint64_t count, struct keyed *keyed)
{
	for (uint64_t start = 0; start < count; start++) {
		struct tensor first = list[start];
		uint64_t at = start;

		while (keyed[at].tensor) {
			uint64_t from = (uint64_t)(keyed[at].tensor - list);

			keyed[at].tensor = NULL;
			list[at] = from == start ? first : list[from];
			at = from;
		}
	}
}

static bool sort(struct tensor *list, uint64_t count, struct arena *scratch)
{
	struct keyed *keyed = arena_alloc(scratch, count, sizeof(*keyed));

	if (!keyed || !make_keys(list, count, keyed, scratch))
		return false;
	for (uint64_t i = 0; i < count; i++)
		keyed[i].tensor = &list[i];
	if (!insert_all(keyed, count))
		qsort(keyed, count, sizeof(*keyed), by_key);
	move(list, count, keyed);
	return true;
}

int checkpoint_sort(struct tensor *list, uint64_t count, struct error *err)
{
	struct arena *scratch = arena_new();
	bool done = scratch && sort(list, count, scratch);

	arena_free(scratch);
	return done ? 0 : error_nomem(err);
}
