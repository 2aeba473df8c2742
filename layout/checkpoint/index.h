/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An index remembers what the headers of many source files say, so that who opens the same files again need not read and parse them.
 * Files are known by a path, a size and an mtime, and unless the index is shared between hosts by device, inode and ctime too. Each
 * distinct header is kept once, however many ranks have it, and each distinct name and shape once for all headers. Headers of .safetensors
 * files that differ in nothing but the metadata, as a checksum of each file makes them differ, share their entries too.
 *
 * The format is the memory: sections of fixed-width numbers and of NUL-terminated strings, one behind the other in the order of enum
 * index_section, each from a multiple of 8 bytes on. Numbers are in the machine's own order; the magic number tells when that was
 * another machine's. A sum (XXH3-128) over what follows it tells of torn writes. It does not tell of malice: who can write an index
 * can say that two tensors of one shape lie in each other's place, and only a look at the headers themselves (gatherfs check) finds
 * that. But an index is input like any other, and nothing in it leads anywhere that a header in its place could not.
 *
 * Invariants of an index, all established by index_parse(): sections fill the file exactly; names are unique, valid UTF-8, without
 * NUL; paths are unique and ascending; each file has the size that its header is of; each header keeps what safetensors.h, or for a
 * .ckpt file ckpt.h (but the checksum, which is not kept), promises.
 */
#ifndef LAYOUT_INDEX_H
#define LAYOUT_INDEX_H

#include "layout/formats/ckpt.h"

#define INDEX_MAGIC UINT64_C(0x315844495346470a) /* "\nGFSIDX1" on little-endian machines */
#define INDEX_VERSION 2

enum index_section {
	INDEX_WORDS,      /* uint64_t: the shapes, elements */
	INDEX_ENTRIES,    /* struct index_entry, header by header */
	INDEX_SPLICES,    /* struct ckpt_splice, likewise */
	INDEX_PAIRS,      /* struct index_pair, likewise: the metadata, then what is left out */
	INDEX_HEADERS,    /* struct index_header */
	INDEX_FILES,      /* struct index_file, by path */
	INDEX_NAME_ENDS,  /* uint32_t: where in INDEX_NAME_BYTES each name ends, behind its NUL */
	INDEX_PATH_ENDS,  /* uint32_t: likewise the path of each file */
	INDEX_NAME_BYTES, /* the names of tensors, keys and values, ascending */
	INDEX_PATH_BYTES,
	INDEX_SECTIONS
};

struct index_head {
	uint64_t magic;
	uint64_t sum_low, sum_high;     /* of all that follows */
	uint32_t version;
	uint32_t shared;                /* 1: devices, inodes and ctimes are 0, and mean nothing */
	uint64_t count[INDEX_SECTIONS]; /* elements of each section */
};

struct index_entry {
	uint64_t name;       /* its number */
	uint64_t shape;      /* number of the first of `axes` words */
	uint64_t begin, end; /* bytes, as in struct safetensors_entry */
	uint32_t axes, dtype;
};

struct index_pair {
	uint64_t key, value; /* numbers of names */
};

struct index_header {
	uint64_t file_size, data_start; /* bytes */
	uint32_t ckpt;                  /* 1: of a .ckpt file */
	uint32_t first_entry, entries;
	uint32_t first_pair, meta, left_out;
	uint32_t first_splice, splices;
	uint32_t like;                  /* number of the first header with these entries: its own, or that of an earlier one, which has them */
	uint32_t zero;
};

struct index_file {
	uint64_t dev, ino;
	uint64_t size;                    /* bytes */
	int64_t seconds, changed_seconds; /* of the mtime and of the ctime */
	uint32_t nanos, changed_nanos;    /* likewise */
	uint32_t header;                  /* number of its header */
	uint32_t zero;
};

/* An index that was read; it points into the bytes. */
struct index {
	bool shared;
	uint64_t count[INDEX_SECTIONS];
	void *at[INDEX_SECTIONS];
	const struct ckpt *headers; /* [count[INDEX_HEADERS]] as they were parsed, but without checksums; .safetensors: only `st` */
};

/*
 * Reads and checks an index of `len` bytes at `file`, which is aligned to 8 bytes, belongs to *out from now on and lives as long: to
 * make neither copies nor look-ups necessary, numbers of names and shapes become pointers in their places. The rest of *out lives in
 * `arena`. -EINVAL for what is no index, one of another version or order of bytes, a torn one, or one that lies; or -ENOMEM.
 */
int index_parse(uint8_t *file, uint64_t len, struct arena *arena, struct index *out, struct error *err);

/* The file called `path`, or NULL. */
const struct index_file *index_find(const struct index *index, const char *path);

/* The header of a file, and whether it is that of a .ckpt file. */
const struct ckpt *index_header(const struct index *index, const struct index_file *file, bool *is_ckpt);

/* A number that files have in common whose headers have the same entries, each with the same offsets from data_start; below 2^32. */
uint64_t index_entries(const struct index *index, const struct index_file *file);

/* 0 when `index` says what `file`, read from the file itself, says; else -EINVAL and what is different. */
int index_differs(const struct ckpt *index, const struct ckpt *file, struct error *err);

/* The path of file `number`. */
const char *index_path(const struct index *index, uint64_t number);

#endif
