/* SPDX-License-Identifier: Apache-2.0 */
/*
 * .ckpt files of MindSpore: tensors one behind the other in a protocol buffer (ckpt.proto), without an index. This makes the index:
 * what a safetensors header would say of the file.
 * The loader whose rules these are: `_parse_ckpt_proto` and `_load_ckpt_into_param_dict` in mindspore/train/serialization.py. It
 * cuts, or fills with zeros, a content that is not as long as dims say; here that is refused.
 *
 * A tensor of more than 512 MiB lies in several slices. It gets a range of addresses of its own beyond the end of the file, made of
 * splices, so that whoever asks for bytes of a tensor asks for one range in any case.
 *
 * Invariants of an index, established by ckpt_index(): splices are sorted by logical, none is empty, and each has its bytes inside
 * the file. A tensor lies in one range of the file, or is covered by consecutive splices exactly; there are at least CKPT_GAP bytes
 * of no meaning before each tensor that is spliced. Names are unique, valid UTF-8, without NUL; at most BOX_AXES axes.
 */
#ifndef LAYOUT_CKPT_H
#define LAYOUT_CKPT_H

#include "layout/formats/safetensors.h"

#define CKPT_GAP (UINT64_C(1) << 20)        /* bytes; spliced tensors also begin on multiples of it */
#define CKPT_VALUES_MAX (UINT64_C(1) << 20) /* in a file: parameters and slices of them */

/* A range of addresses that stands for a range of the file. */
struct ckpt_splice {
	uint64_t logical, physical, len; /* bytes from the start of the file, beyond its end and inside it */
};

struct ckpt {
	/*
	 * As a safetensors header would say it, by begin, but with holes between the entries: begin and end count from the start of
	 * the file (data_start 0), or are logical. The metadata are format "ms", and "Int4" for each tensor of that type, which
	 * is I8 here, an element a byte.
	 */
	struct safetensors st;
	const struct ckpt_splice *splices; /* [splice_count] */
	uint64_t splice_count;
	const struct pair *left_out; /* [left_out_count] what is in the file and not in st: name, and why; in the file's order */
	uint64_t left_out_count;
	uint64_t crc_len; /* bytes from the start of the file that the checksum covers */
	uint32_t crc;
	bool has_crc;
};

/*
 * Indexes a file. Everything in *out lives in `arena`; nothing points into `file`. Contents are not touched.
 * -EINVAL with parameter and field named, or -ENOMEM.
 */
int ckpt_index(struct bytes file, struct arena *arena, struct ckpt *out, struct error *err);

/* Reads the whole file. 0 when its checksum is right, -EINVAL when not, -ENODATA when it has none. */
int ckpt_verify(struct bytes file, const struct ckpt *ckpt, struct error *err);

#endif
