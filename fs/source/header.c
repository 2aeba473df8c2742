/* SPDX-License-Identifier: Apache-2.0 */
/* See header.h. */
#include <errno.h>
#include <stdlib.h>

#include "fs/base/buffer.h"
#include "fs/source/header.h"
#include "fs/source/mapped.h"

#define FIRST_READ (UINT64_C(64) << 10) /* bytes read at once: most headers, whole */

void header_room_free(struct header_room *room)
{
	free(room->ptr);
	*room = (struct header_room){ NULL, 0 };
}

/* Makes the room at least `len` bytes; what is in it is lost. */
static int make_room(struct header_room *room, uint64_t len, struct error *err)
{
	if (len <= room->len)
		return 0;
	header_room_free(room);
	room->ptr = buffer_new(len);
	if (!room->ptr)
		return error_nomem(err);
	room->len = len;
	return 0;
}

int header_read(const struct source *s, struct header_room *room, struct bytes *json, struct error *err)
{
	uint64_t first = s->stamp.size < FIRST_READ ? s->stamp.size : FIRST_READ, length;
	int code = make_room(room, FIRST_READ, err);

	if (code == 0)
		code = source_read(s, 0, room->ptr, first, err);
	if (code < 0)
		return code;
	code = safetensors_length((struct bytes){ room->ptr, first < 8 ? first : 8 }, s->stamp.size, &length, err);
	if (code < 0)
		return error_prefix(err, code, "%s", s->path);
	if (8 + length > first) {
		code = make_room(room, 8 + length, err);
		if (code == 0)
			code = source_read(s, 8, room->ptr + 8, length, err);
	}
	*json = (struct bytes){ room->ptr + 8, length };
	return code;
}

/* What indexing a mapped .ckpt file needs. */
struct indexing {
	struct arena *arena;
	struct ckpt ckpt;
	struct error *err;
};

static int index_ckpt(struct bytes file, void *arg)
{
	struct indexing *in = arg;

	return ckpt_index(file, in->arena, &in->ckpt, in->err);
}

int header_index(const struct source *s, struct arena *arena, struct ckpt *out, struct error *err)
{
	struct error why = { "" };
	struct indexing in = { .arena = arena, .err = &why };
	int code = mapped_call(s, index_ckpt, &in, err);

	if (code < 0)
		return why.msg[0] ? error_set(err, code, "%s: %s", s->path, why.msg) : code;
	*out = in.ckpt;
	return 0;
}

int header_parse(const struct source *s, struct arena *arena, struct safetensors *st, struct error *err)
{
	struct header_room room = { NULL, 0 };
	struct bytes json;
	int code = header_read(s, &room, &json, err);

	if (code == 0 && (code = safetensors_parse(json, s->stamp.size, arena, st, err)) < 0)
		error_prefix(err, code, "%s", s->path);
	header_room_free(&room);
	return code;
}
