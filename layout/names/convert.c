/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "layout/names/convert.h"
#include "layout/names/fuse.h"
#include "layout/names/marks.h"
#include "layout/names/twins.h"

/* A woven tensor in the making. */
struct instance {
	const struct recipe_line *line;
	const char *name;
	const struct tensor **sources; /* [slots], NULL where one has not come yet */
};

struct convert {
	const struct figures *figures;
	const struct checkpoint *ckpt;
	struct arena *arena;
	struct fuse fuse;
	struct naming_form from, to; /* to: MindSpore's side of it is made */
	struct naming_match *matches; /* [ckpt->count] as what each tensor was recognised in `from` */
	bool to_hf;
	const struct tensor **hf;    /* [hf_count] the tensors by Hugging Face's names, where those are not what is asked for: */
	uint64_t hf_count, room_hf;  /* others are made of them, so each stays where it is */
	struct tensor *out;          /* [out_count] the tensors by the names that are asked for */
	uint64_t out_count, room_out;
	struct names keys;           /* of the instances */
	struct instance *instances;  /* [keys.count] */
	uint64_t room;               /* of instances */
	const struct piece **marks;  /* by the old names */
	struct convert_done *done;
	struct error *err;
};

/* A new tensor of those that are asked for, to be filled before the next; NULL without memory. */
static struct tensor *append(struct convert *c)
{
	struct tensor *out = arena_grow(c->arena, c->out, c->out_count, &c->room_out, sizeof(*out));

	if (!out)
		return NULL;
	c->out = out;
	return &c->out[c->out_count++];
}

/* The same tensor under another name. */
static int add_clone(struct convert *c, const struct tensor *t, const char *name)
{
	struct tensor *clone = name ? append(c) : NULL;

	if (!clone)
		return error_nomem(c->err);
	*clone = *t;
	clone->name = name;
	return 0;
}

/* Takes a tensor by its Hugging Face name as one that others may be made of. */
static int list(struct convert *c, const struct tensor *t)
{
	const struct tensor **hf = arena_grow(c->arena, c->hf, c->hf_count, &c->room_hf, sizeof(*hf));

	if (!hf)
		return error_nomem(c->err);
	c->hf = hf;
	c->hf[c->hf_count++] = t;
	return 0;
}

/* A new tensor by its Hugging Face name; NULL without memory. */
static struct tensor *append_hf(struct convert *c)
{
	struct tensor *t = c->to_hf ? append(c) : arena_alloc(c->arena, 1, sizeof(*t));

	return c->to_hf || (t && list(c, t) == 0) ? t : NULL;
}

static int leave_out(struct convert *c, const struct tensor *t, const char *why)
{
	return pairs_add(&c->done->left_out, t->name, why) < 0 ? error_nomem(c->err) : 0;
}

/* An index that only Hugging Face's name has must have one value, which its name then takes. */
static int take_only_values(struct convert *c, const struct recipe_line *line, const struct pattern *hf, uint64_t *values)
{
	for (uint32_t i = 0; i < hf->count; i++) {
		uint32_t w = hf->index[i];

		if (pattern_has(&line->ms, w) || (line->woven && factors_find(&line->shape, w) != FACTORS_NONE))
			continue;
		if (c->figures->sizes.value[w] != 1)
			return error_set(c->err, -EINVAL, "recipe \"%s\", line %llu: {%s} is in one name only, but has %llu values",
					 c->figures->recipe->family, (unsigned long long)line->number, c->figures->recipe->words.name[w],
					 (unsigned long long)c->figures->sizes.value[w]);
		values[w] = c->figures->first[w];
	}
	return 0;
}

/* One tensor of MindSpore's becomes those that it is made of. */
static int unfuse(struct convert *c, const struct tensor *t, struct naming_found *found)
{
	const struct recipe_line *line = found->line;
	uint64_t slots = line->woven ? fuse_slots(c->figures, line) : 1;
	int code = 0;

	for (uint64_t i = 0; code == 0 && i < slots; i++) {
		uint32_t part = line->woven ? fuse_part(c->figures, line, i, found->values) : 0;
		const char *name;
		struct tensor *out;

		code = take_only_values(c, line, &line->parts[part].hf, found->values);
		if (code < 0)
			break;
		name = pattern_format(&line->parts[part].hf, found->prefix, found->values, c->arena);
		out = name ? append_hf(c) : NULL;
		if (!out)
			return error_nomem(c->err);
		if (line->woven) {
			code = fuse_split(&c->fuse, line, name, i, t, out, c->err);
		} else {
			*out = *t;
			out->name = name;
		}
	}
	return code;
}

/* To Hugging Face's names, from whatever the checkpoint has. */
static int to_hf(struct convert *c, uint64_t number)
{
	const struct tensor *t = &c->ckpt->tensors[number];
	struct naming_found found;

	if (c->from.hf)
		return list(c, t);
	naming_find_again(c->figures, &c->from, t->name, &c->matches[number], &found);
	if (c->to_hf && (found.prefix[0] || !found.line))
		return leave_out(c, t, found.prefix[0] ? "optimizer state, for which Hugging Face has no names" :
							 "no parameter of the model, so Hugging Face has no name for it");
	return found.line ? unfuse(c, t, &found) : add_clone(c, t, t->name);
}

/* The instance `name` of a line, made when its first source comes. NULL without memory. */
static struct instance *instance_of(struct convert *c, const char *name, const struct naming_found *found)
{
	uint32_t n = names_add(&c->keys, name);
	struct instance *list = n == NAMES_NONE ? NULL : arena_grow(c->arena, c->instances, n, &c->room, sizeof(*list));

	if (!list)
		return NULL;
	c->instances = list;
	if (!list[n].line)
		list[n] = (struct instance){ .line = found->line, .name = name,
					     .sources = arena_alloc(c->arena, fuse_slots(c->figures, found->line), sizeof(void *)) };
	return list[n].sources ? &list[n] : NULL;
}

/* Two lines that make one tensor, or two tensors that are one part of it. */
static int twice(struct convert *c, const struct tensor *t, const char *name)
{
	return error_set(c->err, -EINVAL, "tensor \"%s\" would come twice: \"%s\" gives it too", name, t->name);
}

/* A tensor of Hugging Face's that these namings have no place for. An `extra` is none of Hugging Face's. */
static int leave_out_other(struct convert *c, const struct tensor *t, const struct naming_found *found)
{
	const char *why = found->drop ? found->drop->why : "";
	int code = found->copy ? twins_leave_out(c->figures, found, t, c->ckpt, c->arena, &why, c->err) : 0;

	return code < 0 ? code : leave_out(c, t, why);
}

/* A tensor of Hugging Face's takes its place in MindSpore's. */
static int fuse(struct convert *c, const struct tensor *t)
{
	struct naming_found found;
	struct instance *instance;
	const char *name;
	uint64_t slot;
	int code;

	if (c->from.hf) /* then that is the form of `to` */
		naming_find_again(c->figures, &c->to, t->name, &c->matches[t - c->ckpt->tensors], &found);
	else if (!naming_find(c->figures, &c->to, t->name, &found))
		return error_set(c->err, -EINVAL, "tensor \"%s\" matches no line of recipe \"%s\" for %s names", t->name,
				 c->figures->recipe->family, recipe_naming_name(c->to.naming));
	if (!found.line)
		return leave_out_other(c, t, &found);
	code = take_only_values(c, found.line, &found.line->parts[found.part].hf, found.values);
	if (code < 0)
		return code;
	name = pattern_format(&found.line->ms, found.prefix, found.values, c->arena);
	if (!found.line->woven)
		return add_clone(c, t, name);
	instance = name ? instance_of(c, name, &found) : NULL;
	if (!instance)
		return error_nomem(c->err);
	slot = fuse_slot(c->figures, found.line, found.part, found.values);
	if (instance->line != found.line || instance->sources[slot])
		return twice(c, t, name);
	instance->sources[slot] = t;
	return 0;
}

/* An instance has one source at least: the others have its numbers. */
static int missing(struct convert *c, struct instance *in, uint64_t slot)
{
	struct naming_found found;
	const struct tensor *const *other = in->sources;
	const char *name;
	uint32_t part;
	int code;

	while (!*other)
		other++;
	naming_find(c->figures, &c->to, (*other)->name, &found);
	part = fuse_part(c->figures, in->line, slot, found.values);
	if ((code = take_only_values(c, in->line, &in->line->parts[part].hf, found.values)) < 0)
		return code;
	name = pattern_format(&in->line->parts[part].hf, found.prefix, found.values, c->arena);
	return name ? error_set(c->err, -EINVAL, "tensor \"%s\" is missing: \"%s\" is made of it", name, in->name) : error_nomem(c->err);
}

static int finish_instance(struct convert *c, struct instance *in)
{
	uint64_t slots = fuse_slots(c->figures, in->line);
	struct tensor *out;

	for (uint64_t i = 0; i < slots; i++)
		if (!in->sources[i])
			return missing(c, in, i);
	for (uint64_t i = 0; i < slots; i++)
		if (in->sources[i]->woven)
			return error_set(c->err, -EINVAL, "tensor \"%s\" would be made of \"%s\", itself a part of the fused \"%s\": take "
					 "these apart with names=hf, and mount that mount with names=%s", in->name, in->sources[i]->name,
					 in->sources[i]->woven->of[0]->name, recipe_naming_name(c->to.naming));
	out = append(c);
	return out ? fuse_make(&c->fuse, in->line, in->name, in->sources, out, c->err) : error_nomem(c->err);
}

/* What Hugging Face has twice: the same bytes under their second name. */
static int add_copies(struct convert *c)
{
	struct pairs copies;
	uint64_t count = c->out_count;
	int code = twins_list(c->figures, &c->from, c->arena, &copies, c->err);

	for (uint64_t i = 0; code == 0 && i < copies.names.count; i++) {
		const char *of = copies.pair[i].value;
		uint64_t k = 0;

		while (k < count && strcmp(c->out[k].name, of) != 0)
			k++;
		code = k < count ? add_clone(c, &c->out[k], copies.pair[i].key)
				 : error_set(c->err, -EINVAL, "tensor \"%s\" is missing: \"%s\" is a copy of it", of, copies.pair[i].key);
	}
	return code;
}

static int make_tensors(struct convert *c)
{
	int code = 0;

	for (uint64_t i = 0; code == 0 && i < c->ckpt->count; i++)
		code = to_hf(c, i);
	if (code == 0 && c->to_hf)
		return add_copies(c);
	for (uint64_t i = 0; code == 0 && i < c->hf_count; i++)
		code = fuse(c, c->hf[i]);
	for (uint32_t i = 0; code == 0 && i < c->keys.count; i++)
		code = finish_instance(c, &c->instances[i]);
	return code;
}

/* As a checkpoint's tensors are: sorted, every name once. */
static int sort_tensors(struct convert *c)
{
	const struct tensor *t = c->out;
	int code = checkpoint_sort(c->out, c->out_count, c->err);

	if (code < 0)
		return code;
	for (uint64_t i = 1; i < c->out_count; i++)
		if (strcmp(t[i - 1].name, t[i].name) == 0)
			return error_set(c->err, -EINVAL, "two tensors would have the name \"%s\"", t[i].name);
	for (uint64_t i = 0; i < c->ckpt->outside_count; i++)
		if (checkpoint_find(t, c->out_count, c->ckpt->outside[i].name))
			return error_set(c->err, -EINVAL, "a tensor would get the name \"%s\", which a parameter outside the strategy has",
					 c->ckpt->outside[i].name);
	return 0;
}

/* MindSpore's readers know no type of 8-bit floats, and refuse a file that has one. */
static int refuse_f8(const struct checkpoint *ckpt, struct error *err)
{
	for (uint64_t i = 0; i < ckpt->count; i++)
		if (strncmp(dtype_name(ckpt->tensors[i].dtype), "F8", 2) == 0)
			return error_set(err, -EINVAL, "tensor \"%s\" is %s, which MindSpore cannot read, and no type is converted: use a "
					 "BF16 copy of the model", ckpt->tensors[i].name, dtype_name(ckpt->tensors[i].dtype));
	return 0;
}

static int note_left_out(struct checkpoint *ckpt, const struct pairs *left, struct arena *arena, struct error *err)
{
	uint64_t count = ckpt->note_count + left->names.count;
	struct pair *notes = arena_alloc(arena, count, sizeof(*notes));

	if (!notes)
		return error_nomem(err);
	for (uint64_t i = 0; i < count; i++)
		notes[i] = i < ckpt->note_count ? ckpt->notes[i] : left->pair[i - ckpt->note_count];
	ckpt->notes = notes;
	ckpt->note_count = count;
	return 0;
}

/* True when the checkpoint has the names already that are asked for. */
static bool is_there(const struct convert *c)
{
	return c->to_hf ? c->from.hf : !c->from.hf && c->from.naming == c->to.naming && c->from.flags == c->to.flags;
}

/* True when each tensor becomes one tensor or none, and nobody asks for another one meanwhile. */
static bool are_renamed_only(const struct convert *c)
{
	const struct recipe *r = c->figures->recipe;
	bool only = r->copy_count == 0;

	for (uint32_t i = 0; i < r->line_count; i++)
		only &= !r->lines[i].woven || !(naming_holds(c->figures, &c->from, &r->lines[i]) || naming_holds(c->figures, &c->to, &r->lines[i]));
	return only;
}

/* Where the new tensors are made: of those that are fused there will be fewer, of those taken apart more; others stay where they are. */
static int begin(struct convert *c, struct checkpoint *ckpt)
{
	bool in_place = are_renamed_only(c);

	c->room_out = ckpt->count;
	c->out = in_place ? ckpt->tensors : arena_alloc(c->arena, c->room_out, sizeof(*c->out));
	c->marks = marks_find(ckpt, c->arena);
	return c->out && c->marks && fuse_begin(&c->fuse, c->figures, c->arena) == 0 ? 0 : error_nomem(c->err);
}

static int rebuild(struct convert *c, struct checkpoint *ckpt)
{
	struct pair *meta = NULL;
	int code = begin(c, ckpt);

	if (code == 0)
		code = make_tensors(c);
	if (code == 0)
		code = sort_tensors(c);
	if (code == 0)
		code = marks_rename(ckpt, c->marks, c->out, c->out_count, c->arena, &meta, c->err);
	if (code == 0)
		code = note_left_out(ckpt, &c->done->left_out, c->arena, c->err);
	if (code < 0)
		return code;
	ckpt->tensors = c->out;
	ckpt->count = c->out_count;
	ckpt->meta = meta;
	return 0;
}

int convert_checkpoint(struct checkpoint *ckpt, const struct convert_options *options, struct arena *arena, struct convert_done *done,
		       struct error *err)
{
	const struct figures *f = options->figures;
	struct convert c = { .figures = f, .ckpt = ckpt, .arena = arena,
			     .to_hf = options->to == RECIPE_HF,
			     .to = { options->to, f->flags, true },
			     .keys = names_new(arena),
			     .matches = arena_alloc(arena, ckpt->count, sizeof(*c.matches)),
			     .done = done,
			     .err = err };
	int code = c.to_hf ? 0 : refuse_f8(ckpt, err);

	*done = (struct convert_done){ .left_out = pairs_new(arena) };
	if (code == 0 && !c.matches)
		code = error_nomem(err);
	if (code == 0)
		code = naming_recognise(f, ckpt->tensors, ckpt->count, options->to, c.matches, &c.from, err);
	if (code == 0)
		code = naming_complete(f, &c.from, ckpt->tensors, ckpt->count, c.matches, err);
	done->from = c.from;
	return code < 0 || is_there(&c) ? code : rebuild(&c, ckpt);
}
