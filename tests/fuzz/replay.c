/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs a fuzz target without libFuzzer: over the files of a corpus, whole, and over as many damaged copies of each as are asked
 * for, the same on every run. usage: fuzz_NAME CORPUS [COPIES]
 */
#include <dirent.h>
#include <libgen.h>
#include <string.h>

#include "tests/fuzz/fuzz.h"

struct input {
	uint8_t *ptr; /* malloc'ed, of exactly this size: a read past the end is a read past the allocation */
	size_t len;
};

static struct input copy_of(const uint8_t *ptr, size_t len)
{
	struct input copy = { malloc(len + !len), len };

	if (len)
		memcpy(copy.ptr, ptr, len);
	return copy;
}

static void run(struct input input)
{
	LLVMFuzzerTestOneInput(input.ptr, input.len);
	free(input.ptr);
}

static size_t draw(uint64_t *seed, size_t below)
{
	*seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (size_t)((*seed >> 33) % below);
}

/* A copy with up to four bytes changed, and often cut off, or with a part of it moved. */
static struct input damaged(struct input good, uint64_t *seed)
{
	struct input bad = copy_of(good.ptr, good.len - (draw(seed, 3) == 0 ? draw(seed, good.len) : 0));

	for (size_t n = draw(seed, 5); n > 0; n--)
		bad.ptr[draw(seed, bad.len)] = draw(seed, 2) ? (uint8_t)draw(seed, 256) : good.ptr[draw(seed, good.len)];
	if (draw(seed, 4) == 0) {
		size_t from = draw(seed, bad.len), to = draw(seed, bad.len), most = bad.len - (from > to ? from : to);

		memmove(bad.ptr + to, bad.ptr + from, draw(seed, most + 1));
	}
	return bad;
}

static int run_file(const char *path, unsigned long copies)
{
	static uint8_t buf[1 << 20];
	FILE *in = fopen(path, "rb");
	struct input good;
	uint64_t seed = 1;

	if (!in)
		return -1;
	good = copy_of(buf, fread(buf, 1, sizeof(buf), in));
	if (!feof(in) || ferror(in))
		return -1;
	fclose(in);
	run(copy_of(good.ptr, good.len));
	for (unsigned long i = 0; good.len && i < copies; i++)
		run(damaged(good, &seed));
	free(good.ptr);
	return 0;
}

int main(int argc, char **argv)
{
	unsigned long files = 0, copies = argc > 2 ? strtoul(argv[2], NULL, 10) : 0;
	DIR *dir = argc > 1 ? opendir(argv[1]) : NULL;
	char path[4096];

	for (struct dirent *d; dir && (d = readdir(dir));) {
		if (d->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", argv[1], d->d_name);
		if (run_file(path, copies) < 0) {
			printf("FAIL %s: %s cannot be read, or has 1 MiB or more\n", basename(argv[0]), path);
			return 1;
		}
		files++;
	}
	if (dir)
		closedir(dir);
	printf(files ? "ok   %s: %lu inputs, %lu damaged copies of each\n" : "FAIL %s: no inputs\n", basename(argv[0]), files, copies);
	return files ? 0 : 1;
}
