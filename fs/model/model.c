/* SPDX-License-Identifier: Apache-2.0 */
/* Life and end of a model. */
#include <malloc.h>
#include <stdlib.h>

#include "fs/model/load.h"

struct model *model_new(void)
{
	struct model *m = calloc(1, sizeof(*m));

	if (!m)
		return NULL;
	m->arena = arena_new();
	m->sources = source_list_new();
	m->problems = problem_list_new();
	m->tensors = tensors_new();
	if (m->arena && m->sources && m->problems && m->tensors)
		return m;
	model_free(m);
	return NULL;
}

void model_free(struct model *m)
{
	if (!m)
		return;
	cache_free(m->cache);
	tensors_free(m->tensors);
	problem_list_free(m->problems);
	source_list_free(m->sources);
	arena_free(m->arena);
	load_base_free(m->base);
	free(m);
	malloc_trim(0); /* the heap keeps what is freed (main.c), and nobody wants it soon */
}
