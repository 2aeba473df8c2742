/* SPDX-License-Identifier: Apache-2.0 */
/* Headers come in the order of the files, equal ones once, and the first file that is wrong is the one that is told of, whoever reads. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fs/source/headers.h"

#define FILES 300
#define KINDS 3
#define HEADER "{\"t%d\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]}}"
#define SIZE (8 + sizeof(HEADER) - 2 + 4) /* of a file: the number has one digit for two characters, and there is a NUL */

/* Files whose header is one of KINDS; `taken` are those that were handed on. */
struct world {
	char folder[64], text[FILES][96];
	const char *path[FILES];
	struct sources *sources;
	uint64_t taken[FILES], ids[FILES], entries[FILES], names[FILES];
	uint64_t count, refuse, failures, learned, found;
	char first_failure[sizeof(struct error)];
	struct ckpt known;
};

static void put(const char *path, const char *json, int extra)
{
	uint64_t len = strlen(json);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	cr_assert(write(fd, &len, 8) == 8 && write(fd, json, len) == (ssize_t)len && ftruncate(fd, (off_t)(8 + len) + extra) == 0);
	close(fd);
}

static void make(struct world *w)
{
	char folder[] = "/tmp/gatherfs-headers-XXXXXX";

	cr_assert(mkdtemp(folder));
	memset(w, 0, sizeof(*w));
	strcpy(w->folder, folder);
	w->sources = source_list_new();
	w->refuse = FILES;
	for (int i = 0; i < FILES; i++) {
		char json[128];

		snprintf(w->text[i], sizeof(w->text[i]), "%s/%d.safetensors", folder, i);
		w->path[i] = w->text[i];
		snprintf(json, sizeof(json), HEADER, i % KINDS);
		put(w->path[i], json, 4);
	}
}

static void end(struct world *w)
{
	for (int i = 0; i < FILES; i++)
		unlink(w->path[i]);
	rmdir(w->folder);
	source_list_free(w->sources);
}

static int take(void *arg, const struct headers_file *file, struct error *err)
{
	struct world *w = arg;

	if (file->index == w->refuse)
		return error_set(err, -EDOM, "no thanks");
	cr_assert_eq(file->content->st.count, 1);
	cr_assert_str_eq(w->sources->list[file->source].path, w->path[file->index]);
	w->ids[w->count] = file->id;
	w->entries[w->count] = file->entries;
	w->names[w->count] = (uint64_t)(file->content->st.entries[0].name[1] - '0');
	w->taken[w->count++] = file->index;
	return 0;
}

static int failed(void *arg, int code, const struct error *err)
{
	struct world *w = arg;

	(void)code;
	if (w->failures++ == 0)
		snprintf(w->first_failure, sizeof(w->first_failure), "%s", err->msg);
	return 0;
}

static int read_all(struct world *w, bool forgiving, const struct headers_cache *cache, struct error *err)
{
	const struct headers_work work = { .paths = w->path, .count = FILES, .sources = w->sources, .cache = cache, .take = take,
					   .failed = forgiving ? failed : NULL, .arg = w };

	return headers_read(&work, err);
}

Test(headers, in_order_and_shared)
{
	struct world w;
	struct error err;

	make(&w);
	cr_assert_eq(read_all(&w, false, NULL, &err), 0, "%s", err.msg);
	cr_assert_eq(w.count, FILES);
	for (uint64_t i = 0; i < FILES; i++)
		cr_assert(w.taken[i] == i && w.names[i] == i % KINDS && w.ids[i] == 1 + i % KINDS, "%llu", (unsigned long long)i);
	end(&w);
}

/* The size of the file belongs to a header: what is right for one file is wrong for a longer one. */
Test(headers, same_bytes_of_another_size)
{
	struct world w;
	struct error err;

	make(&w);
	cr_assert_eq(truncate(w.path[200], SIZE + 1), 0);
	cr_assert_eq(read_all(&w, false, NULL, &err), -EINVAL);
	cr_assert(strstr(err.msg, "/200.safetensors: the tensors end at byte 4"), "%s", err.msg);
	cr_assert_eq(w.count, 200);
	end(&w);
}

/* Of several errors the first, in the order of the files, whatever its kind; and nothing behind it is handed on. */
Test(headers, first_error_wins)
{
	for (int round = 0; round < 20; round++) {
		struct world w;
		struct error err;

		make(&w);
		put(w.path[130], "[]", 0);
		unlink(w.path[131]);
		put(w.path[132], "{", 0);
		if (round % 2)
			w.refuse = 129;
		cr_assert_eq(read_all(&w, false, NULL, &err), round % 2 ? -EDOM : -EINVAL);
		cr_assert(strstr(err.msg, round % 2 ? "no thanks" : "/130.safetensors: header: "), "%s", err.msg);
		cr_assert_eq(w.count, round % 2 ? 129 : 130);
		end(&w);
	}
}

Test(headers, errors_that_are_forgiven)
{
	struct world w;
	struct error err;

	make(&w);
	put(w.path[7], "[]", 0);
	put(w.path[8], "[]", 0); /* shares what is wrong, not the path */
	unlink(w.path[9]);
	w.refuse = 11;
	cr_assert_eq(read_all(&w, true, NULL, &err), 0, "%s", err.msg);
	cr_assert_eq(w.count, FILES - 4);
	cr_assert_eq(w.failures, 4);
	cr_assert(strstr(w.first_failure, "/7.safetensors: header: "), "%s", w.first_failure);
	cr_assert_eq(w.taken[7], 10);
	end(&w);
}

/* Knows every third file, by its path: those of kind 0. */
static const struct ckpt *find(void *arg, const char *path, const struct source_stamp *stamp, uint64_t *entries)
{
	struct world *w = arg;
	int number = atoi(strrchr(path, '/') + 1);

	cr_assert_eq(stamp->size, SIZE);
	if (number % KINDS)
		return NULL;
	__atomic_add_fetch(&w->found, 1, __ATOMIC_RELAXED);
	*entries = 1; /* what was read has the same number, and must not be taken for this */
	return &w->known;
}

static void learn(void *arg, const char *path, const struct source_stamp *stamp, const struct ckpt *content, uint64_t id)
{
	struct world *w = arg;

	cr_assert(stamp->size && id == w->ids[w->learned] && strcmp(path, w->path[w->learned]) == 0);
	cr_assert_eq(content == &w->known, w->learned % KINDS == 0);
	w->learned++;
}

Test(headers, cache_is_asked_and_told)
{
	static const struct safetensors_entry entry = { .name = "t0", .end = 4 };
	struct world w;
	const struct headers_cache cache = { .find = find, .learn = learn, .arg = &w };
	struct error err;

	make(&w);
	w.known.st = (struct safetensors){ .entries = &entry, .count = 1 };
	for (int i = 0; i < FILES; i += KINDS) {
		int fd = open(w.path[i], O_WRONLY); /* a header that is known is not read */

		cr_assert_eq(pwrite(fd, "garbage garbage ", 16, 0), 16);
		close(fd);
	}
	cr_assert_eq(read_all(&w, false, &cache, &err), 0, "%s", err.msg);
	cr_assert(w.count == FILES && w.learned == FILES && w.found == FILES / KINDS);
	for (uint64_t i = 0; i < FILES; i++)
		cr_assert_eq(w.ids[i], 1 + i % KINDS);
	for (uint64_t i = 1; i < FILES; i++)
		cr_assert(i % KINDS ? w.entries[i] == w.ids[i] && w.entries[i] != w.entries[0] : w.entries[i] == w.entries[0]);
	end(&w);
}
