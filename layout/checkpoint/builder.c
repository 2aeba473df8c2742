/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "layout/checkpoint/builder.h"

static bool has_prefix(const char *name, const char *prefix)
{
	return strncmp(name, prefix, strlen(prefix)) == 0;
}

const char *builder_dropped(const struct checkpoint_builder *b, const char *name)
{
	for (uint64_t i = 0; i < b->options.filter_count; i++)
		if (has_prefix(name, b->options.filter[i]))
			return "dropped by -o filter";
	return has_prefix(name, "accu_grads") ? "a gradient accumulator belongs to no model" : NULL;
}

int builder_note(struct checkpoint_builder *b, const char *name, const char *why)
{
	return pairs_add(&b->notes, name, why);
}
