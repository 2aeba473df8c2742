/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A whole small checkpoint out of any bytes: each choice takes a byte, and an input that ends goes on with zeros. And what is right
 * of it, said element by element: where an element of a rank's slice lies in the whole, by coordinates of devices and by counting the
 * ranks that hold the same; nothing here is shared with layout/, which numbers blocks.
 */
#ifndef TESTS_FUZZ_TINY_H
#define TESTS_FUZZ_TINY_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define TINY_AXES 3    /* of a device matrix, and of a tensor */
#define TINY_MOST 4    /* tensors */
#define TINY_STAGES 2
#define TINY_DEVICES 27
#define TINY_TEXT 40   /* a device matrix or a tensor map as text */

struct tiny_input {
	const uint8_t *ptr;
	size_t left;
};

struct tiny_mesh {
	uint32_t axes, dim[TINY_AXES], devices;
};

/* How one tensor is cut over a mesh. */
struct tiny_cut {
	const struct tiny_mesh *mesh;
	uint32_t axes;                            /* of the tensor */
	uint32_t used[TINY_AXES], by[TINY_AXES][TINY_AXES]; /* axis a is cut by mesh axes by[a][0 .. used[a]), most significant first */
	uint32_t parts[TINY_AXES], shards;        /* shards: of axis 0 once more */
	int32_t opt_size;                         /* as the strategy says it */
	bool nested;
	char matrix[TINY_TEXT], map[TINY_TEXT];   /* as wire.h takes them */
};

struct tiny_tensor {
	char name[8];
	uint32_t axes, width;      /* width: bytes of an element */
	uint64_t full[TINY_AXES];
	uint32_t stages;           /* a bit for each that has it */
	uint64_t gone[TINY_STAGES]; /* local ranks whose files lack it, a bit each */
	struct tiny_cut source, target;
};

struct tiny {
	struct tiny_mesh mesh, target;
	uint32_t stages, count;
	struct tiny_tensor tensor[TINY_MOST];
	uint64_t part_size;
	bool hf;
};

/* A number under `below` (at most 256). */
static inline uint32_t tiny_take(struct tiny_input *in, uint32_t below)
{
	uint32_t v = in->left ? *in->ptr : 0;

	in->ptr += in->left > 0;
	in->left -= in->left > 0;
	return v % below;
}

static inline void tiny_take_mesh(struct tiny_input *in, struct tiny_mesh *m)
{
	m->axes = 1 + tiny_take(in, TINY_AXES);
	m->devices = 1;
	for (uint32_t d = 0; d < m->axes; d++)
		m->devices *= m->dim[d] = 1 + tiny_take(in, 3);
}

/* Which mesh axes cut which axes of the tensor. */
static inline void tiny_take_uses(struct tiny_input *in, struct tiny_cut *c)
{
	for (uint32_t d = 0; d < c->mesh->axes; d++) {
		uint32_t a = tiny_take(in, c->axes + 1);

		if (a < c->axes)
			c->by[a][c->used[a]++] = d;
	}
	for (uint32_t a = 0; a < c->axes; a++) { /* the order of the digits is the file's to say */
		if (c->used[a] > 1 && tiny_take(in, 2)) {
			uint32_t first = c->by[a][0];

			c->by[a][0] = c->by[a][1];
			c->by[a][1] = first;
		}
		c->parts[a] = 1;
		for (uint32_t i = 0; i < c->used[a]; i++)
			c->parts[a] *= c->mesh->dim[c->by[a][i]];
		c->nested |= c->used[a] > 1;
	}
}

static inline void tiny_take_shards(struct tiny_input *in, struct tiny_cut *c)
{
	uint32_t replicas = c->mesh->devices, size = tiny_take(in, 10);

	for (uint32_t a = 0; a < c->axes; a++)
		replicas /= c->parts[a];
	c->shards = 1;
	c->opt_size = 0;
	if (c->axes == 0 || size == 0)
		return;
	c->shards = size < replicas && replicas % size == 0 ? size : replicas;
	c->opt_size = size == 9 ? -1 : (int32_t)c->shards;
	c->shards = size == 9 ? replicas : c->shards;
}

static inline void tiny_write_texts(struct tiny_cut *c)
{
	char *out = c->matrix;

	for (uint32_t d = 0; d < c->mesh->axes; d++)
		out += sprintf(out, d ? ",%u" : "%u", c->mesh->dim[d]);
	out = c->map;
	for (uint32_t a = 0; a < c->axes; a++) {
		out += sprintf(out, "%s", a == 0 ? "" : c->nested ? ";" : ",");
		for (uint32_t i = 0; i < c->used[a]; i++)
			out += sprintf(out, i ? ",%u" : "%u", c->mesh->axes - 1 - c->by[a][i]);
		out += sprintf(out, "%s", c->used[a] ? "" : "-1");
	}
	sprintf(out, "%s", c->nested && c->axes == 1 ? ";" : "");
}

static inline void tiny_take_cut(struct tiny_input *in, const struct tiny_mesh *mesh, uint32_t axes, struct tiny_cut *c)
{
	c->mesh = mesh;
	c->axes = axes;
	tiny_take_uses(in, c);
	c->nested |= axes > 0 && tiny_take(in, 4) == 3;
	tiny_take_shards(in, c);
	tiny_write_texts(c);
}

static inline void tiny_take_tensor(struct tiny_input *in, const struct tiny *m, struct tiny_tensor *t)
{
	sprintf(t->name, "t%d.w", (int)(t - m->tensor));
	t->axes = tiny_take(in, TINY_AXES + 1);
	t->width = 1u << tiny_take(in, 4);
	tiny_take_cut(in, &m->mesh, t->axes, &t->source);
	tiny_take_cut(in, &m->target, t->axes, &t->target);
	for (uint32_t a = 0; a < t->axes; a++) /* a multiple of the source's parts, often one of the target's too */
		t->full[a] = (uint64_t)t->source.parts[a] * (a ? 1 : t->source.shards) * tiny_take(in, 7);
	t->stages = t == m->tensor ? (1u << m->stages) - 1 : 1 + tiny_take(in, (1u << m->stages) - 1); /* no stage is without any */
	for (uint32_t s = 0; s < m->stages; s++)
		for (uint32_t n = tiny_take(in, 5); n > 2; n--)
			t->gone[s] |= UINT64_C(1) << tiny_take(in, m->mesh.devices);
}

static inline void tiny_read(struct tiny_input *in, struct tiny *m)
{
	*m = (struct tiny){ .stages = 1 + tiny_take(in, TINY_STAGES), .count = 1 + tiny_take(in, TINY_MOST), .hf = tiny_take(in, 2) };
	m->part_size = 1 + tiny_take(in, 256);
	tiny_take_mesh(in, &m->mesh);
	tiny_take_mesh(in, &m->target);
	for (uint32_t i = 0; i < m->count; i++)
		tiny_take_tensor(in, m, &m->tensor[i]);
}

static inline bool tiny_has(const struct tiny_tensor *t, uint32_t stage, uint32_t local)
{
	return (t->stages >> stage & 1) && !(t->gone[stage] >> local & 1);
}

/* The part of axis `a` that a device has before the optimizer's cut. */
static inline uint32_t tiny_part(const struct tiny_cut *c, uint32_t local, uint32_t a)
{
	uint32_t at[TINY_AXES], part = 0;

	for (uint32_t d = c->mesh->axes; d-- > 0; local /= c->mesh->dim[d])
		at[d] = local % c->mesh->dim[d];
	for (uint32_t i = 0; i < c->used[a]; i++)
		part = part * c->mesh->dim[c->by[a][i]] + at[c->by[a][i]];
	return part;
}

/* How many devices before this one have the same parts. */
static inline uint32_t tiny_replica(const struct tiny_cut *c, uint32_t local)
{
	uint32_t before = 0;

	for (uint32_t other = 0; other < local; other++) {
		bool same = true;

		for (uint32_t a = 0; a < c->axes; a++)
			same = same && tiny_part(c, other, a) == tiny_part(c, local, a);
		before += same;
	}
	return before;
}

/* Elements of a slice along axis `a`. */
static inline uint64_t tiny_width(const struct tiny_tensor *t, const struct tiny_cut *c, uint32_t a)
{
	return t->full[a] / c->parts[a] / (a ? 1 : c->shards);
}

static inline uint64_t tiny_elements(const struct tiny_tensor *t)
{
	uint64_t n = 1;

	for (uint32_t a = 0; a < t->axes; a++)
		n *= t->full[a];
	return n;
}

/* Whether every part of the tensor is a whole number of elements. */
static inline bool tiny_divides(const struct tiny_tensor *t, const struct tiny_cut *c)
{
	for (uint32_t a = 0; a < t->axes; a++)
		if (t->full[a] % (c->parts[a] * (a ? 1 : c->shards)))
			return false;
	return true;
}

/* Where a device's slice lies in the whole; `c` NULL: it is the whole. */
struct tiny_slice {
	uint32_t axes;
	uint64_t start[TINY_AXES], count[TINY_AXES], stride[TINY_AXES], elements;
};

static inline struct tiny_slice tiny_slice_of(const struct tiny_tensor *t, const struct tiny_cut *c, uint32_t local)
{
	struct tiny_slice s = { .axes = t->axes, .elements = 1 };
	uint64_t stride = 1;

	for (uint32_t a = t->axes; a-- > 0; stride *= t->full[a]) {
		uint64_t part = c ? tiny_part(c, local, a) : 0;

		if (c && a == 0)
			part = part * c->shards + tiny_replica(c, local) % c->shards;
		s.count[a] = c ? tiny_width(t, c, a) : t->full[a];
		s.start[a] = part * s.count[a];
		s.stride[a] = stride;
		s.elements *= s.count[a];
	}
	return s;
}

/* Which element of the whole is element `i` of the slice. */
static inline uint64_t tiny_global(const struct tiny_slice *s, uint64_t i)
{
	uint64_t at = 0;

	for (uint32_t a = s->axes; a-- > 0; i /= s->count[a])
		at += (s->start[a] + i % s->count[a]) * s->stride[a];
	return at;
}

/* Byte `b` of an element of the whole. */
static inline uint8_t tiny_byte(const struct tiny_tensor *t, uint64_t element, uint32_t b)
{
	uint64_t h = (element * 8 + b + (uint64_t)t->name[1] * 1000003) * UINT64_C(0x9E3779B97F4A7C15);

	return (uint8_t)(h >> 32);
}

/* Whether the ranks of a stage that have the tensor have all of it. */
static inline bool tiny_covers(const struct tiny_tensor *t, uint32_t stage)
{
	bool seen[7 * 7 * 7 * TINY_DEVICES] = { false };
	uint64_t found = 0;

	for (uint32_t r = 0; r < t->source.mesh->devices; r++) {
		struct tiny_slice s = tiny_slice_of(t, &t->source, r);

		for (uint64_t i = 0; tiny_has(t, stage, r) && i < s.elements; i++) {
			uint64_t at = tiny_global(&s, i);

			found += !seen[at];
			seen[at] = true;
		}
	}
	return found == tiny_elements(t);
}

#endif
