/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/source/iteration.h"
#include "fs/source/slurp.h"

#define TRACKER_MAX 64 /* bytes */

/* Reads digits at *at, at most 18; false when there is none. */
static bool digits(const char **at, uint64_t *out)
{
	const char *start = *at;

	for (*out = 0; **at >= '0' && **at <= '9' && *at - start < 18; ++*at)
		*out = *out * 10 + (uint64_t)(**at - '0');
	return *at > start && !(**at >= '0' && **at <= '9');
}

bool iteration_number(const char *name, uint64_t *number)
{
	static const char before[] = "iteration_";
	const char *at = name + sizeof(before) - 1;

	return strncmp(name, before, sizeof(before) - 1) == 0 && digits(&at, number) && *at == 0;
}

/* "model-0000000-0000004.safetensors" at `at`. */
static bool is_tail(const char *at, uint64_t *files)
{
	uint64_t rank;

	if (strncmp(at, "model-", 6) == 0)
		at += 6;
	else if (strncmp(at, "opt-", 4) == 0)
		at += 4;
	else
		return false;
	return digits(&at, &rank) && *at++ == '-' && digits(&at, files) && strcmp(at, ".safetensors") == 0;
}

bool iteration_weights(const char *name, size_t *prefix, uint64_t *files)
{
	*prefix = 0;
	if (is_tail(name, files))
		return true;
	for (const char *dash = strchr(name, '-'); dash; dash = strchr(dash + 1, '-'))
		if (dash > name && is_tail(dash + 1, files)) {
			*prefix = (size_t)(dash - name);
			return true;
		}
	return false;
}

/* What int() of the text in the tracker is. */
static int read_tracker(const char *source, const struct fence *fence, struct arena *arena, uint64_t *out, struct error *err)
{
	struct slurp how = { .arena = arena, .max = TRACKER_MAX, .fence = fence };
	const char *path = arena_printf(arena, "%s/" ITERATION_TRACKER, source), *at, *text;
	struct bytes bytes;
	int code = path ? slurp_file(path, &how, &bytes, err) : error_nomem(err);

	if (code < 0)
		return code;
	text = at = arena_strndup(arena, (const char *)bytes.ptr, bytes.len);
	if (!text)
		return error_nomem(err);
	at += strspn(at, " \t\r\n");
	if (!digits(&at, out) || at[strspn(at, " \t\r\n")])
		return error_set(err, -EINVAL, "%s: expected the number of an iteration, found \"%s\"", path, text);
	return 0;
}

static int newest_first(const void *a, const void *b)
{
	const struct iteration *x = a, *y = b;

	return x->number == y->number ? strcmp(x->name, y->name) : x->number > y->number ? -1 : 1;
}

/* SOURCE itself, when it is called so or holds such weights. */
static void take_itself(const char *source, bool weights, struct iterations *out)
{
	const char *slash = strrchr(source, '/'), *name = slash ? slash + 1 : source;
	uint64_t number = 0;
	bool numbered = iteration_number(name, &number);

	if (!weights)
		return;
	out->list[0] = (struct iteration){ name, source, number, numbered };
	out->count = 1;
	out->itself = true;
}

int iteration_scan(const char *source, const struct scan_list *entries, struct arena *arena, struct iterations *out, struct error *err)
{
	bool weights = false;
	uint64_t files;
	size_t prefix;

	*out = (struct iterations){ .fence = entries->fence, .list = arena_alloc(arena, entries->count + 1, sizeof(*out->list)) };
	if (!out->list)
		return error_nomem(err);
	for (uint64_t i = 0; i < entries->count; i++) {
		const struct scan_entry *e = &entries->entries[i];
		struct iteration *it = &out->list[out->count];

		weights |= e->is_file && iteration_weights(e->name, &prefix, &files);
		out->tracked |= e->is_file && strcmp(e->name, ITERATION_TRACKER) == 0;
		if (!e->is_dir || !iteration_number(e->name, &it->number))
			continue;
		it->name = e->name;
		it->numbered = true;
		it->path = arena_printf(arena, "%s/%s", source, e->name);
		if (!it->path)
			return error_nomem(err);
		out->count++;
	}
	if (out->count)
		qsort(out->list, out->count, sizeof(*out->list), newest_first);
	else
		take_itself(source, weights, out);
	return out->tracked ? read_tracker(source, entries->fence, arena, &out->latest, err) : 0;
}

int iteration_find(const struct iterations *it, const char *text, uint64_t *index, struct error *err)
{
	const char *at = text;
	uint64_t number;

	if (!iteration_number(text, &number) && (!digits(&at, &number) || *at))
		return error_set(err, -EINVAL, "step=%s: expected the number of an iteration", text);
	for (uint64_t i = 0; i < it->count; i++)
		if (it->list[i].numbered && it->list[i].number == number) {
			*index = i;
			return 0;
		}
	return error_set(err, -ENOENT, "step=%s: there is no such iteration (newest: %s)", text, it->count ? it->list[0].name : "none");
}
