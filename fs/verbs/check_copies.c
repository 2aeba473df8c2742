/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Comparing the copies of a block by what their chunks hashed to. Copies that are equal form a party; the largest is taken for the right
 * one (of two as large, that of the lowest rank), and every other one is a finding, for which the two are read once more to find the
 * first element that differs.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "fs/verbs/checking.h"
#include "layout/checkpoint/describe.h"
#include "layout/values/values.h"

#define NO_PARTY UINT64_MAX

/* The chunk, counted from the copy's first, in which two copies first differ; the number of their chunks when they are equal. */
static uint64_t differs_at(const struct check *c, uint64_t a, uint64_t b)
{
	const struct replica *list = c->replicas.list;
	uint64_t count = list[a + 1].first_chunk - list[a].first_chunk, i = 0;

	while (i < count && fingerprint_equal(c->hash[list[a].first_chunk + i], c->hash[list[b].first_chunk + i]))
		i++;
	return i;
}

static bool is_equal(const struct check *c, uint64_t a, uint64_t b)
{
	return differs_at(c, a, b) == c->replicas.list[a + 1].first_chunk - c->replicas.list[a].first_chunk;
}

/*
 * Gives each copy of [first, end) its party: the place of the first copy that it is equal to. Those that could not be read have none.
 * There are as good as always one or two parties, so each copy is compared with few.
 */
static void find_parties(const struct check *c, uint64_t first, uint64_t end, uint64_t *party)
{
	for (uint64_t i = first; i < end; i++) {
		party[i - first] = NO_PARTY;
		if (atomic_load(&c->unread[i]))
			continue;
		party[i - first] = i;
		for (uint64_t j = first; j < i; j++)
			if (party[j - first] == j && is_equal(c, i, j)) {
				party[i - first] = j;
				break;
			}
	}
}

/* The ranks of a party; their number goes into *count. */
static const uint32_t *ranks_of(struct check *c, uint64_t first, uint64_t end, const uint64_t *party, uint64_t of, uint32_t *count)
{
	uint32_t *ranks = arena_alloc(c->arena, end - first, sizeof(*ranks));

	*count = 0;
	c->findings.failed |= !ranks;
	for (uint64_t i = first; ranks && i < end; i++)
		if (party[i - first] == of)
			ranks[(*count)++] = c->replicas.list[i].copy.rank;
	return ranks;
}

static uint64_t largest(uint64_t first, uint64_t end, const uint64_t *party)
{
	uint64_t best = NO_PARTY, most = 0;

	for (uint64_t i = first; i < end; i++) {
		uint64_t n = 0;

		for (uint64_t j = i; party[i - first] == i && j < end; j++)
			n += party[j - first] == i;
		if (n > most) {
			most = n;
			best = i;
		}
	}
	return best;
}

/* The first element that differs, and how either copy has it. */
struct difference {
	uint64_t *index; /* [axes] in the arena */
	char a[VALUES_TEXT], b[VALUES_TEXT];
};

static void show_element(enum dtype dtype, const uint8_t *chunk, uint64_t element, char *out)
{
	uint64_t group = element / 8 * 8; /* begins on a whole byte, whatever the type */

	values_text(dtype, chunk + group * dtype_bits(dtype) / 8, element - group, out);
}

/* Reads the chunk of both copies in which they differ. False when that cannot be done any more. */
static bool find_difference(struct check *c, uint64_t a, uint64_t b, struct difference *d)
{
	const struct replica *list = c->replicas.list;
	uint64_t at = differs_at(c, a, b), element;
	const struct replica_chunk *x = &c->replicas.chunks[list[a].first_chunk + at], *y = &c->replicas.chunks[list[b].first_chunk + at];
	enum dtype dtype = list[a].tensor->dtype;
	uint8_t *both = malloc(2 * (size_t)x->len);
	struct error err;
	bool found = both && source_read(&c->model->sources->list[x->source], x->address, both, x->len, &err) == 0 &&
		     source_read(&c->model->sources->list[y->source], y->address, both + x->len, x->len, &err) == 0;

	element = found ? replicas_difference(dtype, both, both + x->len, x->len) : UINT64_MAX;
	d->index = arena_alloc(c->arena, list[a].tensor->axes, sizeof(*d->index));
	found = element != UINT64_MAX && d->index;
	if (found) {
		show_element(dtype, both, element, d->a);
		show_element(dtype, both + x->len, element, d->b);
		replicas_index(&list[a], x->at * 8 / dtype_bits(dtype) + element, d->index);
	}
	free(both);
	return found;
}

static void add_ranks(struct text *out, const uint32_t *ranks, uint32_t count)
{
	text_add(out, count == 1 ? "rank " : "ranks ");
	describe_rank_list(out, ranks, count);
}

/* One party that is not the right one. */
static void tell_party(struct check *c, uint64_t first, uint64_t end, const uint64_t *party, uint64_t wrong, uint64_t right)
{
	const struct replica *r = &c->replicas.list[wrong];
	struct difference d = { NULL, "", "" };
	struct text text = TEXT_EMPTY;
	uint32_t count, others;
	const uint32_t *ranks = ranks_of(c, first, end, party, wrong, &count), *right_ranks = ranks_of(c, first, end, party, right, &others);
	bool found = find_difference(c, wrong, right, &d);
	struct finding *f;

	text_add(&text, "tensor \"%s\": ", r->tensor->name);
	if (ranks && right_ranks) {
		add_ranks(&text, ranks, count);
		text_add(&text, count == 1 ? " differs from " : " differ from ");
		add_ranks(&text, right_ranks, others);
	}
	if (r->copy.grid->blocks > 1)
		text_add(&text, " in block %u of %u", r->copy.block, r->copy.grid->blocks);
	if (found) {
		text_add(&text, ", first at ");
		describe_numbers(&text, d.index, r->tensor->axes);
		text_add(&text, ": %s instead of %s", d.a, d.b);
	}
	c->findings.failed |= text.failed;
	f = findings_add(&c->findings, r->outside ? FINDINGS_OUTSIDE : FINDINGS_REPLICA, !r->outside, "%s", text.ptr ? text.ptr : "");
	text_free(&text);
	f->tensor = r->tensor->name;
	f->ranks = ranks;
	f->rank_count = count;
	f->index = found ? d.index : NULL;
	f->axes = r->tensor->axes;
}

static void compare_group(struct check *c, uint64_t first, uint64_t end)
{
	uint64_t *party = malloc((end - first) * sizeof(*party)), right;

	c->findings.failed |= !party;
	if (!party)
		return;
	find_parties(c, first, end, party);
	right = largest(first, end, party);
	for (uint64_t i = first; i < end; i++)
		if (party[i - first] == i && i != right)
			tell_party(c, first, end, party, i, right);
	free(party);
	c->compared++;
}

void check_copies(struct check *c)
{
	for (uint64_t i = 0, end; i < c->replicas.count; i = end) {
		end = replicas_group_end(&c->replicas, i);
		if (end - i > 1)
			compare_group(c, i, end);
	}
}

/* What the served copy of a block has of what is not finite. */
static void add_values(const struct check *c, uint64_t replica, struct finite *all, const struct replica **first)
{
	const struct replica *r = &c->replicas.list[replica];

	for (uint64_t i = r->first_chunk; r->copy.serves && i < r[1].first_chunk; i++) {
		const struct finite *v = &c->values[i];

		if (v->nan + v->infinite == 0)
			continue;
		if (!*first) {
			*first = r;
			all->first = c->replicas.chunks[i].at * 8 / dtype_bits(r->tensor->dtype) + v->first;
		}
		all->nan += v->nan;
		all->infinite += v->infinite;
	}
}

static void tell_values(struct check *c, const struct finite *v, const struct replica *first)
{
	const struct tensor *t = first->tensor;
	uint64_t *index = arena_alloc(c->arena, t->axes, sizeof(*index));
	struct text where = TEXT_EMPTY;
	struct finding *f;

	c->findings.failed |= !index;
	if (!index)
		return;
	replicas_index(first, v->first, index);
	describe_numbers(&where, index, t->axes);
	f = findings_add(&c->findings, FINDINGS_VALUE, true, "tensor \"%s\": %" PRIu64 " NaN and %" PRIu64 " infinite of %" PRIu64
			 " elements, one at %s", t->name, v->nan, v->infinite, describe_elements(t), where.ptr ? where.ptr : "[]");
	c->findings.failed |= where.failed;
	text_free(&where);
	f->tensor = t->name;
	f->index = index;
	f->axes = t->axes;
}

void check_values(struct check *c)
{
	const struct replica *list = c->replicas.list;

	for (uint64_t i = 0; c->values && i < c->replicas.count;) {
		const struct tensor *t = list[i].tensor;
		const struct replica *first = NULL;
		struct finite all = { 0 };

		for (; i < c->replicas.count && list[i].tensor == t; i++)
			add_values(c, i, &all, &first);
		if (first)
			tell_values(c, &all, first);
	}
}
