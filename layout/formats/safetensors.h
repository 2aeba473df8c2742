/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The safetensors container: eight bytes of little-endian header length, a JSON header, the tensors' bytes.
 * Format: the `safetensors` crate, tensor.rs (validate) and README "Format"; MindSpore's stricter reader is
 * `_fast_safe_open` in mindspore/parallel/transform_safetensors.py.
 *
 * Invariants of a parsed header, all established by safetensors_parse(): entries are sorted by `begin`, the first begins
 * at 0, each begins where the one before ends, the last ends at the end of the file; end - begin is the bytes of shape and
 * dtype; names are unique, valid UTF-8, without NUL; at most BOX_AXES axes.
 */
#ifndef LAYOUT_SAFETENSORS_H
#define LAYOUT_SAFETENSORS_H

#include "layout/base/arena.h"
#include "layout/base/bytes.h"
#include "layout/base/dtype.h"
#include "layout/base/error.h"
#include "layout/base/pairs.h"

#define SAFETENSORS_HEADER_MAX UINT64_C(100000000) /* bytes of JSON; the crate's MAX_HEADER_SIZE */
#define SAFETENSORS_ALIGN 4096                     /* our headers end so that the data starts on a page */

struct safetensors_entry {
	const char *name;      /* NUL-terminated */
	const uint64_t *shape; /* [axes], elements */
	uint64_t begin, end;   /* bytes from the start of the data */
	uint32_t axes;
	enum dtype dtype;
};

struct safetensors {
	const struct safetensors_entry *entries; /* [count], by begin */
	const struct pair *meta;                 /* [meta_count], as in the file */
	uint64_t count, meta_count;
	uint64_t data_start; /* bytes from the start of the file: 8 + header length */
};

/*
 * Reads the length field of a file of `file_size` bytes whose first min(8, file_size) bytes are `head`: *length is the
 * bytes of JSON that follow. -EINVAL for a file under 8 bytes, a header over SAFETENSORS_HEADER_MAX or past the file's end.
 */
int safetensors_length(struct bytes head, uint64_t file_size, uint64_t *length, struct error *err);

/*
 * Parses and checks the JSON header (`header.len` as safetensors_length() gave it) of a file of `file_size` bytes.
 * Everything in *out lives in `arena`; nothing points into `header`. -EINVAL with tensor and field named, or -ENOMEM.
 */
int safetensors_parse(struct bytes header, uint64_t file_size, struct arena *arena, struct safetensors *out, struct error *err);

/* The value of a metadata key, or NULL. */
const char *safetensors_meta_get(const struct safetensors *st, const char *key);

/*
 * Writes the length field and the header of a file that holds `entries` (begin and end as they will lie, without holes) and
 * `meta`, padded with spaces so that it ends on a multiple of SAFETENSORS_ALIGN. *out lives in `arena`.
 * -E2BIG when the JSON would pass SAFETENSORS_HEADER_MAX.
 */
int safetensors_write(const struct safetensors *st, struct arena *arena, struct bytes *out, struct error *err);

/* The most bytes that safetensors_write() spends on one entry, to bound a header before writing it. */
uint64_t safetensors_entry_cost(const struct safetensors_entry *entry);

#endif
