/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What one weights file says of itself: the header of a .safetensors file, or the index that is made of a .ckpt file. The parsers know
 * bytes; here they meet open files. A new source format is a function here.
 */
#ifndef FS_HEADER_H
#define FS_HEADER_H

#include "fs/source/source.h"
#include "layout/base/bytes.h"
#include "layout/formats/ckpt.h"

/* Memory for the bytes of a header, used again for the next file; begins as { NULL, 0 }. */
struct header_room {
	uint8_t *ptr;
	uint64_t len;
};

void header_room_free(struct header_room *room);

/* Reads the JSON header of a .safetensors file into `room`; *json lies there. The message begins with the path. */
int header_read(const struct source *source, struct header_room *room, struct bytes *json, struct error *err);

/* Indexes a .ckpt file; everything in *out lives in `arena`. The message begins with the path. */
int header_index(const struct source *source, struct arena *arena, struct ckpt *out, struct error *err);

/* Reads and checks the header of a .safetensors file; *st lives in `arena`. The message begins with the path. */
int header_parse(const struct source *source, struct arena *arena, struct safetensors *st, struct error *err);

#endif
