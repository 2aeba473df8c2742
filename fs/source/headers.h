/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The headers of the weights files of one step: opened and read by several threads at once, for a distant filesystem takes its time
 * over each file, and handed on one by one in the order of the files, so that the outcome is the same as if one thread had done it.
 *
 * Ranks of one stage usually write the same bytes as header. Those are parsed once: files whose header bytes and sizes are equal
 * share one object, and have the same number (`id`).
 *
 * A file's header may be known without reading it; a struct headers_cache is asked first, and is told what had to be read.
 */
#ifndef FS_HEADERS_H
#define FS_HEADERS_H

#include "fs/source/source.h"
#include "layout/formats/ckpt.h"

/*
 * What is known of files from an earlier time. What a header says is a struct ckpt in any case (that of a .safetensors file has
 * nothing but `st`), and what find() gives must have all that safetensors_parse() and ckpt_index() establish for a file of that size.
 */
struct headers_cache {
	/*
	 * What the header of the file at `path` says, if the file is still as it was: a pointer that is valid, and the same for files
	 * with the same header, as long as the headers are read and handed on. NULL when that is not known. *entries is a number below
	 * 2^32 that files have in common only if all their entries are the same. From any thread, and from several at once.
	 */
	const struct ckpt *(*find)(void *arg, const char *path, const struct source_stamp *stamp, uint64_t *entries);

	/*
	 * Is told of each file that was accepted by headers_work.take, whether it was found or read, in the order of the files and from one
	 * thread at a time. `content` is valid during the call only; the same `id` means the same content.
	 */
	void (*learn)(void *arg, const char *path, const struct source_stamp *stamp, const struct ckpt *content, uint64_t id);
	void *arg;
};

/* A file whose header is known. */
struct headers_file {
	uint64_t index;             /* among headers_work.paths */
	uint32_t source;            /* its number in headers_work.sources */
	uint64_t id;                /* the same for files with the same header; never 0 */
	uint64_t entries;           /* the same for some files whose headers have the same entries, be their metadata different; never 0 */
	const struct ckpt *content; /* valid during the call only */
};

struct headers_work {
	const char *const *paths;          /* [count] */
	uint64_t count;
	struct sources *sources;           /* each file becomes one of them, in order */
	const struct headers_cache *cache; /* NULL without one */

	/* Takes a file. Calls come in the order of the files and one at a time, from any thread. */
	int (*take)(void *arg, const struct headers_file *file, struct error *err);

	/* What becomes of the error of one file, its own or of take: 0 goes on without it. NULL: it is the end of all. */
	int (*failed)(void *arg, int code, const struct error *err);
	void *arg;
	bool quiet; /* show no progress on a terminal */
};

/* Opens and reads all files. 0, or the error of the first file, in their order, that has one; the message begins with its path. */
int headers_read(const struct headers_work *work, struct error *err);

#endif
