/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A hash table with chains, and a queue from the newest header to the oldest. Who finds a header that another thread is still
 * parsing waits for it. A key is never empty for a header that was read; a header that somebody else knows has its address as key.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "fs/source/header.h"
#include "fs/source/shared.h"

#define BUCKETS 4096

struct one {
	struct shared_header header; /* first: it is what users have */
	struct one *chain;           /* of one bucket */
	struct one *older, *newer;
	struct arena *arena;         /* of key and content; NULL for what somebody else keeps */
	struct bytes key;
	uint64_t file_size;
	XXH128_hash_t hash;
	struct ckpt content;
	uint32_t users;
	bool ready;                  /* protected by lock, as all that is linked */
	int code;                    /* of a header that is refused ... */
	const char *why;             /* ... and the reason */
};

struct shared {
	pthread_mutex_t lock;
	pthread_cond_t parsed;
	struct one *bucket[BUCKETS];
	struct one *newest, *oldest;
	uint64_t bytes;
};

struct shared *shared_new(void)
{
	struct shared *s = calloc(1, sizeof(*s));

	if (s) {
		pthread_mutex_init(&s->lock, NULL);
		pthread_cond_init(&s->parsed, NULL);
	}
	return s;
}

static void free_one(struct one *one)
{
	arena_free(one->arena);
	free(one);
}

void shared_free(struct shared *s)
{
	if (!s)
		return;
	for (struct one *one = s->newest, *older; one; one = older) {
		older = one->older;
		free_one(one);
	}
	pthread_cond_destroy(&s->parsed);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

static struct one **bucket_of(struct shared *s, XXH128_hash_t hash)
{
	return &s->bucket[hash.low64 % BUCKETS];
}

static void link_one(struct shared *s, struct one *one)
{
	struct one **bucket = bucket_of(s, one->hash);

	one->chain = *bucket;
	*bucket = one;
	one->older = s->newest;
	if (s->newest)
		s->newest->newer = one;
	s->newest = one;
	s->oldest = s->oldest ? s->oldest : one;
}

static void unlink_one(struct shared *s, struct one *one)
{
	struct one **at = bucket_of(s, one->hash);

	while (*at != one)
		at = &(*at)->chain;
	*at = one->chain;
	*(one->newer ? &one->newer->older : &s->newest) = one->older;
	*(one->older ? &one->older->newer : &s->oldest) = one->newer;
}

static uint64_t bytes_of(const struct one *one)
{
	return sizeof(*one) + (one->arena ? arena_size(one->arena) : 0);
}

/* Lets old headers go, as long as there are too many bytes. */
static void tidy(struct shared *s)
{
	struct one *newer;

	for (struct one *one = s->oldest; one && s->bytes > SHARED_BYTES; one = newer) {
		newer = one->newer;
		if (one->users || !one->ready)
			continue;
		s->bytes -= bytes_of(one);
		unlink_one(s, one);
		free_one(one);
	}
}

/* The next header of a chain, from `one` on, that is likely the one of *key. */
static struct one *likely(struct one *one, const struct one *key)
{
	while (one && (one->hash.low64 != key->hash.low64 || one->hash.high64 != key->hash.high64 || one->file_size != key->file_size ||
		       one->key.len != key->key.len))
		one = one->chain;
	return one;
}

/*
 * Finds the header with the hash, size and key of *key, waits until it is parsed and holds it; NULL when there is none. Bytes are compared
 * without the lock, which is taken again in any case. Only equal hashes of different bytes make this look at more than one.
 */
static struct one *find(struct shared *s, const struct one *key)
{
	struct one *one = likely(*bucket_of(s, key->hash), key);

	while (one) {
		bool same;

		one->users++;
		pthread_mutex_unlock(&s->lock);
		same = memcmp(one->key.ptr, key->key.ptr, key->key.len) == 0;
		pthread_mutex_lock(&s->lock);
		while (same && !one->ready)
			pthread_cond_wait(&s->parsed, &s->lock);
		if (same)
			break;
		one->users--;
		one = likely(one->chain, key);
	}
	return one;
}

/* A new header with the key of *key, held, and not parsed yet; NULL without memory. */
static struct one *add(struct shared *s, const struct one *key)
{
	struct one *one = calloc(1, sizeof(*one));
	struct arena *arena = arena_new();
	uint8_t *own = arena ? arena_alloc(arena, key->key.len, 1) : NULL;

	if (!one || !own) {
		free(one);
		arena_free(arena);
		return NULL;
	}
	memcpy(own, key->key.ptr, key->key.len);
	*one = (struct one){ .arena = arena, .key = { own, key->key.len }, .file_size = key->file_size, .hash = key->hash, .users = 1 };
	one->header.content = &one->content;
	link_one(s, one);
	return one;
}

/* Tells of a header's end: it is there or refused. */
static void publish(struct shared *s, struct one *one, int code, const struct error *why)
{
	pthread_mutex_lock(&s->lock);
	one->code = code;
	one->why = code < 0 ? arena_strndup(one->arena, why->msg, strlen(why->msg)) : NULL;
	one->ready = true;
	s->bytes += bytes_of(one);
	pthread_cond_broadcast(&s->parsed);
	pthread_mutex_unlock(&s->lock);
}

/* Hands out a held header that is ready, or says what is wrong with it. */
static int hand_out(struct shared *s, struct one *one, const char *path, struct shared_header **out, struct error *err)
{
	int code = one->code;

	if (code == 0)
		*out = &one->header;
	else if (one->why)
		error_set(err, code, "%s: %s", path, one->why);
	else
		error_nomem(err);
	if (code < 0)
		shared_drop(s, &one->header);
	return code;
}

int shared_parse(struct shared *s, const struct source *source, struct bytes json, struct shared_header **out, struct error *err)
{
	struct one key = { .key = json, .file_size = source->stamp.size, .hash = XXH3_128bits(json.ptr, json.len) };
	struct error why = { "" };
	struct one *one;
	bool known;

	pthread_mutex_lock(&s->lock);
	one = find(s, &key);
	known = one;
	if (!one)
		one = add(s, &key);
	pthread_mutex_unlock(&s->lock);
	if (!one)
		return error_nomem(err);
	if (!known)
		publish(s, one, safetensors_parse(one->key, source->stamp.size, one->arena, &one->content.st, &why), &why);
	return hand_out(s, one, source->path, out, err);
}

/* An index is long to compare and quick to make: each is one of its own, under a key that no other has. */
int shared_index(struct shared *s, const struct source *source, struct shared_header **out, struct error *err)
{
	struct one key = { .hash = XXH3_128bits(&source, sizeof(source)), .key = { (const uint8_t *)&source, sizeof(source) } };
	struct one *one;
	int code;

	pthread_mutex_lock(&s->lock);
	one = add(s, &key);
	pthread_mutex_unlock(&s->lock);
	if (!one)
		return error_nomem(err);
	code = header_index(source, one->arena, &one->content, err);
	publish(s, one, code, err);
	if (code == 0)
		*out = &one->header;
	else
		shared_drop(s, &one->header);
	return code;
}

int shared_known(struct shared *s, const struct ckpt *content, struct shared_header **out, struct error *err)
{
	struct one key = { .hash = XXH3_128bits(&content, sizeof(content)), .key = { (const uint8_t *)&content, sizeof(content) },
			   .file_size = UINT64_MAX };
	struct one *one;

	pthread_mutex_lock(&s->lock);
	one = find(s, &key);
	if (!one) {
		one = add(s, &key);
		if (one) {
			one->header.content = content;
			one->ready = true;
			s->bytes += bytes_of(one);
		}
	}
	pthread_mutex_unlock(&s->lock);
	*out = one ? &one->header : NULL;
	return one ? 0 : error_nomem(err);
}

void shared_drop(struct shared *s, struct shared_header *header)
{
	struct one *one = (struct one *)header;

	if (!one)
		return;
	pthread_mutex_lock(&s->lock);
	one->users--;
	tidy(s);
	pthread_mutex_unlock(&s->lock);
}

bool shared_is_full(struct shared *s)
{
	bool full;

	pthread_mutex_lock(&s->lock);
	full = s->bytes > SHARED_BYTES;
	pthread_mutex_unlock(&s->lock);
	return full;
}
