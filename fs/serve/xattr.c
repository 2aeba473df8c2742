/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "fs/base/buffer.h"
#include "fs/model/gather.h"
#include "fs/serve/xattr.h"
#include "layout/names/weave.h"

#define PREFIX "user.gatherfs."
#define CHUNK (UINT64_C(1) << 20)  /* bytes hashed at a time */
#define LONGEST (UINT64_C(1) << 16) /* bytes of a value; XATTR_SIZE_MAX */

enum attribute {
	NAME,
	DTYPE,
	SHAPE,
	TENSORS,
	SOURCES,
	XXH3,
	ATTRIBUTES
};

static const char *const names[ATTRIBUTES] = { "name", "dtype", "shape", "tensors", "sources", "xxh3" };

static bool has(const struct tree_node *node, enum attribute a)
{
	if (node->kind == TREE_TENSOR)
		return a != TENSORS;
	return node->kind == TREE_IMAGE && a >= TENSORS;
}

void xattr_list(const struct hub_node *at, struct text *text)
{
	for (enum attribute a = 0; a < XXH3; a++)
		if (has(at->node, a)) {
			text_add(text, PREFIX "%s", names[a]);
			text_add_bytes(text, "", 1);
		}
}

/* Which sources have been met. */
struct met {
	bool *source; /* [model->sources->count] */
	const struct model *model;
};

static void meet_tensor(struct met *met, const struct tensor *t)
{
	for (uint32_t i = 0; t->woven && i < t->woven->weave->count; i++)
		meet_tensor(met, t->woven->of[i]); /* which are not woven themselves */
	for (uint32_t b = 0; t->pieces && b < t->grid.blocks; b++)
		if (t->pieces[b].source != CHECKPOINT_NO_SOURCE)
			met->source[t->pieces[b].source] = true;
}

static void meet_image(struct met *met, const struct image *image)
{
	for (uint64_t i = 0; i < image->count; i++) {
		struct extent e = image_extent(image, i);

		if (e.kind == EXTENT_BLOCK)
			meet_tensor(met, e.tensor);
		else if (e.kind == EXTENT_RANGE)
			met->source[e.range.source] = true;
	}
}

static int write_sources(const struct hub_node *at, struct text *text)
{
	const struct sources *s = at->model->sources;
	struct met met = { calloc(s->count + 1, sizeof(bool)), at->model };
	uint32_t n = 0;

	if (!met.source)
		return -ENOMEM;
	if (at->node->kind == TREE_TENSOR)
		meet_tensor(&met, at->node->tensor);
	else
		meet_image(&met, at->node->image);
	for (uint32_t i = 0; i < s->count; i++)
		if (met.source[i]) {
			text_add(text, n++ ? "\n%s" : "%s", s->list[i].path);
		}
	free(met.source);
	if (text->len > LONGEST) {
		text->len = 0;
		text_add(text, "%" PRIu32 " files", n);
	}
	return 0;
}

static int hash(const struct hub_node *at, const struct image *image, XXH3_state_t *state, uint8_t *buf, struct gather *g)
{
	struct error err;
	uint32_t source;
	int rc = 0;

	XXH3_128bits_reset(state);
	for (uint64_t off = 0; rc == 0 && off < image->size; off += CHUNK) {
		uint64_t len = image->size - off < CHUNK ? image->size - off : CHUNK;
		struct gather_range range = { at->model, image, off, len, buf };

		rc = gather_bytes(g, &range, &source, &err);
		if (rc == 0)
			XXH3_128bits_update(state, buf, len);
	}
	return rc < 0 ? -EIO : 0;
}

/* As xxhsum -H2 prints it. */
static int write_hash(const struct hub_node *at, const struct image *image, struct text *text)
{
	XXH3_state_t *state = XXH3_createState();
	uint8_t *buf = buffer_new(CHUNK);
	struct gather *g = gather_new();
	XXH128_canonical_t canonical;
	int rc = state && buf && g ? hash(at, image, state, buf, g) : -ENOMEM;

	if (rc == 0)
		XXH128_canonicalFromHash(&canonical, XXH3_128bits_digest(state));
	for (size_t i = 0; rc == 0 && i < sizeof(canonical.digest); i++)
		text_add(text, "%02x", canonical.digest[i]);
	XXH3_freeState(state);
	gather_free(g);
	free(buf);
	return rc;
}

static int get_hash(const struct hub_node *at, struct text *text)
{
	struct arena *arena = arena_new();
	const struct image *image = at->node->kind == TREE_IMAGE ? at->node->image : NULL;
	struct error err;
	int rc = arena ? 0 : -ENOMEM;

	if (rc == 0 && !image)
		rc = tensors_image(at->model, at->node, arena, &image, &err);
	if (rc == 0)
		rc = write_hash(at, image, text);
	arena_free(arena);
	return rc;
}

static void write_shape(const struct tensor *t, struct text *text)
{
	text_add(text, "[");
	for (uint32_t a = 0; a < t->axes; a++)
		text_add(text, a ? ", %" PRIu64 : "%" PRIu64, t->shape[a]);
	text_add(text, "]");
}

static uint64_t count_tensors(const struct image *image)
{
	uint64_t n = 0;

	for (uint64_t i = 0; i < image->count; i++)
		n += image_extent(image, i).kind == EXTENT_BLOCK;
	return n;
}

static int get(const struct hub_node *at, enum attribute a, struct text *text)
{
	switch (a) {
	case NAME:
		text_add(text, "%s", at->node->tensor->name);
		return 0;
	case DTYPE:
		text_add(text, "%s", dtype_name(at->node->tensor->dtype));
		return 0;
	case SHAPE:
		write_shape(at->node->tensor, text);
		return 0;
	case TENSORS:
		text_add(text, "%" PRIu64, count_tensors(at->node->image));
		return 0;
	case SOURCES:
		return write_sources(at, text);
	default:
		return get_hash(at, text);
	}
}

int xattr_get(const struct hub_node *at, const char *name, struct text *text)
{
	if (strncmp(name, PREFIX, strlen(PREFIX)) != 0)
		return -ENODATA;
	for (enum attribute a = 0; a < ATTRIBUTES; a++)
		if (strcmp(name + strlen(PREFIX), names[a]) == 0 && has(at->node, a)) {
			int rc = get(at, a, text);

			return rc == 0 && text->failed ? -ENOMEM : rc;
		}
	return -ENODATA;
}
