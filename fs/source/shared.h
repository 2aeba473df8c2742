/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Distinct headers, each parsed once: ranks of one stage write the same bytes. Two headers are the same when their bytes, compared one
 * by one, and the sizes of their files are.
 *
 * Invariants: a header that somebody holds stays. Of those that nobody holds the oldest are let go when all together have more bytes
 * than SHARED_BYTES; the same header coming again is then parsed again, and is another one.
 */
#ifndef FS_SHARED_H
#define FS_SHARED_H

#include "fs/source/source.h"
#include "layout/base/bytes.h"
#include "layout/formats/ckpt.h"

#define SHARED_BYTES (UINT64_C(48) << 20)

struct shared;

struct shared_header {
	const struct ckpt *content;
	uint64_t id; /* the user's number for it; 0 at first */
};

/* NULL without memory. shared_free(NULL) is allowed. */
struct shared *shared_new(void);
void shared_free(struct shared *shared);

/*
 * The header whose JSON is `json`, of an open .safetensors file; the index of an open .ckpt file; what somebody else knows already, who
 * keeps it. All from any thread. The caller gives *out back with shared_drop(), which takes NULL too. The message begins with the path.
 */
int shared_parse(struct shared *shared, const struct source *source, struct bytes json, struct shared_header **out, struct error *err);
int shared_index(struct shared *shared, const struct source *source, struct shared_header **out, struct error *err);
int shared_known(struct shared *shared, const struct ckpt *content, struct shared_header **out, struct error *err);
void shared_drop(struct shared *shared, struct shared_header *header);

/* True while there are more bytes than SHARED_BYTES, which somebody holds then. */
bool shared_is_full(struct shared *shared);

#endif
