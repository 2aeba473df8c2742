/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A recipe says how the tensors of one family of models are called, and fused, by Hugging Face and by MindSpore Transformers. It is
 * data: a text file of one statement a line, in which blank lines and those that begin with '#' are stepped over.
 *
 *   family NAME                       what -o model= calls it
 *   model_type NAME...                model_types of config.json that it is for
 *   number NAME [KEY] [| VALUE]       a number: KEY of config.json, where that is not given VALUE: `N` or `N OPERATOR N`, N being a
 *                                     number of above or a literal, OPERATOR one of + - * /
 *   flag NAME KEY | true|false        likewise a truth
 *   option NAME KEY | true|false      a flag that a checkpoint's names may contradict: how MindSpore's side is fused
 *   expect KEY VALUE                  config.json must not say anything else: a number, true, false, null or []
 *   index NAME FIRST END [every N] [without KEY] [but INDEX]
 *                                     {NAME} in a name stands for the numbers from FIRST on, below END: with `every` only for each Nth,
 *                                     counted from 0 (N-1, 2N-1, ...); not for those in the list KEY of config.json, nor for INDEX's
 *   optimizer PREFIX...               what MindSpore puts before a parameter's name for its optimizer state
 *   extra NAME...                     in MindSpore's files, but no parameters: kept among its namings, left out for Hugging Face
 *
 *   names NAMING... [if [not] FLAG...]   the lines that follow are for these namings (legacy, mcore, mcore-train), under these conditions
 *   HF MS                             the tensor that Hugging Face calls HF is called MS
 *   weave MS : SHAPE                  the tensor MS is made of those in the `of` lines that follow; shapes are as factors.h writes them
 *     of HF : SHAPE                   one for each summand of the sum in MS's SHAPE, in its order (one alone where there is no sum): HF
 *                                     has the factors of MS with that summand, in any order, which transposes. An index of HF that is a
 *                                     word of MS's SHAPE is the place on that factor, which stacks.
 *   copy HF HF2                       HF2 is in Hugging Face's files with the bytes of HF once more; these namings have them once. The way
 *                                     there leaves HF2 out when it is there, the way back always makes it.
 *   drop HF... [: WHY]                these namings do not have it; WHY is what the user is told
 *
 * Both directions follow from one line. Invariants after recipe_parse(): every word is declared before it is used; each line can be
 * turned around: the same indexes on both sides (but those that have one value only), each factor of one side on the other; an index
 * that counts along a factor has all numbers of its range.
 */
#ifndef LAYOUT_RECIPE_H
#define LAYOUT_RECIPE_H

#include "layout/base/pattern.h"
#include "layout/names/factors.h"

#define RECIPE_TYPES 8
#define RECIPE_FLAGS 16
#define RECIPE_EXPECTS 16
#define RECIPE_PREFIXES 8

enum recipe_naming { RECIPE_HF, RECIPE_LEGACY, RECIPE_MCORE, RECIPE_MCORE_TRAIN, RECIPE_NAMINGS };

struct recipe_value {
	uint32_t a, b; /* words; FACTORS_NONE: the literal */
	uint64_t literal_a, literal_b;
	char op; /* 0: a alone */
};

enum recipe_kind { RECIPE_FREE, RECIPE_NUMBER, RECIPE_INDEX };

/* What a word is; the shapes' own words are free. */
struct recipe_word {
	enum recipe_kind kind;
	const char *key;             /* RECIPE_NUMBER; NULL: no key */
	bool has_value;              /* RECIPE_NUMBER */
	struct recipe_value value;   /* RECIPE_NUMBER; RECIPE_INDEX: the first */
	struct recipe_value end;     /* RECIPE_INDEX */
	struct recipe_value every;   /* RECIPE_INDEX; where has_every is set */
	const char *without;         /* RECIPE_INDEX: key of a list; may be NULL */
	uint32_t but;                /* RECIPE_INDEX: another, declared before; FACTORS_NONE */
	bool has_every;
};

struct recipe_flag {
	const char *name, *key;
	bool value, option;
};

/* A section's conditions. */
struct recipe_when {
	uint32_t namings;          /* bits of enum recipe_naming */
	uint32_t needs, forbids;   /* bits of flags */
};

struct recipe_part {
	struct pattern hf;
	struct factors shape; /* none for a line that only renames */
};

struct recipe_line {
	struct recipe_when when;
	struct pattern ms;
	struct factors shape;            /* none for a line that only renames */
	struct recipe_part *parts;       /* [count] */
	uint32_t count;
	bool woven;
	uint64_t number;                 /* of the line in the file */
};

struct recipe_drop {
	struct recipe_when when;
	struct pattern hf;
	const char *why;
};

/* Every index of `of` is one of `hf`. */
struct recipe_copy {
	struct recipe_when when;
	struct pattern of, hf;
	uint64_t number; /* of the line in the file */
};

struct recipe {
	const char *family;
	const char *types[RECIPE_TYPES];
	struct names words;                            /* of numbers, indexes and shapes */
	struct recipe_word word[FACTORS_WORDS];        /* [words.count] */
	struct recipe_flag flags[RECIPE_FLAGS];
	struct pair expects[RECIPE_EXPECTS];
	const char *prefixes[RECIPE_PREFIXES];
	struct recipe_line *lines;                     /* [line_count] */
	struct recipe_drop *drops;                     /* [drop_count] */
	struct recipe_copy *copies;                    /* [copy_count] */
	struct pattern *extras;                        /* [extra_count] */
	uint32_t type_count, flag_count, expect_count, prefix_count, line_count, drop_count, copy_count, extra_count;
};

/* Parses the text of a recipe; everything lives in `arena`, nothing points into `text`. -EINVAL with the line, -ENOMEM. */
int recipe_parse(struct bytes text, struct arena *arena, struct recipe **out, struct error *err);

/* True for an index that does not have all numbers of its range. */
bool recipe_has_gaps(const struct recipe *recipe, uint32_t word);

/* "hf", "legacy", "mcore", "mcore-train". */
const char *recipe_naming_name(enum recipe_naming naming);

/* The naming called `name`; RECIPE_NAMINGS when there is none. */
enum recipe_naming recipe_naming_find(const char *name);

#endif
