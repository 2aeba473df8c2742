/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What keeps a mount that others may enter (allow_other) inside the folders that were named: SOURCE, with=, strategy=, to=, and the
 * folder `strategy` beside SOURCE. A checkpoint could otherwise show everybody what only the one who mounts it may read, by a link
 * to it. The one who mounts follows links as he likes, for Hugging Face's cache is made of them, and with `follow` so do others.
 *
 * What is asked is where the kernel says that an open file is, so that nobody can change a link between the question and the use. A
 * file that was named itself (strategy=FILE) may lie anywhere: that was said, not found.
 *
 * Invariant: where there is a fence, nothing that was found in a folder is read, and no folder listed, before fence_open() has let it
 * through. NULL is no fence.
 */
#ifndef FS_FENCE_H
#define FS_FENCE_H

#include "fs/options/options.h"

struct fence {
	const char **named; /* [count] absolute paths of folders and files */
	uint32_t count;
};

/* The fence that `o` asks for, whose SOURCEs are known, into o->fence; it lives as long as the options. 0 or -ENOMEM. */
int fence_set(struct options *o, struct error *err);

/*
 * Opens a file (or a folder, with O_DIRECTORY in `flags`) for reading. The descriptor; or the errno of open, and -EXDEV when it
 * leads out of the fence, with a message that begins with the path.
 */
int fence_open(const struct fence *fence, const char *path, int flags, struct error *err);

#endif
